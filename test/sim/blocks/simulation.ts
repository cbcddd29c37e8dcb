// The simulation of the block store, as the shell knows it.

import type { Simulation } from '../shell/simulation.js';
import { bugs } from './bugs.js';
import { invariantNames } from './invariants.js';
import { faultNames } from './options.js';
import { runSeed } from './run.js';

export const blocks: Simulation = {
  name: 'blocks',
  faultNames,
  sizes: [{ name: 'sessions', tries: [1, 2] }],
  leastStormMs: 20,
  invariantNames,
  bugs,
  runSeed,
};
