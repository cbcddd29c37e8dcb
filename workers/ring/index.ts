// A single-producer single-consumer ring of variable-length messages in shared memory: see README.md.

export { closeOrphan, RingConsumer } from './consumer.js';
export { createDoorbell, Doorbell } from './doorbell.js';
export { createRing, longestMessage } from './layout.js';
export { RingProducer } from './producer.js';
