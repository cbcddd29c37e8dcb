// What a leader knows of each member: how far its log matches, what was sent and not yet answered. A member whose log
// is not known to match is probed, one message a heartbeat; one that matches is sent entries optimistically, as many
// messages ahead as its window of in-flight messages holds.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import { type Configuration, committedIndex, members, voteResult } from './quorum.js';

/** The last index of each message in flight, oldest first: a ring. */
export class Inflights {
  private readonly ring: number[] = [];
  private start = 0;
  count = 0;

  constructor(readonly capacity: number) {}

  get full(): boolean {
    return this.count === this.capacity;
  }

  add(index: number): void {
    assert(!this.full);
    this.ring[(this.start + this.count) % this.capacity] = index;
    this.count++;
  }

  /** Messages up to this index were answered. */
  freeTo(index: number): void {
    while (this.count > 0 && this.ring[this.start]! <= index) this.freeFirst();
  }

  freeFirst(): void {
    if (this.count === 0) return;
    this.start = (this.start + 1) % this.capacity;
    this.count--;
  }

  clear(): void {
    this.start = 0;
    this.count = 0;
  }
}

export class Progress {
  state: 'probe' | 'replicate' = 'probe';
  /** The last entry known to be in this member's store. Never falls while a leader leads. */
  match = 0;
  /** The next entry to send. Always above `match`. */
  next: number;
  /** A probe is out: nothing is sent before it is answered or a heartbeat is. */
  probing = false;
  /** Heard of since quorum was last checked. */
  active = false;
  /** The highest commit index that was sent. */
  sentCommit = 0;
  readonly inflights = new Inflights(limits.raftInflightMessages);

  constructor(next: number) {
    this.next = next;
  }

  get paused(): boolean {
    return this.state === 'probe' ? this.probing : this.inflights.full;
  }

  /** The member has all up to `index`. Returns whether that is news. */
  update(index: number): boolean {
    if (this.next <= index) this.next = index + 1;
    if (index <= this.match) return false;
    this.match = index;
    this.probing = false;
    return true;
  }

  /** The member refused entries behind `rejected`; `hint` may match. False if that is an old answer. */
  refused(rejected: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.probe();
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.probing = false;
    return true;
  }

  probe(): void {
    this.state = 'probe';
    this.probing = false;
    this.inflights.clear();
    this.next = this.match + 1;
  }

  replicate(): void {
    this.state = 'replicate';
    this.probing = false;
    this.inflights.clear();
    this.next = this.match + 1;
  }

  /** A message with entries up to `last` left (`last` is `next - 1` if it had none). */
  sent(last: number): void {
    const entries = last >= this.next;
    if (this.state === 'probe') {
      this.probing = true;
    } else if (entries) {
      this.next = last + 1;
      this.inflights.add(last);
    }
  }
}

export class Tracker {
  readonly progress = new Map<number, Progress>();
  readonly votes = new Map<number, boolean>();
  private readonly matchOf = (id: number): number => this.progress.get(id)?.match ?? 0;

  constructor(readonly configuration: Configuration) {}

  /** A new term: nothing is known of anyone. */
  reset(next: number): void {
    this.votes.clear();
    this.progress.clear();
    for (const id of members(this.configuration)) this.progress.set(id, new Progress(next));
  }

  get committed(): number {
    return committedIndex(this.configuration, this.matchOf);
  }

  /** The first vote of a member counts. */
  vote(id: number, granted: boolean): 'won' | 'lost' | 'pending' {
    if (!this.votes.has(id)) this.votes.set(id, granted);
    return voteResult(this.configuration, this.votes);
  }

  /** Whether a quorum was heard of since the last call, `self` included. */
  takeQuorumActive(self: number): boolean {
    const active = new Map<number, boolean>();
    for (const [id, progress] of this.progress) {
      active.set(id, progress.active || id === self);
      progress.active = false;
    }
    return voteResult(this.configuration, active) === 'won';
  }
}
