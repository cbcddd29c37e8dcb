// Every state that can be reached within bounds. A state with the same members and past as another, more messages and
// no more used up, can do all that the other can: so only those are kept that no other covers, and those come
// first that lead to others, and have many messages, so that little is done again. What is violated is told by the way to it; `shortest` goes by breadth, which takes
// longer and finds a short one.

import type { Core } from './member.js';
import { type Action, type Bounds, covers, type Setting, Violation, World } from './world.js';

export interface ExploreOptions {
  readonly core: Core;
  readonly setting: Setting;
  readonly bounds: Bounds;
  readonly ms?: number;
  /** States kept at most: memory is about 500 bytes a state. */
  readonly states?: number;
  readonly shortest?: boolean;
  /** Told every few seconds. */
  readonly progress?: (report: Report) => void;
}

export interface Report {
  /** States from which every step was taken, and those of them that no other covers. */
  readonly states: number;
  readonly kept: number;
  readonly transitions: number;
  /** Steps from the first state to the furthest. */
  readonly depth: number;
  readonly ms: number;
  /** Distinct states of a member, distinct messages. */
  readonly members: number;
  readonly messages: number;
  /** Nothing within the bounds was left out. */
  readonly exhausted: boolean;
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | null;
}

interface Reached {
  readonly state: readonly number[];
  readonly content: Int32Array;
  readonly depth: number;
  readonly from: Reached | null;
  readonly action: Action | null;
  covered: boolean;
}

const PROGRESS_MS = 5000;
/** States between two looks at the clock. */
const PER_LOOK = 256;

export function explore(options: ExploreOptions): Report {
  return new Exploration(options).run();
}

class Exploration {
  private readonly world: World;
  private readonly reached = new Map<string, Reached[]>();
  private readonly queue = new Queue<Reached>();
  private states = 0;
  private kept = 0;
  private transitions = 0;
  private depth = 0;
  private readonly begun = performance.now();

  constructor(private readonly options: ExploreOptions) {
    const { core, setting, bounds } = options;
    this.world = new World(core, setting, bounds);
  }

  run(): Report {
    const { ms = Number.POSITIVE_INFINITY, states = 10_000_000, progress } = this.options;
    this.add(this.world.initial(), null, null);
    let nextProgress = PROGRESS_MS;
    for (let count = 0; ; count++) {
      if (count % PER_LOOK === 0) {
        const passed = performance.now() - this.begun;
        if (passed > ms || this.kept >= states) return this.report(false, null);
        if (passed > nextProgress) {
          progress?.(this.report(false, null));
          nextProgress = passed + PROGRESS_MS;
        }
      }
      const from = this.queue.take();
      if (from === undefined) return this.report(true, null);
      if (from.covered) continue;
      this.states++;
      let tried: Action | null = null;
      try {
        this.world.expand(from.state, (action) => {
          tried = action;
          const next = this.world.next(from.state, action);
          if (next === null) return;
          this.transitions++;
          this.add(next, from, action);
        });
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        return this.report(false, { what: error.message, trace: this.trace(from, tried) });
      }
    }
  }

  private add(state: readonly number[], from: Reached | null, action: Action | null): void {
    const { world, reached } = this;
    const depth = from === null ? 0 : from.depth + 1;
    const found: Reached = { state, content: world.contentOf(state), depth, from, action, covered: false };
    const key = world.headOf(state);
    const others = reached.get(key) ?? [];
    if (others.length === 0) reached.set(key, others);
    else if (others.some((other) => covers(other.content, found.content))) return;
    let left = 0;
    for (const other of others) {
      if (covers(found.content, other.content)) other.covered = true;
      else others[left++] = other;
    }
    this.kept += left + 1 - others.length;
    others.length = left;
    others.push(found);
    this.depth = Math.max(this.depth, depth);
    this.queue.put(found, this.options.shortest === true ? depth : this.turnOf(state));
  }

  /** The less progress and the more messages, the sooner. */
  private turnOf(state: readonly number[]): number {
    return this.world.progressOf(state) * MESSAGES + Math.max(0, MESSAGES - state.length);
  }

  private report(exhausted: boolean, violation: Report['violation']): Report {
    const { distinctMembers: members, distinctMessages: messages } = this.world;
    const { states, kept, transitions, depth } = this;
    const ms = performance.now() - this.begun;
    return { states, kept, transitions, depth, ms, members, messages, exhausted, violation };
  }

  /** The steps to a state, and the one from it that is wrong. */
  private trace(last: Reached, wrong: Action | null): string[] {
    const lines: string[] = [];
    for (let at: Reached | null = last; at !== null; at = at.from)
      if (at.action !== null) lines.unshift(this.world.describe(at.action));
    lines.push(this.world.show(last.state));
    if (wrong !== null) lines.push(`then ${this.world.describe(wrong)}`);
    return lines;
  }
}

/** Messages in a state, nearly always at most. */
const MESSAGES = 100;

/** What was put with the least number comes first, of those the newest. */
class Queue<T> {
  private readonly buckets: T[][] = [];
  private least = 0;

  put(item: T, number: number): void {
    while (this.buckets.length <= number) this.buckets.push([]);
    this.buckets[number]!.push(item); // made above
    this.least = Math.min(this.least, number);
  }

  take(): T | undefined {
    for (; this.least < this.buckets.length; this.least++) {
      const item = this.buckets[this.least]!.pop(); // below the length
      if (item !== undefined) return item;
    }
    return undefined;
  }
}
