// Proposals under way, in order of the log, and who waits for which: the answers of a group's requests leave by what is
// decided here. Each waiter is told once.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import type { Proposal, Waiter } from './transaction.js';

/** Answers of a batch that leave before it is applied. */
const EARLY_ANSWERS = 4;

export class Proposals {
  /** Waiters of all proposals. */
  waiting = 0;
  /** Neither applied nor dropped, in order; those before `first` are done with. */
  private list: Proposal[] = [];
  private first = 0;
  /** Proposals up to here are committed and their answers have left, applied or not. */
  private answered = 0;

  get size(): number {
    return this.list.length - this.first;
  }

  /** The last of which it is not certain that it will be. */
  get newest(): Proposal | undefined {
    const last = this.list[this.list.length - 1];
    return this.size === 0 || last!.index <= this.answered ? undefined : last; // size > 0
  }

  /** Rows that each changes, in order. */
  get keys(): ByteString[][] {
    return this.list.slice(this.first).map(({ keys }) => keys);
  }

  add(proposal: Proposal): void {
    const last = this.list[this.list.length - 1];
    assert(proposal.index > Math.max(this.answered, this.size === 0 ? 0 : last!.index), 'proposals rise'); // size > 0
    this.list.push(proposal);
  }

  wait(proposal: Proposal, waiter: Waiter): void {
    proposal.waiters.push(waiter);
    this.waiting++;
  }

  settle(proposal: Proposal, applied: boolean): void {
    for (const waiter of proposal.waiters) {
      this.waiting--;
      waiter.settle(applied);
    }
    proposal.waiters.length = 0;
  }

  /** Whether the answers of what is committed up to `index` shall leave before it is applied. */
  press(index: number): boolean {
    let count = 0;
    for (let at = this.first; at < this.list.length && this.list[at]!.index <= index; at++) {
      const { waiters } = this.list[at]!;
      if (!waiters.every((waiter) => waiter.isPressing)) return false;
      count += waiters.length;
    }
    return count > 0 && count <= EARLY_ANSWERS;
  }

  /** What is committed up to `index` is certain: tells who waits for it. */
  answer(index: number): void {
    this.answered = index;
    for (let at = this.first; at < this.list.length && this.list[at]!.index <= index; at++) {
      this.settle(this.list[at]!, true);
    }
  }

  /** Takes away those up to `index`, which are applied, in order. They are to be settled. */
  takeApplied(index: number): Proposal[] {
    const done: Proposal[] = [];
    while (this.size > 0 && this.list[this.first]!.index <= index) done.push(this.list[this.first++]!);
    if (this.first * 2 > this.list.length) {
      this.list = this.list.slice(this.first);
      this.first = 0;
    }
    return done;
  }

  /** Takes away those from `index` on, the newest first. They are to be settled. */
  takeDropped(index: number): Proposal[] {
    const lost: Proposal[] = [];
    while (this.size > 0 && this.list[this.list.length - 1]!.index >= index) lost.push(this.list.pop()!); // size > 0
    return lost;
  }
}
