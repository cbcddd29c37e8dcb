// Readers in threads of their own beside a writer that appends, deletes, seals and compacts: no wrong byte, no block
// missed that was acknowledged, none called damaged.

import assert from 'node:assert';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ReaderData } from './reader.thread.js';
import { BlockNode, patternBytes } from './support.js';

const BLOBS = 2000;

test('threads that read while volumes grow, are sealed, compacted and dropped see right bytes only', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 150 });
  const board = new SharedArrayBuffer((2 + BLOBS * 3) * 4);
  const words = new Int32Array(board);
  const workerData: ReaderData = { directory: node.directory, arena: node.arena, board };
  const workers = [1, 2].map(() => new Worker(new URL('./reader.thread.js', import.meta.url), { workerData }));
  const results = workers.map(
    (worker) =>
      new Promise<{ sync: number; waited: number; absent: number }>((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
      }),
  );
  const blobs: number[] = [];
  const work = (async () => {
    for (let at = 0; at < BLOBS; at++) {
      const length = 1 + (at % 10 === 0 ? (at * 977) % 200_000 : (at * 31) % 5000);
      const blob = await node.write(patternBytes(length, at));
      blobs.push(blob);
      words[2 + at * 3] = length;
      words[3 + at * 3] = blob % 2 ** 32;
      words[4 + at * 3] = Math.floor(blob / 2 ** 32);
      // At once: a reader must find the block as soon as its write was answered.
      Atomics.store(words, 0, at + 1);
      Atomics.notify(words, 0);
      if (at % 200 === 199) {
        await node.delete(...blobs.slice(at - 199, at).filter((_, index) => (at - 199 + index) % 3 === 0));
        await node.compact(10);
      }
    }
  })();
  await Promise.race([work, Promise.all(results)]);
  Atomics.store(words, 1, 1);
  for (const { sync, waited, absent } of await Promise.all(results)) {
    assert.ok(sync > 100 && waited > 100 && absent > 0, JSON.stringify({ sync, waited, absent }));
  }
  await work;
  await Promise.all(workers.map((worker) => worker.terminate()));
  assert.deepStrictEqual(node.warnings, []);
  await node.close();
});
