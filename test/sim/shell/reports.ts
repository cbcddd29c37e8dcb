// Collects what is broken in a run, so that one wrong does not hide another, and says it.

import type { Broken } from './simulation.js';

/** Broken by what a process says of itself when it ends, and by what does not come to rest. */
export const ASSERTION = 'no assertion fails';
export const PROGRESS = 'what is healed makes progress';

/** Most reports that are kept: the first of each invariant is among them. */
const KEPT = 50;

export class Reports {
  readonly broken: Broken[] = [];

  constructor(private readonly nowUs: () => number) {}

  readonly report = (invariant: string, what: string): void => {
    const known = this.broken.some((broken) => broken.invariant === invariant);
    if (!known || this.broken.length < KEPT) this.broken.push({ invariant, what, atUs: this.nowUs() });
  };
}

/** A line for each invariant that was broken: its first report. */
export function linesOf(broken: readonly Broken[]): string[] {
  const firsts = new Map<string, Broken>();
  for (const report of broken) if (!firsts.has(report.invariant)) firsts.set(report.invariant, report);
  return [...firsts.values()].map(
    ({ invariant, what, atUs }) => `  ${(atUs / 1000).toFixed(3)} ms: ${invariant}: ${what}`,
  );
}
