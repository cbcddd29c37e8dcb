// Who may read locally, in memory shared by the threads of a process. A record per group, written by the meta thread
// that owns the group, read by any thread as one (a sequence word, odd while it is written). Guarantees: a reader that
// is told it may read was told so by a record that was whole and in force at that moment; a record that is not there
// allows nothing. What a lease rests on is the writer's to know.
//
//   word 0 sequence   1 group + 1 (0: free)   2,3 term   4,5 deadline in µs   6,7 applied index   8,9 acknowledged index
//   (low word, high word)
//
// The table is a hash table that never gives a place back: a group keeps its place when its lease is gone.

import assert from 'node:assert';
import { performance } from 'node:perf_hooks';
import { limits } from '../../proto/limits.js';

export const WORDS = 10;
export const SLOTS = 2 * limits.raftGroupsPerThread;
const SEQUENCE = 0;
export const GROUP = 1;
const TERM = 2;
export const DEADLINE = 4;
export const APPLIED = 6;
export const ACKNOWLEDGED = 8;
export const WORD = 0x1_0000_0000;

/** The deadline of a group of one, which has nobody to lose its lease to. */
export const FOREVER = Number.MAX_SAFE_INTEGER;

export interface Lease {
  term: number;
  /** Microseconds of the monotonic clock (`monotonicUs`); 0 for no lease. */
  deadlineUs: number;
  appliedIndex: number;
}

export interface LeaseRecord extends Lease {
  /** Above `appliedIndex`: answers have left that stand on entries which a snapshot does not show yet. */
  acknowledgedIndex: number;
}

/** Memory for the leases of a process: zeros, no lease. */
export function createLeases(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * WORDS * 4);
}

const [startSeconds, startNanoseconds] = process.hrtime();
const startUs = startSeconds * 1e6 + startNanoseconds / 1e3 - performance.now() * 1e3;

/** The machine's monotonic clock in microseconds, the same in every thread to within a few of them. */
export function monotonicUs(): number {
  return startUs + performance.now() * 1e3;
}

/** The slot where a group goes if it is free, else the next that is. */
export function firstSlot(group: number): number {
  return (Math.imul(group, 0x9e3779b1) >>> 0) % SLOTS;
}

/** The word that marks a slot as a group's. */
export function keyOf(group: number): number {
  return (group + 1) | 0;
}

/** The place of a group, or of the free slot where it would go, as the index of its first word. */
function find(words: Int32Array, group: number): number {
  let slot = firstSlot(group);
  for (let probes = 0; probes < SLOTS; probes++) {
    const base = slot * WORDS;
    const key = Atomics.load(words, base + GROUP);
    if (key === 0 || key === keyOf(group)) return base;
    slot = slot + 1 === SLOTS ? 0 : slot + 1;
  }
  return assert.fail('the lease table is full');
}

/** Where a record goes, besides the table, whenever it has changed: `words` from `base` on, whole. */
export interface LeasePublisher {
  publish(words: Int32Array, base: number): void;
}

/** For the one thread that owns a group's lease. Different threads may write different groups of one table. */
export class LeaseWriter {
  private readonly words: Int32Array;

  constructor(
    table: SharedArrayBuffer,
    private readonly publisher: LeasePublisher | null = null,
  ) {
    this.words = new Int32Array(table);
  }

  grant(group: number, lease: Readonly<Lease>): void {
    const { words } = this;
    const base = this.claim(group);
    Atomics.add(words, base + SEQUENCE, 1);
    this.store(base + TERM, lease.term);
    this.store(base + DEADLINE, lease.deadlineUs);
    this.store(base + APPLIED, lease.appliedIndex);
    this.store(base + ACKNOWLEDGED, lease.appliedIndex);
    Atomics.add(words, base + SEQUENCE, 1);
    this.publisher?.publish(words, base);
  }

  /** The lease that a group has lasts longer. */
  extend(group: number, deadlineUs: number): void {
    this.note(group, DEADLINE, deadlineUs);
  }

  /** From now on answers may leave that stand on entries up to `index`, applied or not. */
  acknowledging(group: number, index: number): void {
    this.note(group, ACKNOWLEDGED, index);
  }

  applied(group: number, index: number): void {
    this.note(group, APPLIED, index);
  }

  /** No thread may read from here on. A group that never had a lease needs no place for that. */
  clear(group: number): void {
    const base = find(this.words, group);
    if (Atomics.load(this.words, base + GROUP) === 0) return;
    this.grant(group, { term: 0, deadlineUs: 0, appliedIndex: 0 });
  }

  private note(group: number, field: number, index: number): void {
    const { words } = this;
    const base = this.claim(group);
    Atomics.add(words, base + SEQUENCE, 1);
    this.store(base + field, index);
    Atomics.add(words, base + SEQUENCE, 1);
    this.publisher?.publish(words, base);
  }

  private claim(group: number): number {
    const { words } = this;
    for (;;) {
      const base = find(words, group);
      const key = keyOf(group);
      if (Atomics.load(words, base + GROUP) === key) return base;
      if (Atomics.compareExchange(words, base + GROUP, 0, key) === 0) return base;
    }
  }

  private store(at: number, value: number): void {
    Atomics.store(this.words, at, (value % WORD) | 0);
    Atomics.store(this.words, at + 1, Math.floor(value / WORD));
  }
}

/** For any thread. */
export class LeaseReader {
  private readonly words: Int32Array;
  private readonly scratch: LeaseRecord = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };

  constructor(
    table: SharedArrayBuffer,
    private readonly nowUs: () => number = monotonicUs,
  ) {
    this.words = new Int32Array(table);
  }

  /** Whether this node answers for the group, whose state is that of its owner thread. */
  inForce(group: number): boolean {
    if (!this.read(group, this.scratch)) return false;
    const { deadlineUs } = this.scratch;
    return deadlineUs === FOREVER || this.nowUs() < deadlineUs;
  }

  /**
   * Whether a snapshot opened after this call has all that was acknowledged before it. Check after the request has
   * arrived, once for each snapshot.
   */
  mayRead(group: number): boolean {
    return this.inForce(group) && this.scratch.acknowledgedIndex <= this.scratch.appliedIndex;
  }

  /** Reads a group's record as one; false if it has none. A lease may have run out: `deadlineUs` says when. */
  read(group: number, lease: LeaseRecord): boolean {
    const { words } = this;
    const base = find(words, group);
    if (Atomics.load(words, base + GROUP) === 0) return false;
    for (;;) {
      const sequence = Atomics.load(words, base + SEQUENCE);
      lease.term = this.load(base + TERM);
      lease.deadlineUs = this.load(base + DEADLINE);
      lease.appliedIndex = this.load(base + APPLIED);
      lease.acknowledgedIndex = this.load(base + ACKNOWLEDGED);
      if ((sequence & 1) === 0 && Atomics.load(words, base + SEQUENCE) === sequence) return lease.deadlineUs !== 0;
    }
  }

  private load(at: number): number {
    return (Atomics.load(this.words, at) >>> 0) + Atomics.load(this.words, at + 1) * WORD;
  }
}
