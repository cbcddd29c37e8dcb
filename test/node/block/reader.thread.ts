// A thread that reads blocks while others write and compact them; for concurrency.test.ts.

import assert from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import { openBlockReader } from '../../../node/block/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { patternBytes } from './support.js';

export interface ReaderData {
  directory: string;
  arena: SharedArrayBuffer;
  /** Words: how many blobs are written, whether to stop; then per blob its length, then its id in two words. */
  board: SharedArrayBuffer;
}

const { directory, arena, board } = workerData as ReaderData;
const words = new Int32Array(board);
const reader = openBlockReader({ directory, arena });
const result = { sync: 0, waited: 0, absent: 0 };
let state = 1;

while (Atomics.load(words, 1) === 0) {
  const written = Atomics.load(words, 0);
  if (written === 0) {
    Atomics.wait(words, 0, 0, 100);
    continue;
  }
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const recent = state % 3 === 0 ? Math.min(written, 8) : written;
  const at = written - 1 - ((state >>> 8) % recent);
  const length = words[2 + at * 3]!;
  const block = (words[3 + at * 3]! >>> 0) + (words[4 + at * 3]! >>> 0) * 2 ** 32;
  const offset = (state >>> 4) % length;
  const target = Buffer.alloc(Math.min(length - offset, 1 + ((state >>> 3) % 70_000)));
  const expected = patternBytes(length, at).subarray(offset, offset + target.length);
  if (reader.readSync(block, offset, target)) {
    result.sync++;
    assert.ok(target.equals(expected), `wrong bytes of block ${block}, read at once`);
    continue;
  }
  try {
    await reader.read(block, offset, target);
    result.waited++;
    assert.ok(target.equals(expected), `wrong bytes of block ${block}`);
  } catch (error) {
    // Every third block may have been deleted; no other may ever be missed, and none be damaged.
    assert.ok(error instanceof OfsError && error.status === Status.NOENT && at % 3 === 0, String(error));
    result.absent++;
  }
}
reader.close();
parentPort!.postMessage(result);
