// Registers: the state machine that shows the most of raft for the least work.

import type { CommittedEntry } from '../../../node/raft/index.js';
import { decodeSwap, encodeSwap, type KvState, type Swap } from './kv-state.js';
import { Machine, type MachineOptions } from './machine.js';
import type { SimState } from './state.js';

/** What became of a swap: where it is in the log, and what the register held, unless the answer left before that. */
export type OnSwapped = (index: number, result: number | undefined) => void;

interface Waiter {
  readonly session: number;
  readonly sequence: number;
  readonly onSwapped: OnSwapped;
}

export class KvMachine extends Machine {
  private readonly waiters = new Map<number, Waiter>();

  constructor(
    group: number,
    public state: KvState,
    options: MachineOptions,
  ) {
    super(group, options);
  }

  /** False: not now, not here. */
  swap(swap: Swap, paddingBytes: number, onSwapped: OnSwapped): boolean {
    const index = this.raft.propose(encodeSwap(swap, paddingBytes));
    if (index === 0) return false;
    this.waiters.set(index, { ...swap, onSwapped });
    return true;
  }

  committed(index: number): void {
    if (!this.options.earlyAnswers || !this.options.process.alive) return;
    this.raft.acknowledging(index);
    for (const [at, { onSwapped }] of this.waiters) {
      if (at > index) break;
      this.waiters.delete(at);
      onSwapped(at, undefined);
    }
  }

  dropped(fromIndex: number): void {
    for (const index of this.waiters.keys()) if (index >= fromIndex) this.waiters.delete(index);
  }

  become(state: SimState): void {
    this.state = state as KvState;
  }

  protected applyEntry(entry: CommittedEntry): void {
    const { state } = this;
    const swap = entry.payload.length > 0 ? decodeSwap(entry.payload) : undefined;
    const result = swap === undefined ? undefined : state.swap(swap);
    state.index = entry.index;
    state.term = entry.term;
    if (entry.configuration !== undefined) state.configuration = entry.configuration;
    this.options.onApplied(entry, result);
    this.answer(entry.index, swap, result);
  }

  private answer(index: number, swap: Swap | undefined, result: number | undefined): void {
    const waiter = this.waiters.get(index);
    if (waiter === undefined) return;
    this.waiters.delete(index);
    // What is at the place of a proposal is that proposal, or its proposer was told that it is not.
    if (swap?.session === waiter.session && swap.sequence === waiter.sequence) waiter.onSwapped(index, result);
    else this.options.onFailure(new Error(`entry ${index} is not what was proposed there, and nobody said so`));
  }
}
