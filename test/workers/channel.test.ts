// Channels between real threads: two that ask, one that answers.

import assert from 'node:assert';
import { test } from 'node:test';
import { limits } from '../../proto/limits.js';
import { startThreads } from '../../workers/index.js';
import type { AskerData, AskerResult } from './threads/asker.js';
import type { EchoData } from './threads/echo.js';

const echo = new URL('./threads/echo.js', import.meta.url);
const asker = new URL('./threads/asker.js', import.meta.url);
const ASKERS = ['asker0', 'asker1'];

/** Runs until both askers have reported, and gives the deaths of the thread that answers. */
async function run(data: AskerData, echoData: EchoData): Promise<{ results: AskerResult[]; deaths: string[] }> {
  const threads = await startThreads({
    threads: [{ name: 'echo', module: echo, data: echoData }, ...ASKERS.map((name) => ({ name, module: asker, data }))],
    links: ASKERS.map((name) => [name, 'echo'] as const),
    slabBytes: Object.fromEntries(ASKERS.map((name) => [name, limits.slabBytes])),
  });
  const results: AskerResult[] = [];
  const deaths: string[] = [];
  await new Promise<void>((resolve, reject) => {
    threads.onDeath((name, error) => {
      deaths.push(`${name}: ${error.message}`);
      if (name !== 'echo') reject(error);
    });
    threads.onMessage((_name, message) => {
      results.push(message as AskerResult);
      if (results.length === ASKERS.length) resolve();
    });
    for (const name of ASKERS) threads.post(name, 'go');
  });
  await threads.stop();
  return { results, deaths };
}

async function askFromTwoThreads(data: AskerData, perTurn = 0): Promise<AskerResult[]> {
  const { results, deaths } = await run(data, { perTurn });
  assert.deepStrictEqual(deaths, []);
  for (const { answered } of results) assert.strictEqual(answered, data.count);
  return results;
}

test('a hundred thousand requests from two threads at once are each answered with what they asked', async () => {
  await askFromTwoThreads({ count: 50_000, depth: 64, payloadBytes: 0, payloads: 'none' });
});

test('a hundred thousand slab payloads from two threads at once come back as they were', async () => {
  await askFromTwoThreads({ count: 50_000, depth: 64, payloadBytes: 20_000, payloads: 'slab' });
});

test('payloads from ordinary memory, in the ring and through the slab, are answered under load', async () => {
  await askFromTwoThreads({ count: 20_000, depth: 200, payloadBytes: 3000, payloads: 'heap' });
  await askFromTwoThreads({ count: 2000, depth: 50, payloadBytes: 300_000, payloads: 'heap' });
});

test('a slow answerer pushes back with BUSY, and every request is answered in the end', async () => {
  const depth = limits.requestsInFlightPerPeer + 100;
  const results = await askFromTwoThreads({ count: 20_000, depth, payloadBytes: 100, payloads: 'heap' }, 1000);
  for (const { refused } of results) assert(refused > 0, 'it was never refused');
});

test('when the answerer dies in the middle of a flood, each call is answered once, by it or with CLOSED', async () => {
  const data: AskerData = { count: 1_000_000, depth: 500, payloadBytes: 20_000, payloads: 'slab' };
  const { results, deaths } = await run(data, { perTurn: 0, diesAt: 20_000 });
  assert.deepStrictEqual(deaths, ['echo: thread echo ended with code 11']);
  let answered = 0;
  for (const result of results) {
    answered += result.answered;
    assert(result.closed > 0 && result.closed <= 500, `${result.closed} were cut off`);
  }
  assert(answered < 20_000);
});
