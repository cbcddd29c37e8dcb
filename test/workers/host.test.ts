// The host of threads: how they start, die and stop.

import assert from 'node:assert';
import { test } from 'node:test';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import { startThreads, type ThreadSpec, type Threads } from '../../workers/index.js';
import type { ActorData } from './threads/actor.js';

const module = new URL('./threads/actor.js', import.meta.url);

function actor(name: string, data: ActorData = {}): ThreadSpec {
  return { name, module, data };
}

function nextMessage(threads: Threads): () => Promise<{ name: string; message: unknown }> {
  const come: { name: string; message: unknown }[] = [];
  let wake: (() => void) | null = null;
  threads.onMessage((name, message) => {
    come.push({ name, message });
    wake?.();
  });
  return async () => {
    while (come.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return come.shift()!; // The loop has seen one.
  };
}

for (const [start, reason] of [
  ['throw', /b has a reason to die/],
  ['exit', /thread b ended with code 9/],
] as const) {
  test(`a start in which one thread fails (${start}) is rejected with its reason`, async () => {
    const started = startThreads({ threads: [actor('a'), actor('b', { start }), actor('c')], links: [['a', 'b']] });
    await assert.rejects(started, reason);
  });
}

test('when a start fails, the threads that came up are stopped with their hooks before it is rejected', async () => {
  const order = new SharedArrayBuffer(16);
  const started = startThreads({
    threads: [actor('a', { index: 0 }), actor('b', { index: 1, start: 'throw' }), actor('c', { index: 2 })],
    links: [],
    shared: { order },
  });
  await assert.rejects(started, /b has a reason to die/);
  assert.deepStrictEqual(Array.from(new Int32Array(order)), [2, 2, 0, 0]);
});

test('a module that does not exist fails the start', async () => {
  const missing = { name: 'a', module: new URL('./threads/missing.js', import.meta.url), data: null };
  await assert.rejects(startThreads({ threads: [missing], links: [] }), /Cannot find module/);
});

for (const [way, reason] of [
  ['throw', /b has a reason to die/],
  ['refuse', /b has a reason to die/],
  ['exit', /thread b ended with code 9/],
] as const) {
  test(`a thread that dies (${way}) is reported with its name and error, once`, async () => {
    const threads = await startThreads({ threads: [actor('a'), actor('b')], links: [['a', 'b']] });
    const deaths: string[] = [];
    await new Promise<void>((resolve) => {
      threads.onDeath((name, error) => {
        deaths.push(name);
        assert.match(error.message, reason);
        resolve();
      });
      threads.post('b', way);
    });
    await threads.stop();
    assert.deepStrictEqual(deaths, ['b']);
  });
}

test('calls to a thread that dies are answered CLOSED, those before its death and those after', async () => {
  const threads = await startThreads({ threads: [actor('a'), actor('b')], links: [['a', 'b']] });
  const next = nextMessage(threads);
  const death = new Promise<void>((resolve) => threads.onDeath(() => resolve()));
  threads.post('a', 'call');
  assert.deepStrictEqual(await next(), { name: 'a', message: 'called' });
  threads.post('b', 'exit');
  await death;
  assert.deepStrictEqual(await next(), { name: 'a', message: Status.CLOSED });
  threads.post('a', 'call');
  assert.deepStrictEqual(await next(), { name: 'a', message: 'called' });
  assert.deepStrictEqual(await next(), { name: 'a', message: Status.CLOSED });
  await threads.stop();
});

test('threads know their name, their peers in the order of the links, and what all share', async () => {
  const threads = await startThreads({
    threads: [actor('a'), actor('b'), actor('c')],
    links: [
      ['c', 'b'],
      ['a', 'c'],
    ],
    shared: { words: new SharedArrayBuffer(8) },
  });
  const next = nextMessage(threads);
  threads.post('c', 'echo');
  const message = { name: 'c', peers: ['b', 'a'], shared: ['words'] };
  assert.deepStrictEqual(await next(), { name: 'c', message });
  await threads.stop();
});

async function stopOrder(stopOrder?: string[], stops: ActorData['stop'][] = []): Promise<[number[], unknown]> {
  const order = new SharedArrayBuffer(16);
  const threads = await startThreads({
    threads: ['a', 'b', 'c'].map((name, index) => actor(name, { index, stop: stops[index] })),
    links: [['a', 'b']],
    shared: { order },
    ...(stopOrder && { stopOrder }),
  });
  threads.onDeath((name) => assert.fail(`${name} was stopped and is reported dead`));
  const failure = await threads.stop(500).then(
    () => null,
    (error: unknown) => error,
  );
  const words = new Int32Array(order);
  return [Array.from(words.subarray(1, 1 + words[0]!)), failure];
}

test('threads stop one after the other, the last started first, each after its hooks', async () => {
  assert.deepStrictEqual(await stopOrder(), [[2, 1, 0], null]);
});

test('an order of stopping that the topology names is kept, the others follow', async () => {
  assert.deepStrictEqual(await stopOrder(['b']), [[1, 2, 0], null]);
});

test('a hook that fails and a thread that does not end are reported after all have been stopped', async () => {
  const [order, failure] = await stopOrder(undefined, [undefined, 'throw', 'hang']);
  assert.deepStrictEqual(order, [1, 0]);
  assert(failure instanceof AggregateError);
  assert.strictEqual(failure.errors.length, 2);
  assert.match(failure.message, /thread c did not stop within 500 ms.*b cannot stop/);
});

test('threads with nothing to do stay alive and take less than half a percent of a core', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const threads = await startThreads({
    threads: names.map((name) => actor(name)),
    links: names.slice(1).map((name) => ['a', name] as const),
  });
  threads.onDeath((name) => assert.fail(`${name} is gone`));
  // Compilers and collectors settle first: the first quiet window counts.
  const windowMs = 600;
  const shares: number[] = [];
  for (let window = 0; window < 10 && shares.every((share) => share >= 0.005); window++) {
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const { user, system } = process.cpuUsage(before);
    shares.push((user + system) / 1000 / windowMs);
  }
  assert(Math.min(...shares) < 0.005, `shares of a core: ${shares.map((share) => share.toFixed(4)).join(' ')}`);
  await threads.stop();
});

test('topologies with two threads of one name, links to nobody or links twice are refused', async () => {
  await assert.rejects(startThreads({ threads: [actor('a'), actor('a')], links: [] }), /two threads are named a/);
  await assert.rejects(startThreads({ threads: [actor('a')], links: [['a', 'b']] }), /joins two threads/);
  const twice = [
    ['a', 'b'],
    ['b', 'a'],
  ] as const;
  await assert.rejects(startThreads({ threads: [actor('a'), actor('b')], links: twice }), /linked twice/);
  const many = Array.from({ length: limits.threads + 1 }, (_, index) => actor(`t${index}`));
  await assert.rejects(startThreads({ threads: many, links: [] }), /more threads/);
});
