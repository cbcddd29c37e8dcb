// Transactions too long for one turn of the event loop (subtrees, statistics): they run on a snapshot of what is
// applied, as many turns as they need, while others are proposed and applied. What they read is collected, keys and
// scanned ranges; at the end they are checked against everything proposed since their snapshot, applied or not, and
// only without a conflict do their changes become a proposal like any other (ReadTs and CommitTs of R3.8).

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { PendingState, type Proposal } from './transaction.js';
import type { Transaction, View } from './view.js';

interface Range {
  start: ByteString;
  /** Not in it. */
  end: ByteString;
}

/** Passes reads on to a snapshot and remembers them. */
class ReadSet implements View {
  private readonly keys = new Set<ByteString>();
  private ranges: Range[] = [];

  constructor(private readonly snapshot: View) {}

  get(key: ByteString): Buffer | undefined {
    this.bound();
    this.keys.add(key);
    return this.snapshot.get(key);
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    this.bound();
    let seen = end;
    this.snapshot.scan(start, end, (key, value) => {
      const going = visit(key, value);
      if (!going) seen = `${key}\0`;
      return going;
    });
    this.ranges.push({ start, end: seen });
  }

  /** Whether a change of one of the keys would have been seen. */
  sees(changed: readonly ByteString[]): boolean {
    return changed.some((key) => this.keys.has(key) || this.inRange(key));
  }

  /** Ranges in order and disjoint; again after each scan. */
  merge(): void {
    const sorted = this.ranges.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    const merged: Range[] = [];
    for (const range of sorted) {
      const last = merged[merged.length - 1];
      if (last === undefined || last.end < range.start) merged.push({ ...range });
      else if (range.end > last.end) last.end = range.end;
    }
    this.ranges = merged;
  }

  private inRange(key: ByteString): boolean {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ranges[middle]!.start <= key) low = middle + 1;
      else high = middle;
    }
    return low > 0 && key < this.ranges[low - 1]!.end;
  }

  private bound(): void {
    if (this.keys.size + this.ranges.length < limits.longTransactionReads) return;
    throw new OfsError(Status.FBIG, `a transaction that reads ${limits.longTransactionReads} rows; do it in parts`);
  }
}

export class LongTransaction {
  private readonly reads: ReadSet;
  private readonly own: PendingState;
  private readonly proposal: Proposal;
  /** Keys of proposals applied since the snapshot. */
  private readonly since: (readonly ByteString[])[] = [];
  private sinceKeys = 0;

  constructor(snapshot: View) {
    this.reads = new ReadSet(snapshot);
    this.own = new PendingState(this.reads);
    this.proposal = this.own.begin();
  }

  get transaction(): Transaction {
    return this.own;
  }

  get readOnly(): boolean {
    return this.proposal.keys.length === 0;
  }

  /** A proposal was applied while this one runs. */
  applied(keys: readonly ByteString[]): void {
    if (this.sinceKeys >= limits.longTransactionHistory) return;
    this.since.push(keys);
    this.sinceKeys += keys.length;
  }

  /** Whether anything applied since the snapshot, or `pending`, changes what was read; or too much was to know. */
  conflicts(pending: Iterable<readonly ByteString[]>): boolean {
    if (this.sinceKeys >= limits.longTransactionHistory) return true;
    this.reads.merge();
    if (this.since.some((keys) => this.reads.sees(keys))) return true;
    for (const keys of pending) if (this.reads.sees(keys)) return true;
    return false;
  }

  /** Makes its changes in another transaction. */
  replay(target: Transaction): void {
    for (const key of this.proposal.keys) {
      const value = this.own.get(key);
      if (value === undefined) target.delete(key);
      else target.put(key, value);
    }
  }
}
