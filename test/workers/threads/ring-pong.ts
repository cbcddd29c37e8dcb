// Sends every message of one ring back through another, asleep whenever there is none.

import assert from 'node:assert';
import { workerData } from 'node:worker_threads';
import { Doorbell, RingConsumer, RingProducer } from '../../../workers/index.js';

export interface PongData {
  there: SharedArrayBuffer;
  back: SharedArrayBuffer;
  ownBell: SharedArrayBuffer;
  peerBell: SharedArrayBuffer;
}

const data = workerData as PongData;
const own = new Doorbell(data.ownBell);
const peer = new Doorbell(data.peerBell);
const consumer = new RingConsumer(data.there, peer);
const producer = new RingProducer(data.back, peer);

while (!consumer.ended()) {
  while (consumer.next()) {
    const at = producer.reserve(consumer.length);
    assert(at >= 0, 'ring of answers is full');
    consumer.bytes.copy(producer.bytes, at, consumer.offset, consumer.offset + consumer.length);
    producer.commit(consumer.length);
  }
  consumer.release();
  producer.publish();
  own.announce();
  if (consumer.available() || consumer.ended()) own.withdraw();
  else assert(own.wait(10_000), 'the bell did not ring');
}
