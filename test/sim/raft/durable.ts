// What is on a member's disk, as an observer of the disk knows it: every batch of the log that was reported as written
// is read here too. Nothing in the process under test has a say in it.

import { entryCodec } from '../../../proto/raft/index.js';
import { BATCH_HEADER_BYTES, groupStateCodec, RecordKind, readRecords, WAL_MAGIC } from '../../../proto/wal.js';

export class DurableLog {
  term = 0;
  vote = 0;
  firstIndex = 1;
  private start = 1;
  private terms: number[] = [];

  get lastIndex(): number {
    return this.start + this.terms.length - 1;
  }

  /** The term of an entry, 0 if it is not there (any more). */
  termAt(index: number): number {
    return this.terms[index - this.start] ?? 0;
  }

  /** Whether the entry is there, or was there and is in a checkpoint now. */
  holds(index: number, term: number): boolean {
    return index < this.firstIndex || this.termAt(index) === term;
  }

  add(index: number, term: number): void {
    if (index < this.start || index > this.lastIndex + 1) {
      this.start = index;
      this.terms = [];
    }
    this.terms.length = index - this.start;
    this.terms.push(term);
  }

  keepFrom(firstIndex: number): void {
    if (firstIndex <= this.firstIndex) return;
    this.firstIndex = firstIndex;
    const count = Math.min(firstIndex - this.start, this.terms.length);
    if (count > 0) {
      this.terms.splice(0, count);
      this.start += count;
    }
    if (this.terms.length === 0) this.start = firstIndex;
  }

  reset(firstIndex: number): void {
    this.firstIndex = firstIndex;
    this.start = firstIndex;
    this.terms = [];
  }
}

/** Told what a batch that is on disk from now on says of a group's term and vote. */
export type OnState = (group: number, log: DurableLog, term: number, vote: number) => void;

/** Takes a write to the log into account, if it is a batch. */
export function noteBatch(logs: Map<number, DurableLog>, bytes: Buffer, onState: OnState): void {
  if (bytes.length < BATCH_HEADER_BYTES || bytes.readUInt32LE(0) !== WAL_MAGIC) return;
  readRecords(bytes, BATCH_HEADER_BYTES, bytes.length, (kind, group, body) => {
    if (kind === RecordKind.START) {
      body.varint();
      return;
    }
    if (kind === RecordKind.REMOVED) {
      logs.delete(group);
      return;
    }
    let log = logs.get(group);
    if (log === undefined) {
      log = new DurableLog();
      logs.set(group, log);
    }
    if (kind === RecordKind.ENTRY) {
      const { index, term } = entryCodec.read(body);
      log.add(index, term);
      return;
    }
    const { term, vote, firstIndex } = groupStateCodec.read(body);
    onState(group, log, term, vote);
    log.term = term;
    log.vote = vote;
    if (kind === RecordKind.RESET) log.reset(firstIndex);
    else log.keepFrom(firstIndex);
  });
}
