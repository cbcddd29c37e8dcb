// What a load on a mount is told, and what it tells.

import type { HistogramData } from '../histogram.js';

/** Of sequential reads and writes. */
export const PIECE_BYTES = 1 << 20;

export const MOUNT_OPS = [
  'create',
  'open-write-close',
  'write-fsync',
  'stat',
  'open-read-close',
  'readdir',
  'rename',
  'unlink',
  'sequential write',
  'sequential read',
] as const;
export type MountOp = (typeof MOUNT_OPS)[number];

export interface MountTask {
  readonly directory: string;
  readonly op: MountOp;
  /** Of this process among those that share the directory. */
  readonly client: number;
  readonly seconds: number;
  /** Files that stand before the clock runs, where the operation needs some. */
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
