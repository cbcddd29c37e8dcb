// What the checker is given: a history of operations as clients saw them, and a model that says what a correct system
// may answer. Times are any numbers that order events (a counter, simulated or real time).

/** The answer of an operation that ended in a timeout, a crash, or not at all: it may have taken effect or yet do so. */
export const UNKNOWN = 'unknown';
export type Unknown = typeof UNKNOWN;

export interface Operation<Q, A> {
  readonly client: number | string;
  readonly invoked: number;
  /** When its answer came; null when none did, which makes the answer UNKNOWN. Operations that touch at one instant count as concurrent. */
  readonly returned: number | null;
  readonly request: Q;
  /** With UNKNOWN the operation may take effect at any time behind `invoked`, or never. */
  readonly answer: A | Unknown;
}

export type History<Q, A> = readonly Operation<Q, A>[];

/** A sequential object. States are values that nobody changes; where nothing changes, `step` returns the very same. */
export interface Model<S, Q, A> {
  readonly name: string;
  /** What a history begins with; `part` is one of those that `partition` made. */
  init(part: History<Q, A>): S;
  /**
   * The states that the request may lead to when it is answered so; null when it cannot be answered so. With UNKNOWN: the
   * states that it leads to, whatever it would answer.
   */
  step(state: S, request: Q, answer: A | Unknown): readonly S[] | null;
  /**
   * Whether this request, answered so, changes nothing in whatever state. The checker places such an operation as soon
   * as it fits, so the more the model knows of the better.
   */
  changesNothing(request: Q, answer: A): boolean;
  /** Equal states have equal hashes. */
  hash(state: S): number;
  equal(left: S, right: S): boolean;
  /**
   * Parts that are linearizable one by one if and only if the whole is (Herlihy, Wing 1990: locality). A part may leave
   * out operations that say nothing. Absent: one part.
   */
  partition?(history: History<Q, A>): History<Q, A>[];
  /**
   * Whether operations of a part, by their place in it, may depend on each other in any state: that the order of the
   * two decides what they answer or lead to. Absent: all do.
   */
  related?(part: History<Q, A>): (left: number, right: number) => boolean;
  /** For people: an operation in a few words, and a state in some lines. */
  describe(operation: Operation<Q, A>): string;
  show(state: S): string;
}

export interface CheckLimits {
  /** Calls of the model's `step`, of all parts together. */
  readonly steps?: number;
  /** Milliseconds, of all parts together. */
  readonly ms?: number;
  /** States that are remembered at once. */
  readonly memo?: number;
}

/** An order of operations, by their place in `operations`, that the model accepts as far as it goes. */
export interface Prefix {
  readonly order: readonly number[];
  /** The state that it leads to, for people. */
  readonly state: string;
}

/** How far the search came. */
export interface Progress<Q, A> {
  /** The part that was not linearized. */
  readonly operations: History<Q, A>;
  /** The orders that came furthest; some of them. */
  readonly prefixes: readonly Prefix[];
  /** The operation that had to come next in them and fits nowhere. */
  readonly stuck: number;
  readonly steps: number;
}

export type Verdict<Q, A> =
  | { readonly verdict: 'ok'; readonly parts: number; readonly steps: number }
  | ({ readonly verdict: 'illegal' } & Progress<Q, A>)
  /** The limits ended the search: nothing is known. Never a pass. */
  | ({ readonly verdict: 'unknown'; readonly why: string } & Progress<Q, A>);
