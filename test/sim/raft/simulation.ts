// The simulation of raft, its log and what runs on it, as the shell knows it.

import type { Simulation } from '../shell/simulation.js';
import { bugs } from './bugs.js';
import { invariantNames } from './invariants/index.js';
import { faultNames } from './options.js';
import { runSeed } from './run.js';

export const raft: Simulation = {
  name: 'raft',
  faultNames,
  sizes: [
    { name: 'groups', tries: [1] },
    { name: 'spares', tries: [0, 1] },
    { name: 'voters', tries: [1, 2, 3] },
    { name: 'sessions', tries: [1, 2] },
  ],
  leastStormMs: 200,
  invariantNames,
  bugs,
  runSeed,
};
