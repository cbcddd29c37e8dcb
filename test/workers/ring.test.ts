// The ring: its rules on one thread against a model, and its promises between two.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { createDoorbell, createRing, Doorbell, RingConsumer, RingProducer } from '../../workers/index.js';
import { longestMessage } from '../../workers/ring/index.js';
import { seedOf } from './random.js';
import { check, lengths, type StreamData } from './threads/messages.js';
import type { PongData } from './threads/ring-pong.js';

const HEAD_WORD = 128 / 4;
const TAIL_WORD = 256 / 4;

/** Both ends of a ring whose positions begin at `position`. */
function bothEnds(capacity: number, position = 0): { producer: RingProducer; consumer: RingConsumer } {
  const shared = createRing(capacity);
  const words = new Int32Array(shared);
  words[HEAD_WORD] = position;
  words[TAIL_WORD] = position;
  const bell = new Doorbell(createDoorbell());
  return { producer: new RingProducer(shared, bell), consumer: new RingConsumer(shared, bell) };
}

test('a ring behaves as a queue of byte strings under any order of operations, also where positions overflow', () => {
  const command = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), length: fc.nat(120), give: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'publish' as const }) },
    { weight: 4, arbitrary: fc.constant({ do: 'read' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'release' as const }) },
  );
  const positions = fc.constantFrom(0, 8, 0x7fffff80, -0x80, -8);
  fc.assert(
    fc.property(positions, fc.array(command, { maxLength: 300, size: 'max' }), (position, commands) => {
      const { producer, consumer } = bothEnds(256, position);
      const committed: Buffer[] = [];
      const published: Buffer[] = [];
      const held: { offset: number; bytes: Buffer }[] = [];
      let stamp = 0;
      for (const step of commands) {
        if (step.do === 'write') {
          const at = producer.reserve(step.length);
          if (at < 0) {
            const occupied = [...committed, ...published, ...held.map((entry) => entry.bytes)];
            assert(occupied.length > 0, 'an empty ring refused a message');
            continue;
          }
          const message = Buffer.alloc(Math.max(0, step.length - step.give), ++stamp);
          assert(at + step.length <= producer.bytes.length, 'message across the end of the ring');
          producer.bytes.set(message, at);
          producer.commit(message.length);
          committed.push(message);
        } else if (step.do === 'publish') {
          producer.publish();
          published.push(...committed.splice(0));
        } else if (step.do === 'read') {
          assert.strictEqual(consumer.next(), published.length > 0);
          const expected = published.shift();
          if (expected === undefined) continue;
          held.push({ offset: consumer.offset, bytes: expected });
          assert.strictEqual(consumer.length, expected.length);
        } else {
          consumer.release();
          held.length = 0;
        }
        // What was read and not released is still what it was, whatever the producer does meanwhile.
        for (const { offset, bytes } of held) {
          assert(bytes.equals(consumer.bytes.subarray(offset, offset + bytes.length)));
        }
      }
    }),
    { seed: seedOf(), numRuns: 500 },
  );
});

test('every length up to the longest message fits an empty ring, wherever its positions stand', () => {
  for (let position = 0; position < 256; position += 8) {
    for (let length = 0; length <= longestMessage(256); length++) {
      const { producer, consumer } = bothEnds(256, position);
      assert(producer.reserve(length) >= 0, `length ${length} at ${position}`);
      producer.commit(length);
      producer.publish();
      assert(consumer.next());
      assert.strictEqual(consumer.length, length);
    }
  }
});

test('a message longer than the ring takes, a commit without a reserve and a capacity of no power of two are refused', () => {
  const { producer } = bothEnds(256);
  assert.throws(() => producer.reserve(longestMessage(256) + 1), /longer than the ring/);
  assert.throws(() => producer.commit(1), /without a reserve/);
  producer.reserve(4);
  assert.throws(() => producer.commit(5), /without a reserve/);
  for (const bytes of [0, 32, 100, 2 ** 31]) assert.throws(() => createRing(bytes), RangeError);
});

interface Stream extends StreamData {
  consumer: RingConsumer;
  bell: Doorbell;
  worker: Worker;
}

function startStream(context: TestContext, capacity: number, options: Partial<StreamData>): Stream {
  const seed = seedOf();
  context.diagnostic(`SEED=${seed}`);
  const data: StreamData = {
    ring: createRing(capacity),
    consumerBell: createDoorbell(),
    producerBell: createDoorbell(),
    seed,
    count: 1_000_000,
    longest: longestMessage(capacity),
    batch: 1,
    pauseEvery: 0,
    end: 'close',
    ...options,
  };
  const worker = new Worker(new URL('./threads/ring-producer.js', import.meta.url), { workerData: data });
  const consumer = new RingConsumer(data.ring, new Doorbell(data.producerBell));
  return { ...data, consumer, bell: new Doorbell(data.consumerBell), worker };
}

/** Reads the whole stream, blocked in the doorbell whenever the ring is empty. */
function consumeBlocking(stream: Stream, releaseEvery: number): { count: number; sleeps: number } {
  const { consumer, bell } = stream;
  const nextLength = lengths(stream.seed, stream.longest);
  let count = 0;
  let sleeps = 0;
  while (!consumer.ended()) {
    while (consumer.next()) {
      check(consumer, nextLength(), count++);
      if (count % releaseEvery === 0) consumer.release();
    }
    consumer.release();
    bell.announce();
    if (consumer.available() || consumer.ended()) bell.withdraw();
    else {
      assert(bell.wait(10_000), 'nothing rang for ten seconds');
      sleeps++;
    }
  }
  return { count, sleeps };
}

test('three million messages of all lengths cross two threads in order, whole, through a ring always full or empty', async (context) => {
  const stream = startStream(context, 4096, { count: 3_000_000, longest: 200, batch: 8 });
  const { count, sleeps } = consumeBlocking(stream, 5);
  assert.strictEqual(count, stream.count);
  context.diagnostic(`consumer slept ${sleeps} times`);
  await once(stream.worker, 'exit');
});

test('messages of up to half of the ring cross it in order, with a skip at almost every wrap', async (context) => {
  const stream = startStream(context, 1024, { count: 500_000, batch: 2 });
  assert.strictEqual(consumeBlocking(stream, 3).count, stream.count);
  await once(stream.worker, 'exit');
});

test('a consumer that falls asleep between bursts is woken for every burst', async (context) => {
  const stream = startStream(context, 8192, { count: 100_000, longest: 64, batch: 4, pauseEvery: 40 });
  const { count, sleeps } = consumeBlocking(stream, 100);
  assert.strictEqual(count, stream.count);
  assert(sleeps > 100, `it slept only ${sleeps} times`);
  await once(stream.worker, 'exit');
});

test('a consumer on the event loop takes a million messages and is woken whenever it slept', async (context) => {
  const stream = startStream(context, 4096, { longest: 128, batch: 16, pauseEvery: 4000 });
  const { consumer, bell } = stream;
  const nextLength = lengths(stream.seed, stream.longest);
  let count = 0;
  while (!consumer.ended()) {
    while (consumer.next()) check(consumer, nextLength(), count++);
    consumer.release();
    bell.announce();
    if (consumer.available() || consumer.ended()) bell.withdraw();
    else await bell.waitAsync();
  }
  assert.strictEqual(count, stream.count);
  await once(stream.worker, 'exit');
});

test('a producer that dies in a batch leaves all that it published and nothing that it had not', async (context) => {
  const stream = startStream(context, 1 << 20, { count: 5_000, longest: 64, batch: 7, end: 'exit' });
  const [code] = await once(stream.worker, 'exit');
  assert.strictEqual(code, 3);
  const nextLength = lengths(stream.seed, stream.longest);
  let count = 0;
  while (stream.consumer.next()) check(stream.consumer, nextLength(), count++);
  assert.strictEqual(count, stream.count);
  assert(!stream.consumer.ended(), 'a dead producer has closed nothing');
});

test('a producer cut off at any point leaves whole messages in order', async (context) => {
  for (let round = 0; round < 5; round++) {
    const stream = startStream(context, 1 << 14, { count: 100_000_000, longest: 300, batch: 5 });
    const { consumer, bell } = stream;
    const nextLength = lengths(stream.seed, stream.longest);
    const enough = 20_000 * (round + 1);
    let count = 0;
    while (count < enough) {
      while (consumer.next()) check(consumer, nextLength(), count++);
      consumer.release();
      bell.announce();
      if (consumer.available()) bell.withdraw();
      else await bell.waitAsync();
    }
    await stream.worker.terminate();
    while (consumer.next()) check(consumer, nextLength(), count++);
    assert(count >= enough);
  }
});

test('forty thousand round trips between two sleepers lose no wake-up', async () => {
  const data: PongData = {
    there: createRing(1024),
    back: createRing(1024),
    ownBell: createDoorbell(),
    peerBell: createDoorbell(),
  };
  const worker = new Worker(new URL('./threads/ring-pong.js', import.meta.url), { workerData: data });
  const pongBell = new Doorbell(data.ownBell);
  const bell = new Doorbell(data.peerBell);
  const producer = new RingProducer(data.there, pongBell);
  const consumer = new RingConsumer(data.back, pongBell);
  for (let number = 0; number < 40_000; number++) {
    const at = producer.reserve(8);
    producer.bytes.writeDoubleLE(number, at);
    producer.commit(8);
    producer.publish();
    while (!consumer.next()) {
      bell.announce();
      if (consumer.available()) bell.withdraw();
      else assert(bell.wait(10_000), `no answer to ${number}`);
    }
    assert.strictEqual(consumer.bytes.readDoubleLE(consumer.offset), number);
    consumer.release();
  }
  producer.close();
  const [code] = await once(worker, 'exit');
  assert.strictEqual(code, 0);
});
