// The stream of messages that ring tests send: from a seed alone both threads know the length and the bytes of each.

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import type { RingConsumer, RingProducer } from '../../../workers/index.js';
import { generator } from '../random.js';

export interface StreamData {
  ring: SharedArrayBuffer;
  consumerBell: SharedArrayBuffer;
  producerBell: SharedArrayBuffer;
  seed: number;
  count: number;
  longest: number;
  /** Up to so many messages are published together. */
  batch: number;
  /** After about so many messages the producer pauses until the consumer is likely to sleep; 0 never. */
  pauseEvery: number;
  /** How the producer ends: it closes the ring, or leaves messages committed and unpublished and exits. */
  end: 'close' | 'exit';
}

/** Steps through the lengths of a stream. */
export function lengths(seed: number, longest: number): () => number {
  const random = generator(seed);
  // Mostly short ones, some of any length, some as long as can be.
  return () => {
    const kind = random(16);
    if (kind === 0) return longest;
    return kind < 3 ? random(longest + 1) : random(Math.min(longest, 64) + 1);
  };
}

export function fill(bytes: Buffer, at: number, length: number, number: number): void {
  bytes.fill(number & 0xff, at, at + length);
  if (length >= 4) bytes.writeUInt32LE(number, at);
  if (length >= 8) bytes.writeUInt32LE(number ^ length, at + length - 4);
}

/** Asserts that the consumer's message is the one with this number, whole and of this length. */
export function check(consumer: RingConsumer, length: number, number: number): void {
  const { bytes, offset } = consumer;
  assert.strictEqual(consumer.length, length, `message ${number} has another length`);
  if (length >= 4) assert.strictEqual(bytes.readUInt32LE(offset), number, `message ${number} is out of order`);
  if (length >= 8) assert.strictEqual(bytes.readUInt32LE(offset + length - 4), (number ^ length) >>> 0);
  const first = length >= 4 ? 4 : 0;
  const last = length >= 8 ? length - 4 : length;
  for (let index = first; index < last; index++) {
    if (bytes[offset + index] !== (number & 0xff)) assert.fail(`message ${number} is damaged at ${index}`);
  }
}

/** Reserves, waiting for the consumer to free space as often as it takes. */
export function reserveBlocking(producer: RingProducer, bell: Bell, length: number): number {
  for (;;) {
    const at = producer.reserve(length);
    if (at >= 0) return at;
    producer.publish();
    bell.announce();
    producer.wantSpace();
    if (producer.fits(length)) bell.withdraw();
    else assert(bell.wait(10_000) || producer.fits(length) === false, 'space came and the bell did not ring');
  }
}

interface Bell {
  announce(): void;
  withdraw(): void;
  wait(timeoutMs: number): boolean;
}
