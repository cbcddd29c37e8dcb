// What a load on a mount is told, and what it tells.

import type { HistogramData } from '../histogram.js';

/** Of sequential reads and writes, and what sizes of large files are counted in. */
export const PIECE_BYTES = 1 << 20;
/** Of random reads and writes. */
export const BLOCK_BYTES = 4096;

export const MOUNT_OPS = [
  'create',
  'open-write-close',
  'write-fsync',
  'stat',
  'open-read-close',
  'readdir',
  'rename',
  'unlink',
  'shuffled epoch',
  'sequential write',
  'sequential read',
  'random read, direct',
  'random read, buffered',
  'random write, direct',
  'random write, buffered',
] as const;
export type MountOp = (typeof MOUNT_OPS)[number];

/** How they are called in a command line. */
export function plainName(op: MountOp): string {
  return op.replaceAll(/,? /g, '-');
}

export function isOnLargeFile(op: MountOp): boolean {
  return /^(sequential|random)/.test(op);
}

export interface MountTask {
  readonly directory: string;
  readonly op: MountOp;
  /** Of this process among those that share the directory. */
  readonly client: number;
  readonly seconds: number;
  /** The same load unmeasured, before it is ready. */
  readonly warmSeconds: number;
  /** Files that stand before the clock runs, where the operation needs some; pieces of a large file. */
  readonly files: number;
  readonly fileBytes: number;
}

export interface MountResult {
  readonly operations: number;
  /** Entries for readdir, bytes for sequential reads and writes, else operations. */
  readonly units: number;
  readonly seconds: number;
  readonly latency: HistogramData;
  readonly cpuSeconds: number;
}
