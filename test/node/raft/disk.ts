// What is on a member's disk: its log, its vote, the state of its state machine and the newest checkpoint of that.

import assert from 'node:assert';
import { createHash } from 'node:crypto';
import type { LogStorage, Ready, Snapshot } from '../../../node/raft/core/index.js';
import { type Configuration, decodeConfiguration, type Entry, EntryKind } from '../../../proto/raft/index.js';

/** A state machine that keeps a hash of all it has applied. */
export interface State extends Snapshot {
  readonly hash: string;
}

export class Disk implements LogStorage {
  term = 0;
  vote = 0;
  firstIndex = 1;
  entries: Entry[] = [];
  state: State;
  checkpoint: State;
  private previousTerm = 0;

  constructor(configuration: Configuration) {
    this.state = { index: 0, term: 0, configuration, hash: '' };
    this.checkpoint = this.state;
  }

  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1;
  }

  entryTerm(index: number): number {
    if (index === this.firstIndex - 1) return this.previousTerm;
    assert(index >= this.firstIndex && index <= this.lastIndex, 'the core asks for what it stored');
    return this.entries[index - this.firstIndex]!.term; // asserted
  }

  read(from: number, to: number, maxBytes: number): Entry[] {
    assert(from >= this.firstIndex && to <= this.lastIndex);
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.entries.slice(from - this.firstIndex, to + 1 - this.firstIndex)) {
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  snapshot(): Snapshot | null {
    const { index, term, configuration } = this.checkpoint;
    return index === 0 ? null : { index, term, configuration };
  }

  store(ready: Ready): void {
    if (ready.hardState !== null) {
      const { term, vote } = ready.hardState;
      assert(term > this.term || (term === this.term && (this.vote === 0 || this.vote === vote)), 'one vote a term');
      this.term = term;
      this.vote = vote;
    }
    for (const entry of ready.entries) {
      assert(entry.index <= this.lastIndex + 1 && entry.index > this.state.index, 'what is applied stays');
      this.entries.length = entry.index - this.firstIndex;
      this.entries.push(entry);
    }
  }

  apply(entry: Entry): void {
    const { index, term, kind, payload } = entry;
    const configuration = kind === EntryKind.CONFIGURATION ? decodeConfiguration(payload) : this.state.configuration;
    const hash = createHash('md5').update(`${this.state.hash} ${index}/${term} ${kind} `).update(payload).digest('hex');
    this.state = { index, term, configuration, hash };
  }

  /** Another member's state takes the place of this one and of the log. */
  install(state: State): void {
    assert(state.index > this.state.index, 'S1');
    this.state = state;
    this.checkpoint = state;
    this.firstIndex = state.index + 1;
    this.previousTerm = state.term;
    this.entries = [];
  }

  cut(index: number): void {
    if (index < this.firstIndex) return;
    assert(index <= this.checkpoint.index);
    const term = this.entryTerm(index);
    this.entries = this.entries.slice(index + 1 - this.firstIndex);
    this.previousTerm = term;
    this.firstIndex = index + 1;
  }
}
