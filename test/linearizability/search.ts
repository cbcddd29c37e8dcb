// The search for a linearization of one part of a history (Wing, Gong 1993; with the memo of Lowe 2017). One step places
// an operation with an answer that may come next, and before it, if need be, a *block* of operations of unknown outcome.
// Complete: all orders that respect real time are tried, but for those that cannot succeed if the others do not:
//   - the same operations with an answer led to the same state before (memo), with no other of unknown outcome: those
//     are still to be had;
//   - once an operation fits that may come next and could not change any state, all that do not place it now: in any
//     order it can be moved to the front;
//   - moves of operations that have nothing to do with the one that must come before all that is called after its return,
//     directly or through others that may come next: what has can be moved before what has not;
//   - an operation of unknown outcome stands in a block without need: without it the same is answered and the same state
//     reached, or the same when it comes right behind. What is last in the whole order never happened. So a block holds
//     only what depends, through others of the block, on the operation that it stands before.

import { EventList, HEAD } from './events.js';
import { type History, type Model, type Prefix, UNKNOWN } from './history.js';

const PREFIXES = 3;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 1000;
/** Bits of a set that a character of its key holds. */
const KEY_BITS = 15;
const NO_BLOCK: readonly number[] = [];
const NOTHING = -1;

/** What a search may still take; shared by the searches of a history's parts. */
export interface Budget {
  steps: number;
  readonly memo: number;
  /** Says why, when the time is over. */
  readonly late: () => string | null;
}

/**
 * What a search tries. Few blocks are enough nearly always, and are found soon; only a search without bounds can say
 * that there is no order.
 */
export interface Effort {
  /** Operations in a block at most. */
  readonly block: number;
  /** Blocks stand only before operations that do not fit without. */
  readonly onlyWhereStuck: boolean;
  /** Calls of the model's `step`. */
  readonly steps: number;
}

/** Operations that fit: those of the block, one after the other, then the one with an answer. */
interface Move<S> {
  readonly block: readonly number[];
  readonly operation: number;
  readonly after: readonly S[];
}

/** A move that was made, and how to go on when it leads nowhere. */
interface Frame<S> extends Move<S> {
  /** The move before it. */
  readonly below: Frame<S> | undefined;
  readonly before: S;
  /** Which of `after` is being tried. */
  chosen: number;
  /** Changes nothing: nothing else need be tried in its place. */
  readonly idle: boolean;
  /** The others, if they are being tried already. */
  readonly moves: Iterator<Move<S>> | null;
}

export type Found =
  | { readonly end: 'ok' }
  /** There is no order; or, if something was not tried for want of effort, none was found. */
  | { readonly end: 'none'; readonly all: boolean; readonly prefixes: readonly Prefix[]; readonly stuck: number }
  /** A limit was reached, or only the end of this search's effort. */
  | {
      readonly end: 'limit' | 'effort';
      readonly why: string;
      readonly prefixes: readonly Prefix[];
      readonly stuck: number;
    };

class Spent extends Error {
  constructor(
    readonly what: 'limit' | 'effort',
    why: string,
  ) {
    super(why);
  }
}

export class Search<S, Q, A> {
  private readonly events: EventList;
  private readonly placed: Uint8Array;
  private readonly frames: Frame<S>[] = [];
  /** By operations with an answer and the state's hash: states, with the operations of unknown outcome in them. */
  private readonly memo = new Map<string, { state: S; floats: string }[]>();
  private memoSize = 0;
  private state: S;
  private placedKnown = 0;
  private placedFloats = 0;
  /** All operations with an answer before this one, by the order of their calls, are placed. */
  private low = 0;
  private furthest = HEAD;
  private longest = 0;
  /** The last moves of the orders that came furthest, and the states behind them. */
  private ends: { readonly last: Frame<S> | undefined; readonly state: S }[] = [];
  private nextLook = Number.POSITIVE_INFINITY;
  private readonly lastStep: number;
  /** The effort left something out. */
  private cutShort = false;
  private readonly related: (left: number, right: number) => boolean;

  constructor(
    private readonly model: Model<S, Q, A>,
    private readonly operations: History<Q, A>,
    private readonly budget: Budget,
    private readonly effort: Effort,
  ) {
    this.lastStep = budget.steps - effort.steps;
    this.state = model.init(operations);
    this.placed = new Uint8Array(operations.length);
    this.events = new EventList(operations);
    this.related = model.related?.(operations) ?? (() => true);
  }

  run(): Found {
    try {
      if (this.complete()) return { end: 'ok' };
      return { end: 'none', all: !this.cutShort, prefixes: this.prefixes, stuck: this.stuck };
    } catch (error) {
      if (!(error instanceof Spent)) throw error;
      if (this.furthest === HEAD) this.noteStuck(this.firstReturn());
      return { end: error.what, why: error.message, prefixes: this.prefixes, stuck: this.stuck };
    }
  }

  private get stuck(): number {
    return this.events.operationOf[this.furthest]!; // an event
  }

  private complete(): boolean {
    const { events } = this;
    while (this.placedKnown < events.known.length) {
      if (this.makeFirst() || this.makeNext(this.otherMoves(NOTHING))) continue;
      for (;;) {
        const frame = this.retreat();
        if (frame === undefined) return false;
        if (frame === 'other state' || this.makeNext(frame.moves ?? this.otherMoves(frame.operation))) break;
      }
    }
    return true;
  }

  /** Places the first operation that fits. */
  private makeFirst(): boolean {
    const { events } = this;
    let event = events.first;
    for (; !events.isReturn[event]; event = events.next[event]!) {
      const operation = events.operationOf[event]!;
      const after = this.step(this.state, operation);
      if (after.length > 0 && this.make({ block: NO_BLOCK, operation, after }, null)) return true;
    }
    // What returns here is not placed and fits now in no way.
    this.noteStuck(event);
    return false;
  }

  private makeNext(moves: Iterator<Move<S>>): boolean {
    for (let next = moves.next(); next.done !== true; next = moves.next())
      if (this.make(next.value, moves)) return true;
    return false;
  }

  /** Moves that are to be tried but for one that was: those without a block, then those with few, then with many. */
  private *otherMoves(tried: number): Generator<Move<S>> {
    const { events } = this;
    const candidates: number[] = [];
    let event = events.first;
    for (; !events.isReturn[event]; event = events.next[event]!) candidates.push(events.operationOf[event]!);
    const { changing, idle } = this.fitting(candidates);
    if (idle !== undefined) {
      if (idle.operation !== tried) yield idle;
      return;
    }
    const floats = events.floats.filter((float) => this.placed[float] === 0 && events.callOf[float]! < event);
    const bound = this.connected(events.operationOf[event]!, [...candidates, ...floats]);
    for (const move of changing) if (move.operation !== tried && bound.has(move.operation)) yield move;
    const fits = new Set(changing.map(({ operation }) => operation));
    const next: { operation: number; choice: readonly number[] }[] = [];
    for (const operation of candidates) {
      if (!bound.has(operation)) continue;
      const choice = [...this.connected(operation, floats)].filter((float) => float !== operation);
      const leftOut = choice.length > 0 && this.effort.onlyWhereStuck && fits.has(operation);
      this.cutShort ||= leftOut || choice.length > this.effort.block;
      if (!leftOut) next.push({ operation, choice });
    }
    const most = Math.min(this.effort.block, Math.max(...next.map(({ choice }) => choice.length)));
    for (let size = 1; size <= most; size++) {
      for (const { operation, choice } of next)
        if (choice.length >= size) yield* this.extended(operation, choice, size, [], this.state);
    }
  }

  /** Which operations fit as they are; if one changes nothing, it alone matters. */
  private fitting(candidates: readonly number[]): { changing: Move<S>[]; idle?: Move<S> } {
    const changing: Move<S>[] = [];
    for (const operation of candidates) {
      const move = { block: NO_BLOCK, operation, after: this.step(this.state, operation) };
      if (move.after.length === 0) continue;
      if (this.isIdle(move)) return { changing, idle: move };
      changing.push(move);
    }
    return { changing };
  }

  private isIdle({ block, operation, after }: Move<S>): boolean {
    if (block.length > 0 || after.length !== 1 || after[0] !== this.state) return false;
    const { request, answer } = this.operations[operation]!; // a move is of one of them
    return answer !== UNKNOWN && this.model.changesNothing(request, answer);
  }

  /** An operation and those of some others that may have to do with it, directly or through each other. */
  private connected(operation: number, others: readonly number[]): Set<number> {
    const found = new Set([operation]);
    for (const one of found)
      for (const other of others) if (!found.has(other) && this.related(one, other)) found.add(other);
    return found;
  }

  /** Moves whose block goes on from here by `more` operations. */
  private *extended(
    operation: number,
    choice: readonly number[],
    more: number,
    block: readonly number[],
    state: S,
  ): Generator<Move<S>> {
    if (more === 0) {
      const after = this.step(state, operation).filter((reached) => this.isNeeded(block, operation, reached));
      if (after.length > 0) yield { block, operation, after };
      return;
    }
    for (const float of choice) {
      if (block.includes(float)) continue;
      for (const reached of this.step(state, float))
        if (!this.same(reached, state)) yield* this.extended(operation, choice, more - 1, [...block, float], reached);
    }
  }

  /** Whether every operation of a block must stand where it does, for this state to be reached. */
  private isNeeded(block: readonly number[], operation: number, reached: S): boolean {
    const before = this.state;
    return block.every((float) => {
      const others = [...block.filter((other) => other !== float), operation];
      const without = this.follow(before, others);
      if (without.some((state) => this.same(state, reached))) return false;
      return !without.some((state) => this.step(state, float).some((later) => this.same(later, reached)));
    });
  }

  private follow(before: S, operations: readonly number[]): readonly S[] {
    let states: readonly S[] = [before];
    for (const operation of operations) states = states.flatMap((state) => this.step(state, operation));
    return states;
  }

  private same(left: S, right: S): boolean {
    return left === right || (this.model.hash(left) === this.model.hash(right) && this.model.equal(left, right));
  }

  private step(state: S, operation: number): readonly S[] {
    const { budget } = this;
    if (budget.steps <= 0) throw new Spent('limit', 'the limit of steps is reached');
    if (budget.steps <= this.lastStep) throw new Spent('effort', 'the steps of this effort are done');
    budget.steps--;
    if (budget.steps < this.nextLook) {
      this.nextLook = budget.steps - STEPS_PER_LOOK;
      const why = budget.late();
      if (why !== null) throw new Spent('limit', why);
    }
    const { request, answer } = this.operations[operation]!; // the caller's is one of them
    return this.model.step(state, request, answer) ?? [];
  }

  private make(move: Move<S>, moves: Iterator<Move<S>> | null): boolean {
    const below = this.frames.at(-1);
    const frame: Frame<S> = { ...move, below, before: this.state, idle: this.isIdle(move), chosen: -1, moves };
    this.lift(frame);
    if (!this.choose(frame)) {
      this.putBack(frame);
      return false;
    }
    this.frames.push(frame);
    return true;
  }

  /** Takes the next of a frame's states that was not reached before with the same operations. */
  private choose(frame: Frame<S>): boolean {
    for (frame.chosen++; frame.chosen < frame.after.length; frame.chosen++) {
      const state = frame.after[frame.chosen]!; // below its length
      if (!frame.idle && !this.isNew(state)) continue;
      this.state = state;
      return true;
    }
    return false;
  }

  /** Takes back until something else can be tried; undefined when all was. */
  private retreat(): Frame<S> | 'other state' | undefined {
    for (;;) {
      const frame = this.frames.pop();
      if (frame === undefined) return undefined;
      this.state = frame.before;
      if (!frame.idle && this.choose(frame)) {
        this.frames.push(frame);
        return 'other state';
      }
      this.putBack(frame);
      if (!frame.idle) return frame;
    }
  }

  private lift({ block, operation }: Move<S>): void {
    for (const float of block) this.placed[float] = 1;
    this.placed[operation] = 1;
    this.placedFloats += block.length;
    this.placedKnown++;
    this.events.lift(operation);
  }

  private putBack({ block, operation }: Move<S>): void {
    for (const float of block) this.placed[float] = 0;
    this.placed[operation] = 0;
    this.placedFloats -= block.length;
    this.placedKnown--;
    this.events.putBack(operation);
    this.low = Math.min(this.low, this.events.rank[operation]!); // every operation has one
  }

  private isNew(state: S): boolean {
    const key = `${this.knownKey()}:${this.model.hash(state)}`;
    const floats = this.bitsOf(this.events.floats, 0, this.placedFloats);
    const reached = this.memo.get(key);
    if (reached?.some((one) => contains(floats, one.floats) && this.same(one.state, state))) return false;
    if (this.memoSize >= this.budget.memo) throw new Spent('limit', 'the limit of remembered states is reached');
    this.memoSize++;
    if (reached === undefined) this.memo.set(key, [{ state, floats }]);
    else reached.push({ state, floats });
    return true;
  }

  /** The set of placed operations with an answer: how many from the first on, and which of the few behind them. */
  private knownKey(): string {
    const { known } = this.events;
    while (this.low < known.length && this.placed[known[this.low]!] === 1) this.low++;
    return `${this.low},${this.bitsOf(known, this.low, this.placedKnown - this.low)}`;
  }

  /** Which of a list from `from` on are placed; they are `count`. */
  private bitsOf(list: readonly number[], from: number, count: number): string {
    let key = '';
    for (let at = from, rest = count; rest > 0; at += KEY_BITS) {
      let bits = 0;
      for (let bit = 0; bit < KEY_BITS && at + bit < list.length; bit++) {
        if (this.placed[list[at + bit]!] === 0) continue;
        bits |= 1 << bit;
        rest--;
      }
      key += String.fromCharCode(bits);
    }
    return key;
  }

  private firstReturn(): number {
    const { events } = this;
    let event = events.first;
    while (!events.isReturn[event]) event = events.next[event]!;
    return event;
  }

  /** Keeps the orders that came furthest: to the latest return, and there with the most operations. */
  private noteStuck(event: number): void {
    const length = this.frames.length;
    if (event < this.furthest || (event === this.furthest && length < this.longest)) return;
    if (event > this.furthest || length > this.longest) this.ends = [];
    this.furthest = event;
    this.longest = length;
    if (this.ends.length < PREFIXES) this.ends.push({ last: this.frames.at(-1), state: this.state });
  }

  private get prefixes(): Prefix[] {
    return this.ends.map(({ last, state }) => {
      const moves: Move<S>[] = [];
      for (let frame = last; frame !== undefined; frame = frame.below) moves.push(frame);
      const order = moves.reverse().flatMap(({ block, operation }) => [...block, operation]);
      return { order, state: this.model.show(state) };
    });
  }
}

/** Whether a set has all of another, both as `bitsOf` gives them. */
function contains(set: string, subset: string): boolean {
  if (subset.length > set.length) return false;
  for (let at = 0; at < subset.length; at++) if ((subset.charCodeAt(at) & ~set.charCodeAt(at)) !== 0) return false;
  return true;
}
