// What the machine can do, measured beside every figure: a write that is on disk when it returns, a copy of memory.

import fs from 'node:fs';
import path from 'node:path';
import type { Limit } from './figures.js';

const ZEROED_BYTES = 1 << 24;
const COPY_BYTES = 1 << 20;
const CHECK_EVERY = 64;

/**
 * Writes of `bytes` followed by fdatasync(2), one after the other from one thread, over zeros that are on disk; in
 * writes a second. Group commit can do better than this for small ones, nothing for large ones.
 */
export function syncedWrites(directory: string, bytes: number, seconds: number): number {
  const file = path.join(directory, 'perf-limit');
  const size = Math.max(ZEROED_BYTES, bytes);
  const fd = fs.openSync(file, 'w+');
  try {
    const zeros = Buffer.alloc(COPY_BYTES);
    for (let at = 0; at < size; at += zeros.length) fs.writeSync(fd, zeros, 0, zeros.length, at);
    fs.fsyncSync(fd);
    const data = Buffer.alloc(bytes, 7);
    const places = Math.floor(size / bytes);
    const begun = performance.now();
    let writes = 0;
    while (performance.now() - begun < seconds * 1000 || writes === 0) {
      fs.writeSync(fd, data, 0, bytes, (writes % places) * bytes);
      fs.fdatasyncSync(fd);
      writes++;
    }
    return (writes * 1000) / (performance.now() - begun);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(file);
  }
}

/** Copies of `bytes` within memory, a second. */
export function copies(bytes: number, seconds: number): number {
  const source = Buffer.alloc(bytes, 1);
  const target = Buffer.alloc(Math.max(bytes, COPY_BYTES));
  const begun = performance.now();
  let done = 0;
  while (performance.now() - begun < seconds * 1000) {
    for (let round = 0; round < CHECK_EVERY; round++) {
      target.set(source, (done * bytes) % (target.length - bytes + 1));
      done++;
    }
  }
  return (done * 1000) / (performance.now() - begun);
}

/** Synced writes in a directory, each size measured once in a run. */
export class SyncLimits {
  private readonly known = new Map<number, number>();

  constructor(
    private readonly directory: string,
    private readonly seconds: number,
  ) {}

  of(bytes: number): Limit {
    const value = this.known.get(bytes) ?? syncedWrites(this.directory, bytes, this.seconds);
    this.known.set(bytes, value);
    return { name: 'write + fdatasync, one by one', value };
  }
}
