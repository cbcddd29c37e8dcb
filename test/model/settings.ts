// The groups that the model explores, and the bounds that it does it in.

import type { Change } from '../../node/raft/core/index.js';
import { type Configuration, type Entry, EntryKind } from '../../proto/raft/index.js';
import type { DiskState } from './disk.js';
import type { Bounds, Setting } from './world.js';

const EMPTY: DiskState = { term: 0, vote: 0, entries: [] };

export function configurationOf(voters: readonly number[], learners: readonly number[] = []): Configuration {
  return { voters, outgoing: [], learners, learnersNext: [] };
}

export const bounds: Bounds = {
  terms: 2,
  entries: 3,
  timeouts: 2,
  beats: 0,
  proposals: 1,
  changes: 0,
  crashes: 0,
  delays: 0,
};

const gone = (id: number): Change => ({ id, to: 'gone' });

/** Logs by the terms of their entries. */
function logOf(...terms: readonly number[]): Entry[] {
  return terms.map((term, at) => ({ index: at + 1, term, kind: EntryKind.EMPTY, payload: Buffer.alloc(0) }));
}

export const settings = {
  two: {
    configuration: configurationOf([1, 2]),
    disks: [EMPTY, EMPTY],
    changes: [],
    alike: [[1, 2]],
  },
  three: {
    configuration: configurationOf([1, 2, 3]),
    disks: [EMPTY, EMPTY, EMPTY],
    changes: [],
    alike: [[1, 2, 3]],
  },
  /** One of three goes. */
  smaller: {
    configuration: configurationOf([1, 2, 3]),
    disks: [EMPTY, EMPTY, EMPTY],
    changes: [[gone(3)]],
    alike: [[1, 2]],
  },
  /** A learner becomes the third voter. */
  larger: {
    configuration: configurationOf([1, 2], [3]),
    disks: [EMPTY, EMPTY, EMPTY],
    changes: [[{ id: 3, to: 'voter' }]],
    alike: [[1, 2]],
  },
  /** Two of three go at once. */
  single: {
    configuration: configurationOf([1, 2, 3]),
    disks: [EMPTY, EMPTY, EMPTY],
    changes: [[gone(2), gone(3)]],
    alike: [[2, 3]],
  },
  /** Figure 3.7 of the paper, for three: the first entry is of term 1 at one member and of term 2 at another. */
  divided: {
    configuration: configurationOf([1, 2, 3]),
    disks: [
      { term: 2, vote: 0, entries: logOf(1) },
      { term: 2, vote: 3, entries: [] },
      { term: 2, vote: 3, entries: logOf(2) },
    ],
    changes: [],
    alike: [],
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
