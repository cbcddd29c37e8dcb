// Histories made to measure: a concurrent execution of something sequential, in which every operation takes effect at
// one instant between call and return, so it is linearizable; and small damage to a history.

import { type Operation, UNKNOWN } from './history.js';

export interface Execution<Q, A> {
  readonly clients: number;
  readonly operations: number;
  readonly random: () => number;
  readonly request: (client: number) => Q;
  /** Takes effect at once. */
  readonly perform: (request: Q) => A;
  /** How many of a hundred operations end in a timeout, half of them without effect. */
  readonly unknownPercent?: number;
  /** A client hears of an answer. */
  readonly heard?: (client: number, request: Q, answer: A) => void;
}

interface UnderWay<Q, A> {
  readonly index: number;
  readonly request: Q;
  readonly lost: boolean;
  effect: { answer: A } | null;
}

/** Interleaves calls, effects and returns at random. A client that was timed out goes on; its request may be late. */
export function execute<Q, A>(execution: Execution<Q, A>): Operation<Q, A>[] {
  const { clients, random, perform } = execution;
  const history: Operation<Q, A>[] = [];
  const current = new Array<UnderWay<Q, A> | null>(clients).fill(null);
  const late: Q[] = [];
  let now = 0;
  while (history.length < execution.operations || current.some((one) => one !== null)) {
    const client = Math.floor(random() * clients);
    const one = current[client];
    now++;
    const straggler = random() < 0.05 ? late.pop() : undefined;
    if (straggler !== undefined) perform(straggler);
    if (one === null || one === undefined) {
      if (history.length < execution.operations) current[client] = call(execution, client, history, now);
    } else if (one.effect === null && !one.lost) {
      one.effect = { answer: perform(one.request) };
    } else {
      const begun = history[one.index]!;
      const { effect } = one;
      // Of those without an answer some have had an effect, some will, some never do.
      if (effect === null || random() * 100 < (execution.unknownPercent ?? 0) / 2) {
        if (effect === null && random() < 0.5) late.push(one.request);
        history[one.index] = { ...begun, returned: now };
      } else {
        history[one.index] = { ...begun, returned: now, answer: effect.answer };
        execution.heard?.(client, one.request, effect.answer);
      }
      current[client] = null;
    }
  }
  return history;
}

function call<Q, A>(
  { request, random, unknownPercent }: Execution<Q, A>,
  client: number,
  history: Operation<Q, A>[],
  now: number,
): UnderWay<Q, A> {
  const asked = request(client);
  const index = history.push({ client, invoked: now, returned: null, request: asked, answer: UNKNOWN }) - 1;
  return { index, request: asked, lost: random() * 100 < (unknownPercent ?? 0) / 2, effect: null };
}
