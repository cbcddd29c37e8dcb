// The simulations that there are, and whose run a seed is: every number is a run of one of them.

import { SCALE } from './blocks/scale.js';
import { withLimits } from './limits.js';
import { raft } from './raft/simulation.js';
import type { House, Simulation } from './shell/simulation.js';

// Some limits are read when node/block is loaded: it is loaded under its own.
const { blocks } = await withLimits(SCALE, () => import('./blocks/simulation.js'));

/** One of so many seeds is a run of the block store. */
const SHARE_OF_BLOCKS = 4;

export const house: House = {
  simulations: [raft, blocks],
  simulationOf(seed: number): Simulation {
    return seed % SHARE_OF_BLOCKS === 0 ? blocks : raft;
  },
};

export { blocks, raft };
