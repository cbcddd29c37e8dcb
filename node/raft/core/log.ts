// The log of one group as the core sees it: entries in the store, and behind them, overlapping, a window of entries in
// memory. Guarantees, kept here by assertion:
//   L1  A committed entry is never replaced or removed.
//   L2  Entries are contiguous, terms never fall.
//   L3  Only entries that the store holds are handed out as committed.
//   L4  An acknowledgement of the store counts only if the entry it names is still the one in the log.
//   L5  A snapshot takes the place of the whole log at once; nothing behind it is handed out before the store has it.

import assert from 'node:assert';
import { type Configuration, ENTRY_OVERHEAD_BYTES, type Entry, EntryKind } from '../../../proto/raft/index.js';

/** A state that the state machine can be set to: all entries up to `index`, the last of them of `term`. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

/** The entries that the store holds. Synchronous; a core asks only for what was acknowledged or there at the start. */
export interface LogStorage {
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** The term of an entry from `firstIndex - 1` to `lastIndex`. */
  entryTerm(index: number): number;
  /** Entries from `from` to `to`, fewer if they take more than `maxBytes`, at least one. */
  read(from: number, to: number, maxBytes: number): Entry[];
  /**
   * The snapshot that members which lack entries before `firstIndex` may be given, the same while one is on its way;
   * null if there is none at the moment. The log is cut only behind snapshots: its index is at least `firstIndex - 1`.
   */
  snapshot(): Snapshot | null;
}

const COMPACT_AT = 256;
/** Stands in the window for an entry that left it, whose payload must not be held by the place. */
const GONE: Entry = { index: 0, term: 0, kind: EntryKind.EMPTY, payload: Buffer.alloc(0) };

export function entryBytes(entry: Entry): number {
  return entry.payload.length + ENTRY_OVERHEAD_BYTES;
}

export class RaftLog {
  /** The last entry that is known to be in the store. */
  stable: number;
  /** The last entry that was given to the store. */
  handed: number;
  committed: number;
  /** The last entry handed out to be applied. */
  applying: number;
  applied: number;
  /** Bytes of the entries that were not yet given to the store. */
  unhandedBytes = 0;
  private windowBytes = 0;
  private window: Entry[] = [];
  private head = 0;
  /** The index of the first entry of the window. */
  private offset: number;
  /** The snapshot that takes the place of the log and is not in the store yet. */
  private base: Snapshot | null = null;
  private baseHanded = false;

  constructor(
    private readonly storage: LogStorage,
    applied: number,
  ) {
    assert(applied >= storage.firstIndex - 1 && applied <= storage.lastIndex);
    this.stable = storage.lastIndex;
    this.handed = storage.lastIndex;
    this.offset = storage.lastIndex + 1;
    this.committed = applied;
    this.applying = applied;
    this.applied = applied;
  }

  get firstIndex(): number {
    return this.base === null ? this.storage.firstIndex : this.base.index + 1;
  }

  get lastIndex(): number {
    return this.offset + this.window.length - this.head - 1;
  }

  get lastTerm(): number {
    return this.term(this.lastIndex);
  }

  term(index: number): number {
    if (index >= this.offset) {
      assert(index <= this.lastIndex);
      return this.at(index).term;
    }
    if (this.base === null) return this.storage.entryTerm(index);
    assert(index === this.base.index, 'L5');
    return this.base.term;
  }

  /** Whether an entry is in memory: reading it costs nothing. */
  remembers(index: number): boolean {
    return index >= this.offset;
  }

  /** Whether the log holds this entry, as far as it knows: an entry that a checkpoint swallowed counts as unknown. */
  matches(index: number, term: number): boolean {
    return index >= this.firstIndex - 1 && index <= this.lastIndex && this.term(index) === term;
  }

  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1 && entry.term >= this.lastTerm, 'L2');
    this.push(entry);
  }

  /**
   * Takes the entries that a leader sent behind one that matches, from the first that is not there already on.
   * Returns the index of the last that now matches the leader's log.
   */
  merge(entries: readonly Entry[], previous: number): number {
    for (const entry of entries) {
      if (this.matches(entry.index, entry.term)) continue;
      if (entry.index <= this.lastIndex) this.cutFrom(entry.index);
      this.append(entry);
    }
    return previous + entries.length;
  }

  /** Entries for the store, at least one if there are any, up to `maxBytes`. */
  takeUnstored(maxBytes: number): readonly Entry[] {
    const from = this.handed + 1;
    const last = this.lastIndex;
    let bytes = 0;
    let to = this.handed;
    while (to < last) {
      const size = entryBytes(this.at(to + 1));
      if (to >= from && bytes + size > maxBytes) break;
      bytes += size;
      to++;
    }
    this.handed = to;
    this.unhandedBytes -= bytes;
    return this.slice(from, to);
  }

  /** The store holds all up to this entry. False if the entry is not (or no longer) the one in the log: L4. */
  stored(index: number, term: number): boolean {
    if (index > this.handed || index < this.firstIndex - 1 || this.term(index) !== term) return false;
    if (this.base !== null) this.snapshotStored(this.base);
    if (index > this.stable) this.stable = index;
    return true;
  }

  /**
   * L5. The snapshot is handed to the store before anything that follows it. An entry of the log before it is never
   * taken for one behind it: had they been the same, the snapshot would have matched the log, and not be needed.
   */
  restore(snapshot: Snapshot): void {
    assert(snapshot.index > this.committed && !this.matches(snapshot.index, snapshot.term), 'L1');
    this.window = [];
    this.head = 0;
    this.windowBytes = 0;
    this.unhandedBytes = 0;
    this.offset = snapshot.index + 1;
    this.base = snapshot;
    this.baseHanded = false;
    this.stable = Math.min(this.stable, snapshot.index - 1);
    this.handed = snapshot.index;
    this.committed = snapshot.index;
    this.applying = snapshot.index;
  }

  get hasSnapshot(): boolean {
    return this.base !== null && !this.baseHanded;
  }

  takeSnapshot(): Snapshot | null {
    if (!this.hasSnapshot) return null;
    this.baseHanded = true;
    return this.base;
  }

  /** The store's snapshot for members that lag behind the log. */
  get snapshot(): Snapshot | null {
    const snapshot = this.base === null ? this.storage.snapshot() : null;
    assert(snapshot === null || snapshot.index >= this.firstIndex - 1, 'the log is cut only behind snapshots');
    return snapshot;
  }

  commitTo(index: number): boolean {
    if (index <= this.committed) return false;
    assert(index <= this.lastIndex, 'L1: committed entries are in the log');
    this.committed = index;
    return true;
  }

  get hasCommitted(): boolean {
    return this.applying < Math.min(this.committed, this.stable);
  }

  /** Entries to apply, in order, each once: L3. */
  takeCommitted(maxBytes: number): readonly Entry[] {
    const from = this.applying + 1;
    const to = Math.min(this.committed, this.stable);
    assert(from <= to);
    const entries = this.read(from, to, maxBytes);
    this.applying += entries.length;
    return entries;
  }

  appliedTo(index: number): void {
    assert(index >= this.applied && index <= this.applying && this.base === null, 'applied in order, each once');
    this.applied = index;
  }

  /** Entries from `from` on, up to `maxBytes`, at least one; from memory or the store. */
  read(from: number, to: number, maxBytes: number): readonly Entry[] {
    if (from < this.offset) return this.storage.read(from, Math.min(to, this.offset - 1), maxBytes);
    let bytes = 0;
    let last = from - 1;
    while (last < to) {
      bytes += entryBytes(this.at(last + 1));
      if (last >= from && bytes > maxBytes) break;
      last++;
    }
    return this.slice(from, last);
  }

  /** Forgets entries that the store holds and that were applied, oldest first, while the window exceeds `keepBytes`. */
  trim(keepBytes: number): void {
    const last = Math.min(this.stable, this.applied);
    if (keepBytes === 0 && last === this.lastIndex) {
      this.window = [];
      this.head = 0;
      this.offset = last + 1;
      this.windowBytes = 0;
      return;
    }
    while (this.offset <= last && this.windowBytes > keepBytes) {
      this.windowBytes -= entryBytes(this.window[this.head]!);
      this.window[this.head] = GONE;
      this.head++;
      this.offset++;
    }
    if (this.head > COMPACT_AT && this.head * 2 > this.window.length) {
      this.window = this.window.slice(this.head);
      this.head = 0;
    }
  }

  private snapshotStored(base: Snapshot): void {
    const { storage } = this;
    assert(
      this.baseHanded && storage.firstIndex === base.index + 1 && storage.entryTerm(base.index) === base.term,
      'L5',
    );
    this.base = null;
    this.applied = base.index;
  }

  private at(index: number): Entry {
    return this.window[this.head + index - this.offset]!;
  }

  private slice(from: number, to: number): readonly Entry[] {
    const start = this.head + from - this.offset;
    return this.window.slice(start, this.head + to + 1 - this.offset);
  }

  private push(entry: Entry): void {
    const bytes = entryBytes(entry);
    this.window.push(entry);
    this.windowBytes += bytes;
    this.unhandedBytes += bytes;
  }

  private cutFrom(index: number): void {
    assert(index > this.committed, 'L1');
    for (let at = Math.max(index, this.offset); at <= this.lastIndex; at++) {
      const bytes = entryBytes(this.at(at));
      this.windowBytes -= bytes;
      if (at > this.handed) this.unhandedBytes -= bytes;
    }
    if (index < this.offset) {
      this.window = [];
      this.head = 0;
      this.offset = index;
    } else {
      this.window.length = this.head + index - this.offset;
    }
    this.stable = Math.min(this.stable, index - 1);
    this.handed = Math.min(this.handed, index - 1);
  }
}
