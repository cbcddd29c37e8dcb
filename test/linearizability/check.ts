// Whether a history is linearizable: its parts one after the other, within limits. What the limits end is unknown, and
// that is a verdict of its own, so that nobody takes it for a pass.

import { type CheckLimits, type History, type Model, UNKNOWN, type Verdict } from './history.js';
import { type Budget, type Effort, type Found, Search } from './search.js';

const defaults: Required<CheckLimits> = { steps: 50_000_000, ms: 60_000, memo: 3_000_000 };

const FIRST_STEPS = 100_000;
const whole = { block: Number.POSITIVE_INFINITY, onlyWhereStuck: false };
const efforts: readonly Omit<Effort, 'steps'>[] = [
  { block: 1, onlyWhereStuck: true },
  { block: 2, onlyWhereStuck: true },
  { block: 2, onlyWhereStuck: false },
  whole,
];

export function check<S, Q, A>(
  model: Model<S, Q, A>,
  history: History<Q, A>,
  options: CheckLimits = {},
): Verdict<Q, A> {
  const { steps: most, ms, memo } = { ...defaults, ...options };
  const begun = performance.now();
  const late = (): string | null => (performance.now() - begun > ms ? `${ms} ms are over` : null);
  const budget: Budget = { steps: most, memo, late };
  const parts = model.partition?.(history) ?? [history];
  // Small parts are cheap, and one that is illegal settles all: they come before what may take all there is.
  parts.sort((a, b) => a.length - b.length);
  let unknown: Verdict<Q, A> | null = null;
  for (const operations of parts) {
    const found = search(model, operations, budget);
    const steps = most - budget.steps;
    if (found.end === 'ok') continue;
    const { prefixes, stuck } = found;
    const progress = { operations, prefixes, stuck, steps };
    if (found.end === 'none') return { verdict: 'illegal', ...progress };
    unknown ??= { verdict: 'unknown', why: `${found.why}, in a part of ${operations.length} operations`, ...progress };
  }
  const steps = most - budget.steps;
  if (unknown !== null) return { ...unknown, steps };
  return { verdict: 'ok', parts: parts.length, steps };
}

/** By growing efforts, in turns: each finds soon what the one before may miss, and none may take all there is. */
function search<S, Q, A>(model: Model<S, Q, A>, operations: History<Q, A>, budget: Budget): Found {
  const isSure = operations.every(({ answer }) => answer !== UNKNOWN);
  // Without unknown outcomes all efforts are the same.
  if (isSure) return new Search(model, operations, budget, { ...whole, steps: Number.POSITIVE_INFINITY }).run();
  const done = new Set<object>();
  for (let steps = FIRST_STEPS; ; steps *= 4) {
    for (const effort of efforts) {
      if (done.has(effort)) continue;
      const found = new Search(model, operations, budget, { ...effort, steps }).run();
      if (found.end === 'ok' || found.end === 'limit' || (found.end === 'none' && found.all)) return found;
      if (found.end === 'none') done.add(effort);
    }
  }
}
