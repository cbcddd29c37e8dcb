// Finds out how little of a run breaks what it broke: faults switched off one by one, fewer sessions, a shorter storm.

import { type FaultName, type Narrowed, optionsOf } from './options.js';
import { type Outcome, runSeed } from './run.js';

export interface Shortened {
  readonly narrowed: Narrowed;
  readonly outcome: Outcome;
  readonly tries: number;
}

/** Gives up looking for less after this long. */
const PATIENCE_MS = 10_000;

export async function shorten(seed: number, outcome: Outcome, run: typeof runSeed = runSeed): Promise<Shortened> {
  const wanted = outcome.broken[0]?.invariant;
  const deadline = performance.now() + PATIENCE_MS;
  let best: Shortened = { narrowed: {}, outcome, tries: 0 };
  let tries = 0;
  const attempt = async (change: Narrowed): Promise<boolean> => {
    if (performance.now() > deadline) return false;
    tries++;
    const narrowed = { ...best.narrowed, ...change };
    const found = await run(seed, { narrowed });
    if (!found.broken.some(({ invariant }) => invariant === wanted)) return false;
    best = { narrowed, outcome: found, tries };
    return true;
  };
  for (const name of outcome.options.faults) await attempt({ without: [...(best.narrowed.without ?? []), name] });
  for (const count of [1, 2]) if (count < outcome.options.sessions && (await attempt({ sessions: count }))) break;
  for (;;) {
    const { stormMs } = best.outcome.options;
    const brokenMs = Math.ceil((best.outcome.broken[0]?.atUs ?? 0) / 1000) + 1;
    if (brokenMs < stormMs * 0.95 && (await attempt({ stormMs: brokenMs }))) continue;
    if (stormMs < 20 || !(await attempt({ stormMs: Math.floor(stormMs / 2) }))) break;
  }
  return { ...best, tries };
}

/** What to give to the command to have the same run again. */
export function asArguments(seed: number, narrowed: Narrowed): string {
  const parts = [`--seed ${seed}`];
  const off: readonly FaultName[] = narrowed.without?.filter((name) => optionsOf(seed).faults.has(name)) ?? [];
  if (off.length > 0) parts.push(`--without ${off.join(',')}`);
  for (const name of ['sessions', 'stormMs'] as const) {
    if (narrowed[name] !== undefined) parts.push(`--${name} ${narrowed[name]}`);
  }
  return parts.join(' ');
}
