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
  /** One of three goes. If it leads, the others are not alike: of equals it chooses the first to follow it. */
  smaller: {
    configuration: configurationOf([1, 2, 3]),
    disks: [EMPTY, EMPTY, EMPTY],
    changes: [[gone(3)]],
    alike: [],
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

/** What is explored when nothing else is asked for, the small before the large. */
export const programme: readonly (readonly [SettingName, Partial<Bounds>])[] = [
  ['two', { crashes: 1, delays: 2 }],
  ['two', { beats: 2, crashes: 1, delays: 1 }],
  ['three', { timeouts: 1, terms: 1, crashes: 1, delays: 1 }],
  ['larger', { entries: 4, proposals: 0, changes: 1 }],
  ['smaller', { entries: 4, proposals: 0, changes: 1 }],
  ['three', {}],
  ['three', { proposals: 0, crashes: 1 }],
  ['three', { terms: 3, timeouts: 3, proposals: 0 }],
  ['three', { delays: 1 }],
  ['larger', { entries: 4, changes: 1 }],
  ['smaller', { entries: 4, changes: 1 }],
  ['three', { crashes: 1 }],
];
