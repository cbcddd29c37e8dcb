// What a run is made of, all of it chosen by its seed: the sizes and limits of the store, what is asked of it, and which
// faults there are, how often. What a seed chose can be narrowed, to find out how little of it breaks what was broken.

import { Random } from '../random.js';
import type { Narrowed } from '../shell/simulation.js';

/** Each can be switched off by its name. */
export const faultNames = [
  'kill',
  'power',
  'kill-at-io',
  'power-at-io',
  'kill-at-step',
  'torn-bytes',
  'stale',
  'names',
  'fail-sync',
  'fail-write',
  'evict',
  'short-write',
  'full-disk',
  'rot',
  'rot-index',
  'slow-disk',
  'delete',
  'compact',
  'stop',
  'threads',
  'strange-data',
] as const;

export type FaultName = (typeof faultNames)[number];

export interface BlockOptions {
  readonly seed: number;
  readonly faults: ReadonlySet<FaultName>;
  readonly sessions: number;
  /** Of simulated time under faults. */
  readonly stormMs: number;
  readonly faultEveryMs: number;
  /** That a life ends at an operation of its disk. */
  readonly crashAtIo: number;
  readonly crashAtStep: number;
  readonly failSync: number;
  readonly failWrite: number;
  readonly shortWrite: number;
  readonly latencyUs: number;
  readonly thinkMs: number;
  /** Of a disk that is full at times. */
  readonly capacityBytes: number;
  readonly volumeBytes: number;
  readonly volumeNeedles: number;
  readonly compactBytesPerSecond: number;
  /** The largest block of most blobs. */
  readonly blockBytes: number;
  readonly deletes: number;
  readonly reads: number;
  /** In place of those of proto/limits.ts, so that what they bound is met. */
  readonly limits: Readonly<Record<string, number>>;
}

export function optionsOf(seed: number, narrowed: Narrowed = {}): BlockOptions {
  const random = new Random(seed);
  const share = random.pick([0.15, 0.4, 0.6, 0.9]);
  const chosen = faultNames.filter(() => random.chance(share));
  const faults = new Set(chosen.filter((name) => !narrowed.without?.includes(name)));
  const on = (name: FaultName, value: number): number => (faults.has(name) ? value : 0);
  const atIo = random.pick([0.0003, 0.001, 0.005]);
  const wanted = { sessions: random.between(1, 6), stormMs: random.between(40, 240) };
  const appendZeroedBytes = random.pick([100, 1024, 2048]);
  return {
    seed,
    faults,
    ...wanted,
    ...narrowed.numbers,
    faultEveryMs: random.pick([20, 60, 150]),
    crashAtIo: on('kill-at-io', atIo) + on('power-at-io', atIo),
    crashAtStep: on('kill-at-step', random.pick([0.02, 0.1])),
    failSync: on('fail-sync', random.pick([0.001, 0.005])),
    failWrite: on('fail-write', 0.0005),
    shortWrite: on('short-write', random.pick([0.02, 0.3])),
    latencyUs: on('slow-disk', random.pick([1000, 3000])) + random.pick([20, 100, 300]),
    thinkMs: random.pick([0.5, 2, 5]),
    capacityBytes: random.between(60, 300) * 1024,
    volumeBytes: random.pick([20, 30, 60, 120]) * 1024,
    volumeNeedles: random.pick([4, 20, 20, 60, 200]),
    compactBytesPerSecond: random.pick([Number.POSITIVE_INFINITY, 1 << 20, 1 << 17]),
    blockBytes: random.pick([40, 600, 1500, 1500, 8192]),
    deletes: on('delete', random.pick([0.1, 0.3, 0.45])),
    reads: random.pick([0.1, 0.3, 0.5]),
    limits: {
      appendZeroedBytes,
      appendSyncBytes: random.pick([2048, 4096, 1 << 20]),
      appendBatchBytes: random.pick([16, 20, 64]) * 1024,
      appendBatchNeedles: random.pick([1, 2, 8, 64]),
      volumeExtendBytes: random.pick([0, 4, 16]) * 1024,
      openVolumesPerThread: random.pick([1, 2, 3]),
      volumeFilesPerThread: random.pick([1, 2, 256]),
      indexSyncLines: random.pick([1, 4, 64]),
      indexBacklogLines: random.pick([1, 4, 64]),
      blockListEntries: random.pick([5, 100]),
      blockReadsInFlight: random.pick([1, 4, 64]),
      queueRequests: random.pick([2, 8, 64]),
      compactHolePercent: random.pick([20, 50]),
      compactOpenHoleBytes: random.pick([1, 10]) * 1024,
      compactStepBytes: random.pick([8, 16, 64]) * 1024,
    },
  };
}
