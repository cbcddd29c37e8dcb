// The search for a linearization of one part of a history (Wing, Gong 1993; with the memo of Lowe 2017, and the list of
// calls and returns from which an operation is lifted when it is placed). Complete: all orders that respect real time are
// tried, but for three kinds that cannot succeed if the others do not:
//   - a set of operations that led to the same state before (memo);
//   - once an operation fits that may come next and could not change any state, all that do not place it now: in any
//     order it can be moved to the front;
//   - an operation of unknown outcome that changes nothing: it may as well never happen.
// Operations of unknown outcome are placed only where nothing else gets further, so that many of them cost little.

import assert from 'node:assert';
import { type History, type Model, type Operation, type Prefix, UNKNOWN } from './history.js';

const HEAD = 0;
const NO_RETURN = 0;
const PREFIXES = 3;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 1000;
/** Bits of a set that a character of its key holds. */
const KEY_BITS = 15;

/** What a search may still take; shared by the searches of a history's parts. */
export interface Budget {
  steps: number;
  memo: number;
  /** Says why, when the time is over. */
  readonly late: () => string | null;
}

/** An operation that was placed, and how to go on when that leads nowhere. */
interface Frame<S> {
  readonly operation: number;
  readonly before: S;
  readonly after: readonly S[];
  /** Which of `after` is being tried. */
  chosen: number;
  /** Changes nothing: nothing else need be tried in its place. */
  readonly idle: boolean;
  /** Where the search for another operation goes on. */
  readonly event: number;
  readonly floating: number;
}

export type Found =
  | { readonly end: 'ok' }
  | { readonly end: 'illegal'; readonly prefixes: readonly Prefix[]; readonly stuck: number }
  | { readonly end: 'spent'; readonly why: string };

interface Event {
  readonly time: number;
  readonly isReturn: boolean;
  readonly operation: number;
}

export class Search<S, Q, A> {
  // Events from 1 in their order; those of operations with unknown outcome are not in the list.
  private readonly operationOf: number[] = [-1];
  private readonly returns: boolean[] = [false];
  private readonly next: number[] = [];
  private readonly previous: number[] = [];
  private readonly callOf: number[];
  private readonly returnOf: number[];
  /** Operations of unknown outcome in the order of their calls. */
  private readonly floats: number[] = [];
  private readonly placed: Uint8Array;
  private readonly frames: Frame<S>[] = [];
  private readonly memo = new Map<string, S[]>();
  private memoSize = 0;
  private state: S;
  /** Operations with an answer that are not placed. */
  private left = 0;
  private placedKnown = 0;
  private placedFloats = 0;
  /** All operations with an answer before this one, by the order of their calls, are placed. */
  private low = 0;
  /** Operations with an answer in the order of their calls, and where in it each is. */
  private readonly known: number[] = [];
  private readonly rankOf: number[] = [];
  private furthest = HEAD;
  private longest = 0;
  private prefixes: Prefix[] = [];
  private nextLook = Number.POSITIVE_INFINITY;

  constructor(
    private readonly model: Model<S, Q, A>,
    private readonly operations: History<Q, A>,
    private readonly budget: Budget,
  ) {
    this.state = model.init(operations);
    this.placed = new Uint8Array(operations.length);
    this.callOf = new Array<number>(operations.length).fill(NO_RETURN);
    this.returnOf = new Array<number>(operations.length).fill(NO_RETURN);
    this.link(eventsOf(operations));
  }

  run(): Found {
    let event = this.next[HEAD]!; // the list has its head
    let floating = 0;
    while (this.left > 0) {
      const why = this.spent();
      if (why !== null) return { end: 'spent', why };
      if (!this.advance(event, floating)) {
        const frame = this.retreat();
        if (frame === undefined) return { end: 'illegal', prefixes: this.prefixes, stuck: this.stuck };
        if (frame !== 'other state') {
          event = frame.event;
          floating = frame.floating;
          continue;
        }
      }
      event = this.next[HEAD]!; // the list has its head
      floating = 0;
    }
    return { end: 'ok' };
  }

  private get stuck(): number {
    return this.operationOf[this.furthest]!; // an event
  }

  private spent(): string | null {
    const { budget } = this;
    if (budget.steps <= 0) return 'the limit of steps is reached';
    if (this.memoSize > budget.memo) return 'the limit of remembered states is reached';
    if (budget.steps > this.nextLook) return null;
    this.nextLook = budget.steps - STEPS_PER_LOOK;
    return budget.late();
  }

  private link(events: readonly Event[]): void {
    let last = HEAD;
    events.forEach(({ isReturn, operation }, index) => {
      const event = index + 1;
      this.operationOf.push(operation);
      this.returns.push(isReturn);
      if (isReturn) this.returnOf[operation] = event;
      else this.callOf[operation] = event;
      if (isFloating(this.operations[operation]!)) {
        this.floats.push(operation);
        return;
      }
      if (!isReturn) {
        this.rankOf[operation] = this.known.length;
        this.known.push(operation);
      }
      this.next[last] = event;
      this.previous[event] = last;
      last = event;
    });
    this.left = this.known.length;
    this.next[last] = HEAD;
    this.previous[HEAD] = last;
  }

  /** Places one more operation of those that may come next, from a place in the list on. */
  private advance(from: number, floatsFrom: number): boolean {
    let event = from;
    for (; !this.returns[event]; event = this.next[event]!) {
      const operation = this.operationOf[event]!;
      if (this.place(operation, this.next[event]!, 0)) return true;
    }
    // The operation that returns here is not placed and fits now in no way: something unknown must have come before.
    if (floatsFrom === 0) this.noteStuck(event);
    const { floats } = this;
    for (let at = floatsFrom; at < floats.length; at++) {
      const operation = floats[at]!;
      if (this.callOf[operation]! > event) return false;
      if (this.placed[operation] === 0 && this.place(operation, event, at + 1)) return true;
    }
    return false;
  }

  private place(operation: number, event: number, floating: number): boolean {
    const { request, answer } = this.operations[operation]!;
    const { state, model } = this;
    this.budget.steps--;
    const after = model.step(state, request, answer);
    if (after === null || after.length === 0) return false;
    const same = after.length === 1 && after[0] === state;
    if (same && answer === UNKNOWN) return false;
    const idle = same && answer !== UNKNOWN && model.changesNothing(request, answer);
    this.lift(operation);
    const frame: Frame<S> = { operation, before: state, after, chosen: -1, idle, event, floating };
    if (!this.choose(frame)) {
      this.putBack(operation);
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
      this.putBack(frame.operation);
      if (!frame.idle) return frame;
    }
  }

  private lift(operation: number): void {
    this.placed[operation] = 1;
    const call = this.callOf[operation]!;
    const end = this.returnOf[operation]!;
    if (isFloating(this.operations[operation]!)) {
      this.placedFloats++;
      return;
    }
    this.unlink(call);
    this.unlink(end);
    this.left--;
    this.placedKnown++;
  }

  private putBack(operation: number): void {
    this.placed[operation] = 0;
    if (isFloating(this.operations[operation]!)) {
      this.placedFloats--;
      return;
    }
    this.relink(this.returnOf[operation]!);
    this.relink(this.callOf[operation]!);
    this.left++;
    this.placedKnown--;
    this.low = Math.min(this.low, this.rankOf[operation]!);
  }

  private unlink(event: number): void {
    const before = this.previous[event]!;
    const behind = this.next[event]!;
    this.next[before] = behind;
    this.previous[behind] = before;
  }

  private relink(event: number): void {
    this.next[this.previous[event]!] = event;
    this.previous[this.next[event]!] = event;
  }

  private isNew(state: S): boolean {
    const key = `${this.setKey()}:${this.model.hash(state)}`;
    const states = this.memo.get(key);
    if (states === undefined) {
      this.memo.set(key, [state]);
      this.memoSize++;
      return true;
    }
    for (const known of states) if (known === state || this.model.equal(known, state)) return false;
    states.push(state);
    this.memoSize++;
    return true;
  }

  /** The set of placed operations: how many from the first on, which of the few behind them, which of unknown outcome. */
  private setKey(): string {
    const { known, placed } = this;
    while (this.low < known.length && placed[known[this.low]!] === 1) this.low++;
    let key = `${this.low},`;
    for (let at = this.low, rest = this.placedKnown - this.low; rest > 0; at += KEY_BITS) {
      const bits = this.bitsOf(known, at);
      for (let count = bits; count !== 0; count &= count - 1) rest--;
      key += String.fromCharCode(bits);
    }
    key += ',';
    for (let at = 0, rest = this.placedFloats; rest > 0; at += KEY_BITS) {
      const bits = this.bitsOf(this.floats, at);
      for (let count = bits; count !== 0; count &= count - 1) rest--;
      key += String.fromCharCode(bits);
    }
    return key;
  }

  private bitsOf(list: readonly number[], from: number): number {
    let bits = 0;
    for (let bit = 0; bit < KEY_BITS && from + bit < list.length; bit++)
      if (this.placed[list[from + bit]!] === 1) bits |= 1 << bit;
    return bits;
  }

  /** Keeps the orders that came furthest: to the latest return, and there with the most operations. */
  private noteStuck(event: number): void {
    const length = this.frames.length;
    if (event < this.furthest || (event === this.furthest && length < this.longest)) return;
    if (event > this.furthest || length > this.longest) this.prefixes = [];
    this.furthest = event;
    this.longest = length;
    if (this.prefixes.length >= PREFIXES) return;
    const order = this.frames.map(({ operation }) => operation);
    this.prefixes.push({ order, state: this.model.show(this.state) });
  }
}

export function isFloating({ answer }: Operation<unknown, unknown>): boolean {
  return answer === UNKNOWN;
}

/** Calls before returns where they fall together. */
function eventsOf(operations: History<unknown, unknown>): Event[] {
  const events: Event[] = [];
  operations.forEach((operation, index) => {
    const { invoked, returned } = operation;
    events.push({ time: invoked, isReturn: false, operation: index });
    if (isFloating(operation)) return;
    assert(returned !== null && returned >= invoked, `operation ${index} returns before it is invoked`);
    events.push({ time: returned, isReturn: true, operation: index });
  });
  return events.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
}
