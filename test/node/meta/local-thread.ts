// The reading thread of local.test.ts: what it reads must never be older than what it knew to be acknowledged.

import { parentPort, workerData } from 'node:worker_threads';
import { openLocalMeta } from '../../../node/meta/index.js';

export interface ReaderData {
  directory: string;
  leases: SharedArrayBuffer;
  group: number;
  root: number;
  /** 0: what was acknowledged last; 1: reads made; 2: stop. */
  words: Int32Array;
}

async function readUntilStopped({ directory, leases, group, root, words }: ReaderData): Promise<string> {
  const local = openLocalMeta({ dataDirectory: directory, leases });
  let stale = 0;
  while (Atomics.load(words, 2) === 0) {
    const acknowledged = Atomics.load(words, 0);
    const answer = local.read('lookup', group, { parent: root, name: 'f' });
    // While an answer is ahead of what is applied the meta thread has to be asked.
    if (answer === undefined) continue;
    if (acknowledged > 0 && answer.attr.mtime.sec < acknowledged) stale++;
    Atomics.add(words, 1, 1);
  }
  await local.close();
  return stale === 0 ? 'nothing stale' : `${stale} stale reads`;
}

if (parentPort !== null) parentPort.postMessage(await readUntilStopped(workerData as ReaderData));
