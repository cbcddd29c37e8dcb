// The groups that the model explores, and the bounds that it does it in.

import type { Change } from '../../node/raft/core/index.js';
import { limits } from '../../proto/limits.js';
import { type Configuration, type Entry, EntryKind, encodeConfiguration } from '../../proto/raft/index.js';
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

/** A log of one entry that fills a message, so that what follows it travels by itself. */
function logOf(term: number): Entry[] {
  return [{ index: 1, term, kind: EntryKind.NORMAL, payload: Buffer.alloc(limits.raftMessageBytes, `${term}`) }];
}

function configurationEntry(configuration: Configuration): Entry {
  return { index: 1, term: 1, kind: EntryKind.CONFIGURATION, payload: encodeConfiguration(configuration) };
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
  /** Two of three are going, and only the third knows. */
  joint: {
    configuration: configurationOf([1, 2, 3]),
    disks: [
      { term: 1, vote: 1, entries: [configurationEntry({ ...configurationOf([1]), outgoing: [1, 2, 3] })] },
      { term: 1, vote: 1, entries: [] },
      { term: 1, vote: 1, entries: [] },
    ],
    changes: [],
    alike: [[2, 3]],
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
