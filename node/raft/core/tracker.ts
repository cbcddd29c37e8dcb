// What a leader knows of each member: how far its log matches, what was sent and not yet answered. A member whose log
// is not known to match is probed, one message a heartbeat; one that matches is sent entries optimistically, as far
// ahead as its window of in-flight messages and bytes holds; one whose entries are cut from the log gets a snapshot.
// Each member has its own window: a slow one holds up neither the others nor proposals. Guarantees:
//   T1  `match` never falls while a leader leads, and `next` is always above it.
//   T2  Messages in flight to a member never exceed raftInflightMessages, nor their bytes raftInflightBytes by more
//       than one message.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import type { Configuration } from '../../../proto/raft/index.js';
import { memberIds, quorumReached, voteResult } from './quorum.js';

/** The last index and the bytes of each message in flight, oldest first: a ring. */
export class Inflights {
  private readonly ring: number[] = [];
  private readonly sizes: number[] = [];
  private start = 0;
  private bytes = 0;
  count = 0;

  constructor(
    readonly capacity: number,
    readonly capacityBytes: number,
  ) {}

  get full(): boolean {
    return this.count === this.capacity || this.bytes >= this.capacityBytes;
  }

  add(index: number, bytes: number): void {
    assert(!this.full, 'T2');
    const at = (this.start + this.count) % this.capacity;
    this.ring[at] = index;
    this.sizes[at] = bytes;
    this.bytes += bytes;
    this.count++;
  }

  /** Messages up to this index were answered. */
  freeTo(index: number): void {
    while (this.count > 0 && this.ring[this.start]! <= index) this.freeFirst();
  }

  freeFirst(): void {
    assert(this.count > 0);
    this.bytes -= this.sizes[this.start]!; // within the count
    this.start = (this.start + 1) % this.capacity;
    this.count--;
  }

  clear(): void {
    this.start = 0;
    this.count = 0;
    this.bytes = 0;
  }
}

export class Progress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
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
  /** The newest round of heartbeats that this member answered. */
  round = 0;
  /** In state snapshot: its index, and the ticks since its way was last heard of. */
  snapshotIndex = 0;
  snapshotTicks = 0;
  /** Ticks since it last had all that was committed a tick before. */
  behindTicks = 0;
  private goal = 0;
  readonly inflights = new Inflights(limits.raftInflightMessages, limits.raftInflightBytes);

  constructor(next: number) {
    this.next = next;
  }

  get paused(): boolean {
    if (this.state === 'probe') return this.probing;
    return this.state === 'snapshot' || this.inflights.full;
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
    if (this.state === 'snapshot') return false;
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
    this.enter('probe');
  }

  replicate(): void {
    this.enter('replicate');
  }

  /** A snapshot was sent: nothing else is, until it is known to have arrived or failed. */
  snapshot(index: number): void {
    this.enter('snapshot');
    this.snapshotIndex = index;
  }

  /** The member has the snapshot, or will not have it: the next heartbeat's answer lets it be probed. */
  snapshotOver(has: boolean): void {
    assert(this.state === 'snapshot');
    const next = has ? Math.max(this.match, this.snapshotIndex) + 1 : this.match + 1;
    this.enter('probe');
    this.next = next;
    this.probing = true;
  }

  /** A message with entries up to `last` left (`last` is `next - 1` if it had none). */
  sent(last: number, bytes: number): void {
    const entries = last >= this.next;
    if (this.state === 'probe') {
      this.probing = true;
    } else if (entries) {
      this.next = last + 1;
      this.inflights.add(last, bytes);
    }
  }

  /** Counts a tick; `committed` is the leader's. */
  tick(committed: number): void {
    if (this.state === 'snapshot') this.snapshotTicks++;
    if (this.match < this.goal) {
      this.behindTicks++;
    } else {
      this.behindTicks = 0;
      this.goal = committed;
    }
  }

  private enter(state: 'probe' | 'replicate' | 'snapshot'): void {
    this.state = state;
    this.probing = false;
    this.inflights.clear();
    this.next = this.match + 1;
    this.snapshotIndex = 0;
    this.snapshotTicks = 0;
  }
}

export class Tracker {
  readonly progress = new Map<number, Progress>();
  readonly votes = new Map<number, boolean>();
  private readonly matchOf = (id: number): number => this.of(id).match;
  private readonly roundOf = (id: number): number => this.of(id).round;

  constructor(public configuration: Configuration) {}

  /** A new term: nothing is known of anyone. */
  reset(): void {
    this.votes.clear();
    this.progress.clear();
  }

  /** What a leader knows of one that it follows. */
  of(id: number): Progress {
    const progress = this.progress.get(id);
    assert(progress !== undefined, `member ${id} is followed`);
    return progress;
  }

  /** Follows every member, and `self` whether it is one or not. Those that are no members any more are kept. */
  follow(self: number, next: number): void {
    for (const id of [self, ...memberIds(this.configuration)]) {
      if (!this.progress.has(id)) this.progress.set(id, new Progress(next));
    }
  }

  /** Follows nobody but members, and `self`. */
  forgetOthers(self: number): void {
    const members = new Set([self, ...memberIds(this.configuration)]);
    for (const id of this.progress.keys()) if (!members.has(id)) this.progress.delete(id);
  }

  get committed(): number {
    return quorumReached(this.configuration, this.matchOf);
  }

  /** The newest round of heartbeats that a quorum has answered. */
  get confirmedRound(): number {
    return quorumReached(this.configuration, this.roundOf);
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
