// The other thread of the ring's benchmark: reads everything and touches it (sink), or sends it back (pong). `spinUs` is
// how long it looks at an empty ring before it sleeps.

import { workerData } from 'node:worker_threads';
import { RingConsumer } from './consumer.js';
import { Doorbell } from './doorbell.js';
import { RingProducer } from './producer.js';

export interface PeerData {
  role: 'sink' | 'pong';
  spinUs: number;
  there: SharedArrayBuffer;
  back: SharedArrayBuffer;
  ownBell: SharedArrayBuffer;
  peerBell: SharedArrayBuffer;
}

const data = workerData as PeerData;
const own = new Doorbell(data.ownBell);
const peer = new Doorbell(data.peerBell);
const consumer = new RingConsumer(data.there, peer);
const producer = new RingProducer(data.back, peer);

/** Looks for work for `spinUs`, then sleeps until rung. */
function waitForWork(): void {
  if (data.spinUs > 0) {
    const untilMs = performance.now() + data.spinUs / 1000;
    while (performance.now() < untilMs) {
      for (let look = 0; look < 50; look++) if (consumer.available()) return;
    }
  }
  own.announce();
  if (consumer.available() || consumer.ended()) own.withdraw();
  else own.wait(Number.POSITIVE_INFINITY);
}

let sum = 0;
while (!consumer.ended()) {
  let count = 0;
  while (consumer.next()) {
    count++;
    sum += consumer.bytes[consumer.offset]!;
    if (data.role === 'pong') {
      producer.reserve(consumer.length);
      producer.commit(consumer.length);
    }
    if (consumer.heldBytes >= consumer.shareBytes) consumer.release();
  }
  consumer.release();
  producer.publish();
  if (count === 0) waitForWork();
}
process.exitCode = sum === -1 ? 1 : 0;
