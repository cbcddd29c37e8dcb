// Where the entries of one group lie in the log, and their terms: 16 bytes an entry, no payloads. Kept by whoever
// writes or replays records; read by the core (terms) and by the reader of entries (places).

import assert from 'node:assert';

const INITIAL_ENTRIES = 64;

/** Columns of numbers that grow at the end and are cut at both. */
class Columns {
  private places = new Float64Array(INITIAL_ENTRIES);
  private totals = new Float64Array(INITIAL_ENTRIES);
  private head = 0;
  length = 0;

  push(place: number, total: number): void {
    if (this.head + this.length === this.places.length) this.grow();
    this.places[this.head + this.length] = place;
    this.totals[this.head + this.length] = total;
    this.length++;
  }

  place(at: number): number {
    return this.places[this.head + at]!;
  }

  total(at: number): number {
    return this.totals[this.head + at]!;
  }

  dropFirst(count: number): void {
    this.head += count;
    this.length -= count;
  }

  private grow(): void {
    const size = Math.max(INITIAL_ENTRIES, this.length * 2);
    const places = new Float64Array(size);
    const totals = new Float64Array(size);
    places.set(this.places.subarray(this.head, this.head + this.length));
    totals.set(this.totals.subarray(this.head, this.head + this.length));
    this.places = places;
    this.totals = totals;
    this.head = 0;
  }
}

interface TermRun {
  readonly index: number;
  readonly term: number;
}

export class GroupLog {
  term = 0;
  vote = 0;
  /** The first entry that is not in a checkpoint. */
  firstIndex = 1;
  /** The term of the entry before `firstIndex`. */
  previousTerm = 0;
  /** The first entry whose place is known. Above `firstIndex` only while a log is replayed, or if it is damaged. */
  private start = 1;
  private readonly columns = new Columns();
  private readonly runs: TermRun[] = [];
  private dropped = 0;

  constructor(readonly group: number) {}

  get lastIndex(): number {
    return this.start + this.columns.length - 1;
  }

  /** False if entries are missing between what a checkpoint holds and what the log holds. */
  get whole(): boolean {
    return this.start <= this.firstIndex;
  }

  get firstPlaced(): number {
    return this.start;
  }

  get bytes(): number {
    const { length } = this.columns;
    return length === 0 ? 0 : this.columns.total(length - 1) - this.dropped;
  }

  /** The place of an entry: what the writer gave, a number that rises with the log. */
  place(index: number): number {
    assert(index >= this.start && index <= this.lastIndex);
    return this.columns.place(index - this.start);
  }

  /** The term of an entry, or of the one before the first. */
  entryTerm(index: number): number {
    if (index === this.firstIndex - 1) return this.previousTerm;
    assert(index >= this.firstIndex && index <= this.lastIndex, `term of entry ${index} of group ${this.group}`);
    let low = 0;
    let high = this.runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.runs[middle]!.index <= index) low = middle;
      else high = middle - 1;
    }
    return this.runs[low]!.term;
  }

  /** Adds an entry; one that stands at its index, and all behind it, are replaced. */
  add(index: number, term: number, place: number, bytes: number): void {
    if (index <= this.lastIndex) this.cutFrom(index);
    if (index > this.lastIndex + 1 || index < this.start) this.restart(index);
    const { length } = this.columns;
    this.columns.push(place, (length === 0 ? this.dropped : this.columns.total(length - 1)) + bytes);
    if (this.runs.at(-1)?.term !== term) this.runs.push({ index, term });
  }

  /** Entries below `firstIndex` are in a checkpoint. Never moves back. */
  keepFrom(firstIndex: number, previousTerm: number): void {
    if (firstIndex <= this.firstIndex) return;
    this.firstIndex = firstIndex;
    this.previousTerm = previousTerm;
    const count = Math.min(firstIndex - this.start, this.columns.length);
    if (count > 0) {
      this.dropped = this.columns.total(count - 1);
      this.columns.dropFirst(count);
      this.start += count;
    }
    if (this.columns.length === 0 && this.start < firstIndex) this.restart(firstIndex);
    while (this.runs.length > 1 && this.runs[1]!.index <= this.start) this.runs.shift();
  }

  /** A snapshot takes the place of all entries. */
  reset(firstIndex: number, previousTerm: number): void {
    assert(firstIndex >= this.firstIndex, 'a snapshot brings a log forward');
    this.firstIndex = firstIndex;
    this.previousTerm = previousTerm;
    this.restart(firstIndex);
  }

  private cutFrom(index: number): void {
    const keep = Math.max(0, index - this.start);
    this.columns.length = Math.min(this.columns.length, keep);
    while (this.runs.length > 0 && this.runs.at(-1)!.index >= index) this.runs.pop();
  }

  private restart(index: number): void {
    this.columns.dropFirst(this.columns.length);
    this.runs.length = 0;
    this.dropped = 0;
    this.start = index;
  }
}
