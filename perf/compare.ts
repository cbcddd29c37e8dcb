// Holds results against earlier ones: a verdict for each figure, from all rounds of both. What is compared is the ratio
// to the limit that was measured in the same round, where there is one: the machine's own ups and downs are in both.
// The test is Mann and Whitney's, exact: it asks how likely the rounds would fall apart like this if nothing had
// changed, and assumes nothing of how they are spread.

import type { Result } from './figures.js';

export type Verdict = 'better' | 'worse' | 'within noise' | 'too few rounds' | 'new';

export interface Comparison {
  readonly name: string;
  readonly verdict: Verdict;
  /** Median now to median then; undefined for what is new. */
  readonly change: number | undefined;
  /** How likely rounds as far apart as these are without a change, either way. */
  readonly probability: number | undefined;
  readonly of: 'ratio to the limit' | 'value';
}

/** Of three rounds against three, the least that can be reached is 0.1. */
const LIKELY = 0.1;
/** Changes below this are not worth a word, however sure they are. */
const NOTABLE = 0.03;
const ROUNDS_MIN = 3;

export function compareResults(old: readonly Result[], now: readonly Result[]): Comparison[] {
  const before = new Map(old.map((result) => [result.name, result]));
  return now.map((result) => compareOne(before.get(result.name), result));
}

function compareOne(old: Result | undefined, now: Result): Comparison {
  const { name } = now;
  if (old === undefined) {
    return { name, verdict: 'new', change: undefined, probability: undefined, of: 'value' };
  }
  const sameLimit = now.limits[0]?.name !== undefined && old.limits[0]?.name === now.limits[0].name;
  const byRatio = sameLimit && old.ratios.length > 0 && now.ratios.length > 0;
  const [left, right] = byRatio ? [old.ratios, now.ratios] : [old.samples, now.samples];
  const change = median(right) / median(left);
  const probability = mannWhitney(left, right);
  const of = byRatio ? 'ratio to the limit' : 'value';
  const verdict = verdictOf(Math.min(left.length, right.length), change, probability, now.lessIsBetter ?? false);
  return { name, verdict, change, probability, of };
}

function verdictOf(rounds: number, change: number, probability: number, lessIsBetter: boolean): Verdict {
  if (rounds < ROUNDS_MIN) return 'too few rounds';
  if (probability > LIKELY || Math.abs(change - 1) < NOTABLE) return 'within noise';
  return change > 1 === lessIsBetter ? 'worse' : 'better';
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2; // never empty
}

/**
 * The two-sided probability of a U as far from its middle as this one: the number of orders of the rounds that give
 * each U, by the recurrence of Mann and Whitney (1947), over all orders. Equal values count half.
 */
export function mannWhitney(left: readonly number[], right: readonly number[]): number {
  let u = 0;
  for (const one of left) for (const other of right) u += one > other ? 1 : one === other ? 0.5 : 0;
  const extreme = Math.min(u, left.length * right.length - u);
  const counts = orders(left.length, right.length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  for (let value = 0; value <= Math.floor(extreme); value++) below += counts[value]!;
  return Math.min(1, (2 * below) / total);
}

/** How many orders of m and n values have each U: the largest value is one of the m (n below it) or of the n. */
function orders(m: number, n: number): number[] {
  if (m === 0 || n === 0) return [1];
  const counts = new Array<number>(m * n + 1).fill(0);
  orders(m - 1, n).forEach((count, u) => {
    counts[u + n]! += count;
  });
  orders(m, n - 1).forEach((count, u) => {
    counts[u]! += count;
  });
  return counts;
}

export function formatComparisons(comparisons: readonly Comparison[]): string {
  const width = Math.max(...comparisons.map(({ name }) => name.length), 0);
  const lines = comparisons.map(({ name, verdict, change, probability, of }) => {
    if (change === undefined || probability === undefined) return `${name.padEnd(width)}  ${verdict}`;
    const percent = `${change >= 1 ? '+' : ''}${((change - 1) * 100).toFixed(1)} %`;
    return `${name.padEnd(width)}  ${verdict.padEnd(14)}  ${percent.padStart(9)}  p ${probability.toFixed(2)}  ${of}`;
  });
  return lines.join('\n');
}
