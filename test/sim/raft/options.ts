// What a run is made of, all of it chosen by its seed: how many machines, what they are asked to do, and which faults
// there are, how often. Each seed has other faults switched off, so that none hides behind another. What a seed chose
// can be narrowed, to find out how little of it breaks what was broken.

import { limits } from '../../../proto/limits.js';
import { Random } from '../random.js';
import type { Narrowed } from '../shell/simulation.js';
import { type DiskFaults, NO_FAULTS } from './disk.js';
import { type NetworkFaults, NO_NETWORK_FAULTS } from './network.js';

/** Each can be switched off by its name. */
export const faultNames = [
  'crash',
  'machine-crash',
  'crash-at-io',
  'news',
  'pause',
  'cut',
  'isolate',
  'quarrel',
  'strand',
  'loss',
  'double',
  'late',
  'slow-link',
  'clock',
  'slow-disk',
  'stall',
  'full-disk',
  'fail-write',
  'fail-sync',
  'torn-bytes',
  'misdirect',
  'rot',
  'wipe',
  'change',
  'remove-group',
  'transfer',
  'checkpoint',
  'restart',
] as const;

export type FaultName = (typeof faultNames)[number];

export interface Options {
  readonly seed: number;
  /** What the groups hold: registers, or the metadata of a volume. */
  readonly machine: 'kv' | 'meta';
  readonly voters: number;
  readonly spares: number;
  readonly groups: number;
  readonly sessions: number;
  /** Nobody uses any group but the first. */
  readonly lopsided: boolean;
  readonly keys: number;
  /** Of simulated time under faults, in milliseconds. */
  readonly stormMs: number;
  readonly faults: ReadonlySet<FaultName>;
  /** How often something is done to some machine, on average. */
  readonly faultEveryMs: number;
  /** A crash at a write or a send, when they are switched on. */
  readonly crashAtIo: number;
  readonly disk: DiskFaults;
  readonly network: NetworkFaults;
  readonly segmentBytes: number;
  readonly applyBytes: number;
  readonly paddingBytes: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly quiesceTicks: number;
  readonly clockErrorPpm: number;
  readonly checkpointEntries: number;
  readonly thinkMs: number;
  /** Of reads among all that sessions ask. */
  readonly reads: number;
  /** Of the time in which nothing is written. */
  readonly onlyReads: number;
  /** Answers leave when their entries are committed. */
  readonly earlyAnswers: boolean;
  /** Messages pass through their codec. */
  readonly encoded: boolean;
  /** In place of those of proto/limits.ts, so that what they bound is met. */
  readonly limits: Readonly<Record<string, number>>;
}

export function optionsOf(seed: number, narrowed: Narrowed = {}): Options {
  const random = new Random(seed);
  // Half of the faults are there in a run, on average; in some runs nearly all, in some hardly any.
  const share = random.pick([0.15, 0.4, 0.6, 0.9]);
  const chosen = faultNames.filter(() => random.chance(share));
  const faults = new Set(chosen.filter((name) => !narrowed.without?.includes(name)));
  const on = (name: FaultName, value: number): number => (faults.has(name) ? value : 0);
  const voters = random.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
  const spares = random.pick([0, 1, 1, 2]);
  const electionTicks = random.between(4, 10);
  const rare = random.pick([0.001, 0.01, 0.05]);
  const machine = random.chance(0.3) ? 'meta' : 'kv';
  // What the log keeps of a group at rest is met only where another one turns many segments over.
  const lopsided = seed % 5 === 0;
  if (lopsided && !narrowed.without?.includes('checkpoint')) faults.add('checkpoint');
  const wanted = {
    voters,
    spares,
    groups: lopsided ? 2 : random.pick([1, 1, 1, 2]),
    sessions: random.between(2, 6),
    stormMs: random.between(5_000, 20_000),
  };
  return {
    seed,
    machine,
    ...wanted,
    ...narrowed.numbers,
    lopsided,
    keys: random.between(1, 4),
    faults,
    faultEveryMs: random.pick([60, 200, 500]),
    crashAtIo: on('crash-at-io', random.pick([0.0005, 0.002, 0.01])),
    disk: {
      ...NO_FAULTS,
      latencyUs: random.pick([20, 100, 100, 2000, 20_000]),
      slowWrite: on('slow-disk', random.pick([0.01, 0.05])),
      stall: on('stall', 0.003),
      stallUs: random.pick([100_000, 1_000_000, 5_000_000]),
      failWrite: on('fail-write', 0.001),
      failSync: on('fail-sync', 0.05),
      misdirect: on('misdirect', 0.001),
      tornBytes: faults.has('torn-bytes'),
    },
    network: {
      ...NO_NETWORK_FAULTS,
      latencyUs: random.pick([20, 200, 2000, 30_000]),
      loss: on('loss', rare),
      double: on('double', random.pick([0.01, 0.05, 0.2])),
      late: on('late', random.pick([0.01, 0.05])),
      lateUs: random.pick([50_000, 1_000_000, 10_000_000]),
      slowLink: on('slow-link', 0.2),
      slowFactor: random.pick([10, 100]),
    },
    segmentBytes: lopsided ? 8192 : random.pick([2048, 4096, 16_384]) * 4,
    applyBytes: random.pick([1, 500, limits.raftApplyBytes]),
    paddingBytes: lopsided ? 400 : random.pick([0, 50, 400]),
    electionTicks,
    heartbeatTicks: electionTicks >= 6 && random.chance(0.3) ? 2 : 1,
    quiesceTicks: random.pick([0, 0, 3, 10]),
    clockErrorPpm: random.pick([limits.raftClockErrorPpm, 20_000, 100_000]),
    checkpointEntries: random.pick([machine === 'meta' ? 20 : 5, 20, 100]),
    thinkMs: lopsided ? 10 : random.pick([machine === 'meta' ? 50 : 3, 20, 100]),
    reads: random.pick([0.2, 0.5]),
    onlyReads: lopsided ? 0 : random.pick([0, 0.4, 0.7]),
    earlyAnswers: random.chance(0.3),
    encoded: random.chance(0.25),
    limits: {
      raftInflightMessages: random.pick([2, 8, limits.raftInflightMessages]),
      raftInflightBytes: random.pick([1000, limits.raftInflightBytes]),
      raftMessageBytes: random.pick([200, 2000, limits.raftMessageBytes]),
      raftWindowBytes: random.pick([300, 3000, limits.raftWindowBytes]),
      raftUncommittedBytes: random.pick([2000, limits.raftUncommittedBytes]),
      raftReadRounds: random.pick([1, 3, limits.raftReadRounds]),
      raftSnapshotPieceBytes: random.pick([100, 1000, limits.raftSnapshotPieceBytes]),
      raftSnapshotTicks: random.pick([30, limits.raftSnapshotTicks]),
      raftHoldTicks: random.pick([10, 10, 40, limits.raftHoldTicks]),
      raftSnapshotsSending: random.pick([1, limits.raftSnapshotsSending]),
      raftPromotionLagEntries: random.pick([5, limits.raftPromotionLagEntries]),
    },
  };
}
