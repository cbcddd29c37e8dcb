// Reads that wait: for the ticket that the core gave them to be answered, then for what they may see to be applied.
// Each is answered once, with the index up to which the state is applied, or with 0 when it never will be.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import type { ReadGrant } from '../core/index.js';

export type OnRead = (index: number) => void;

interface Asked {
  readonly ticket: number;
  readonly onRead: OnRead;
}

interface Granted {
  readonly index: number;
  readonly onReads: OnRead[];
}

export class WaitingReads {
  private asked: Asked[] = [];
  /** Indexes rise. */
  private granted: Granted[] = [];
  private count = 0;

  get full(): boolean {
    return this.count >= limits.raftReadsWaiting;
  }

  get size(): number {
    return this.count;
  }

  add(ticket: number, onRead: OnRead): void {
    assert(!this.full && ticket >= (this.asked.at(-1)?.ticket ?? 0), 'tickets rise');
    this.asked.push({ ticket, onRead });
    this.count++;
  }

  grant({ ticket, index }: ReadGrant): void {
    let count = 0;
    while (count < this.asked.length && this.asked[count]!.ticket <= ticket) count++;
    if (count === 0) return;
    const onReads = this.asked.splice(0, count).map(({ onRead }) => onRead);
    // An index that is lower than an earlier one comes from a leader that had applied less; what was asked is as good.
    this.granted.push({ index: Math.max(index, this.granted.at(-1)?.index ?? 0), onReads });
  }

  /** All up to `index` is applied. */
  applied(index: number): void {
    while (this.granted.length > 0 && this.granted[0]!.index <= index) {
      const { onReads } = this.granted.shift()!; // there is one
      this.count -= onReads.length;
      for (const onRead of onReads) onRead(index);
    }
  }

  /** None of them is answered any more. */
  end(): void {
    const { asked, granted } = this;
    this.asked = [];
    this.granted = [];
    this.count = 0;
    for (const { onReads } of granted) for (const onRead of onReads) onRead(0);
    for (const { onRead } of asked) onRead(0);
  }
}
