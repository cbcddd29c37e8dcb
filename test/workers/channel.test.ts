// Channels between real threads.

import assert from 'node:assert';
import { test } from 'node:test';
import { startThreads } from '../../workers/index.js';
import type { AskerData } from './threads/asker.js';

const echo = new URL('./threads/echo.js', import.meta.url);
const asker = new URL('./threads/asker.js', import.meta.url);

async function askFromTwoThreads(data: AskerData): Promise<number[]> {
  const slabBytes = 64 << 20;
  const threads = await startThreads({
    threads: [
      { name: 'echo', module: echo, data: null },
      { name: 'asker0', module: asker, data },
      { name: 'asker1', module: asker, data },
    ],
    links: [
      ['asker0', 'echo'],
      ['asker1', 'echo'],
    ],
    slabBytes: { asker0: slabBytes, asker1: slabBytes },
  });
  const results: number[] = [];
  await new Promise<void>((resolve, reject) => {
    threads.onDeath((_name, error) => reject(error));
    threads.onMessage((_name, message) => {
      const { answered, elapsedMs } = message as { answered: number; elapsedMs: number };
      assert.strictEqual(answered, data.count);
      results.push(elapsedMs);
      if (results.length === 2) resolve();
    });
    threads.post('asker0', 'go');
    threads.post('asker1', 'go');
  });
  await threads.stop();
  return results;
}

test('a hundred thousand requests from two threads at once are each answered with what they asked', async (context) => {
  const times = await askFromTwoThreads({ count: 50_000, depth: 64, payloadBytes: 0, payloads: 'none' });
  context.diagnostic(`${Math.round(50_000_000 / Math.max(...times))} requests/s per asker`);
});

test('slab payloads of a hundred thousand requests from two threads come back as they were', async (context) => {
  const times = await askFromTwoThreads({ count: 50_000, depth: 64, payloadBytes: 20_000, payloads: 'slab' });
  context.diagnostic(`${Math.round(50_000_000 / Math.max(...times))} requests/s per asker`);
});
