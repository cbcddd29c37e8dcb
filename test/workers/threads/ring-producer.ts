// Writes a stream of messages into a ring, as fast as the consumer allows or in bursts.

import { workerData } from 'node:worker_threads';
import { Doorbell, RingProducer } from '../../../workers/index.js';
import { generator } from '../random.js';
import { fill, lengths, reserveBlocking, type StreamData } from './messages.js';

const data = workerData as StreamData;
const producer = new RingProducer(data.ring, new Doorbell(data.consumerBell));
const bell = new Doorbell(data.producerBell);
const nextLength = lengths(data.seed, data.longest);
const random = generator(data.seed + 1);
const pauseWord = new Int32Array(new SharedArrayBuffer(4));

function run(): void {
  let pending = 1 + random(data.batch);
  for (let number = 0; number < data.count; number++) {
    const length = nextLength();
    const at = reserveBlocking(producer, bell, length);
    fill(producer.bytes, at, length, number);
    producer.commit(length);
    if (--pending > 0) continue;
    producer.publish();
    pending = 1 + random(data.batch);
    if (data.pauseEvery > 0 && random(data.pauseEvery) === 0) Atomics.wait(pauseWord, 0, 0, random(3));
  }
  producer.publish();
  if (data.end === 'close') producer.close();
  else {
    // What a thread that dies in the middle of a batch leaves: reserved, committed, never published.
    for (let extra = 0; extra < 3; extra++) {
      if (producer.reserve(8) < 0) break;
      producer.commit(8);
    }
    process.exit(3);
  }
}

// Not while the module is evaluated: Node 22 aborts the process when a thread ends there.
setImmediate(run);
