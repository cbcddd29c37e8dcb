// Whether a history is linearizable: its parts one after the other, within limits. What the limits end is unknown, and
// that is a verdict of its own, so that nobody takes it for a pass.

import type { CheckLimits, History, Model, Verdict } from './history.js';
import { type Budget, Search } from './search.js';

const defaults: Required<CheckLimits> = { steps: 50_000_000, ms: 60_000, memo: 3_000_000 };

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
  let unknown: string | null = null;
  for (const operations of parts) {
    const found = new Search(model, operations, budget).run();
    const steps = most - budget.steps;
    if (found.end === 'illegal') return { verdict: 'illegal', operations, ...found, steps };
    if (found.end === 'spent') unknown ??= `${found.why}, in a part of ${operations.length} operations`;
  }
  const steps = most - budget.steps;
  if (unknown !== null) return { verdict: 'unknown', why: unknown, steps };
  return { verdict: 'ok', parts: parts.length, steps };
}
