// What a member of the model has on its disk: log, term and vote, and how far its state machine has applied the log.
// The log is never cut.

import assert from 'node:assert';
import type { LogStorage, Ready, Snapshot } from '../../node/raft/core/index.js';
import { type Configuration, decodeConfiguration, type Entry, EntryKind } from '../../proto/raft/index.js';

export interface DiskState {
  readonly term: number;
  readonly vote: number;
  readonly entries: readonly Entry[];
}

export class ModelDisk implements LogStorage {
  readonly firstIndex = 1;
  term: number;
  vote: number;
  entries: readonly Entry[];
  applied = 0;

  constructor(
    state: DiskState,
    /** Before the first entry. */
    private readonly configuration: Configuration,
  ) {
    this.term = state.term;
    this.vote = state.vote;
    this.entries = state.entries;
  }

  copy(): ModelDisk {
    const twin = new ModelDisk(this, this.configuration);
    twin.applied = this.applied;
    return twin;
  }

  get lastIndex(): number {
    return this.entries.length;
  }

  /** The configuration that the state machine has. */
  get appliedConfiguration(): Configuration {
    const applied = this.entries.slice(0, this.applied);
    const last = applied.findLast(({ kind }) => kind === EntryKind.CONFIGURATION);
    return last === undefined ? this.configuration : decodeConfiguration(last.payload);
  }

  entryTerm(index: number): number {
    return index === 0 ? 0 : this.entries[index - 1]!.term; // the core asks for what it stored
  }

  read(from: number, to: number): Entry[] {
    assert(from >= 1 && to <= this.lastIndex, 'the core asks for what it stored');
    return this.entries.slice(from - 1, to);
  }

  snapshot(): Snapshot | null {
    return null;
  }

  store({ hardState, entries, snapshot }: Ready): void {
    assert(snapshot === null, 'the log is never cut');
    if (hardState !== null) {
      const { term, vote } = hardState;
      assert(term >= this.term, 'terms never go back');
      assert(term > this.term || this.vote === 0 || this.vote === vote, 'one vote a term');
      this.term = term;
      this.vote = vote;
    }
    for (const entry of entries) {
      assert(entry.index <= this.lastIndex + 1 && entry.index > this.applied, 'what is applied stays');
      this.entries = [...this.entries.slice(0, entry.index - 1), entry];
    }
  }

  apply(entry: Entry): void {
    assert(entry.index === this.applied + 1 && entry.index <= this.lastIndex, 'applied in order, from the disk');
    this.applied = entry.index;
  }
}
