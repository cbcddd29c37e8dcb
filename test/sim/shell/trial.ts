// Runs seeds of a simulation until something is broken, for the trial of a planted bug: called in a process that runs a
// copy of the build that has the bug.

import { type House, ownSeeds, type Simulation } from './simulation.js';

export interface Verdict {
  /** Until something was broken; all, if nothing was. */
  readonly runs: number;
  /** The first that broke something; undefined if none did. */
  readonly seed?: number;
  /** What was broken, in the order in which it was seen, in the seeds that broke something. */
  readonly invariants: readonly string[];
  readonly first?: string;
  readonly what?: string;
  /** Why there are no more runs. */
  readonly failure?: string;
}

/** So many more seeds are run after the first that broke something, to see what else can see the bug; not for long. */
const MORE = 10;
const MORE_MS = 5000;

export async function trial(house: House, simulation: Simulation, most: number): Promise<Verdict> {
  const seen = new Set<string>();
  let found: { seed: number; first: string; what: string; runs: number } | undefined;
  let runs = 0;
  let end = most;
  let enoughMs = Number.POSITIVE_INFINITY;
  for (const seed of ownSeeds(house, simulation)) {
    if (runs >= end || performance.now() > enoughMs) break;
    runs++;
    const { broken } = await simulation.runSeed(seed);
    for (const { invariant } of broken) seen.add(invariant);
    const [first] = broken;
    if (first === undefined || found !== undefined) continue;
    found = { seed, first: first.invariant, what: first.what.split('\n')[0] ?? '', runs };
    end = Math.min(end, runs + MORE);
    enoughMs = performance.now() + MORE_MS;
  }
  return { runs, invariants: [...seen], ...found };
}
