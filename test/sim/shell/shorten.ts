// Finds out how little of a run breaks what it broke: smaller sizes, faults switched off one by one, a shorter storm.

import { type Narrowed, type Outcome, type Simulation, STORM } from './simulation.js';

export interface Shortened {
  readonly narrowed: Narrowed;
  readonly outcome: Outcome;
  readonly tries: number;
}

/** Gives up looking for less after this long. */
const PATIENCE_MS = 20_000;

export async function shorten(simulation: Simulation, seed: number, outcome: Outcome): Promise<Shortened> {
  const wanted = outcome.broken[0]?.invariant;
  const deadline = performance.now() + PATIENCE_MS;
  let best: Shortened = { narrowed: {}, outcome, tries: 0 };
  let tries = 0;
  const attempt = async ({ without = [], numbers }: Narrowed): Promise<boolean> => {
    if (performance.now() > deadline) return false;
    tries++;
    const { narrowed: before } = best;
    const narrowed = {
      without: [...(before.without ?? []), ...without],
      numbers: { ...before.numbers, ...numbers },
    };
    const found = await simulation.runSeed(seed, { narrowed });
    if (!found.broken.some(({ invariant }) => invariant === wanted)) return false;
    best = { narrowed, outcome: found, tries };
    return true;
  };
  for (const { name, tries: counts } of simulation.sizes) {
    const smaller = counts.filter((count) => count < outcome.numbers[name]!); // what can be narrowed is in an outcome
    for (const count of smaller) if (await attempt({ numbers: { [name]: count } })) break;
  }
  for (const name of outcome.faults) await attempt({ without: [name] });
  for (;;) {
    const stormMs = best.outcome.numbers[STORM]!; // each simulation has one
    const brokenMs = Math.ceil((best.outcome.broken[0]?.atUs ?? 0) / 1000) + 1;
    if (brokenMs < stormMs * 0.95 && (await attempt({ numbers: { [STORM]: brokenMs } }))) continue;
    if (stormMs < simulation.leastStormMs) break;
    if (!(await attempt({ numbers: { [STORM]: Math.floor(stormMs / 2) } }))) break;
  }
  return { ...best, tries };
}

/** What to give to the command to have the same run again. */
export function asArguments(seed: number, { without = [], numbers = {} }: Narrowed): string {
  const parts = [`--seed ${seed}`];
  if (without.length > 0) parts.push(`--without ${without.join(',')}`);
  for (const [name, number] of Object.entries(numbers)) parts.push(`--${name} ${number}`);
  return parts.join(' ');
}
