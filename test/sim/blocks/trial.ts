// Runs seeds until something is broken, for the trial of a planted bug: started on a copy of the build that has the bug.
// Prints one line of JSON.

import type { Verdict } from '../trial.js';
import { runSeed } from './run.js';

/** So many more seeds are run after the first that broke something, to see what else can see the bug. */
const MORE = 10;

async function trial(from: number, count: number): Promise<Verdict> {
  const seen = new Set<string>();
  let found: { seed: number; first: string; what: string; seeds: number } | undefined;
  let left = count;
  for (let seed = from; left > 0; seed++, left--) {
    const { broken } = await runSeed(seed);
    for (const { invariant } of broken) seen.add(invariant);
    const [first] = broken;
    if (first === undefined || found !== undefined) continue;
    found = { seed, first: first.invariant, what: first.what.split('\n')[0] ?? '', seeds: seed - from + 1 };
    left = Math.min(left, MORE + 1);
  }
  return { seeds: count, invariants: [...seen], ...found };
}

const [from = '1', count = '2000'] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await trial(Number(from), Number(count)))}\n`);
