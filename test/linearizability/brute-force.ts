// The definition of linearizability, tried out word by word: every order of every subset of the operations of unknown
// outcome with all others. For histories of a few operations; the checker is held against it.

import { type History, type Model, UNKNOWN } from './history.js';

/** Whether some order respects real time and the model. Without partition, memo, or any other thought. */
export function bruteForce<S, Q, A>(model: Model<S, Q, A>, history: History<Q, A>): boolean {
  const rest = history.map((_, index) => index);
  return extend(model, history, rest, model.init(history));
}

function extend<S, Q, A>(model: Model<S, Q, A>, history: History<Q, A>, rest: readonly number[], state: S): boolean {
  if (rest.every((index) => history[index]!.answer === UNKNOWN)) return true;
  for (const index of rest) {
    const { request, answer, invoked } = history[index]!;
    const others = rest.filter((other) => other !== index);
    if (others.some((other) => endOf(history, other) < invoked)) continue;
    for (const after of model.step(state, request, answer) ?? [])
      if (extend(model, history, others, after)) return true;
  }
  return false;
}

function endOf(history: History<unknown, unknown>, index: number): number {
  const { answer, returned } = history[index]!;
  return answer === UNKNOWN || returned === null ? Number.POSITIVE_INFINITY : returned;
}
