// The write-ahead log of a thread: all its raft groups write to it. Records are staged, and `commit` writes all that
// is staged as one batch, one write that is on disk when it is done. One batch is under way at a time; what comes
// meanwhile is staged for the next, which is group commit. Guarantees: nothing is reported as written before it is on
// disk; after a failed write nothing is reported any more; a batch that finds no room waits for it.

import assert from 'node:assert';
import { Reader, Writer } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { type Entry, entryCodec } from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import {
  BATCH_HEADER_BYTES,
  emptyBatchHeader,
  groupStateCodec,
  RECORD_HEADER_BYTES,
  RecordKind,
  readBatch,
  sealBatch,
  startCodec,
  writeMark,
  writeRecord,
} from '../../../proto/wal.js';
import { type Clock, systemClock } from '../clock.js';
import { GroupLog } from './group-log.js';
import { replay } from './replay.js';
import { placeOffset, placeSegment, type Segment, Segments } from './segments.js';
import { openDisk, type WalStorage } from './storage.js';

export interface WalOptions {
  readonly directory: string;
  /** Instead of the directory: another disk. */
  readonly storage?: WalStorage;
  readonly segmentBytes?: number;
  /** How long after a disk was full to try again. */
  readonly retryMs?: number;
  readonly clock?: Pick<Clock, 'after'>;
  /** The log can no longer be trusted: end the process. Nothing is reported afterwards. */
  readonly fatal: (error: Error) => void;
  readonly warn: (message: string) => void;
  /** The batch under way has found no room; it is written when there is. */
  readonly onStalled?: () => void;
}

/** An entry staged, until its batch has a place. */
interface Staged {
  log: GroupLog;
  index: number;
  term: number;
  offset: number;
  bytes: number;
}

export class Wal {
  readonly groups: Map<number, GroupLog>;
  /** Counts of work done, for tests, measurements and metrics. */
  readonly figures = { syncs: 0, bytes: 0, records: 0 };
  private readonly segments: Segments;
  private readonly segmentBytes: number;
  private readonly records = new Writer(64 * 1024);
  private readonly opening = new Writer(64 * 1024);
  private readonly staged: Staged[] = [];
  private stagedCount = 0;
  private stagedRecords = 0;
  private readonly header = emptyBatchHeader();
  private chain = 0;
  private synced = { segment: 0, offset: 0 };
  private onCommitted: (() => void) | undefined;
  private writing = false;
  private failed = false;
  private releasable = false;
  /** The last batch has records: no later batch proves yet that it was synced. */
  private unproved = false;
  private onReady: (() => void) | undefined;
  private onWritten: (() => void) | undefined;
  private readonly stagedDone = (): void => this.stagedWritten();
  /** Groups whose entries before what is staged are needed by nobody once it is written, and not before. */
  private readonly forgotten: number[] = [];
  /** Those of them that are removed. */
  private readonly removed = new Map<number, GroupLog>();
  /** How often this log was opened, this time included. */
  starts = 0;
  startStaged = false;
  private startWritten = false;
  private lastRead: { place: number; batch: Buffer } | undefined;

  private constructor(
    private readonly options: WalOptions,
    storage: WalStorage,
    groups: Map<number, GroupLog>,
  ) {
    this.groups = groups;
    this.segmentBytes = options.segmentBytes ?? limits.walSegmentBytes;
    this.segments = new Segments({
      storage,
      segmentBytes: this.segmentBytes,
      retryMs: options.retryMs ?? limits.walRetryMs,
      clock: options.clock ?? systemClock,
      onChange: () => this.segmentsChanged(),
      onFailure: (error) => this.fail(error),
      warn: options.warn,
    });
    this.clearStaged();
  }

  /**
   * Replays the log. Rejects with WalDamaged if synced data is damaged or missing, with OfsError NOSPC if there is no
   * room for the first segment.
   */
  static async open(options: WalOptions): Promise<Wal> {
    const storage = options.storage ?? (await openDisk(options.directory));
    const segmentBytes = options.segmentBytes ?? limits.walSegmentBytes;
    const found = await replay({ storage, segmentBytes, warn: options.warn });
    const wal = new Wal(options, storage, found.groups);
    wal.segments.live.push(...found.live);
    wal.segments.prepared.push(...found.prepared);
    wal.segments.nextNumber = found.nextNumber;
    wal.chain = found.chain;
    wal.starts = found.starts + 1;
    const current = wal.segments.current;
    wal.unproved = current !== undefined;
    if (current !== undefined) wal.synced = { segment: current.number, offset: current.used };
    wal.releaseSegments();
    wal.segments.maintain();
    try {
      await wal.firstSegment();
    } catch (error) {
      await wal.segments.close();
      throw error;
    }
    return wal;
  }

  /** That this log was opened once more is in it. */
  get startStored(): boolean {
    return this.startWritten;
  }

  /** A batch is under way: do not commit. */
  get busy(): boolean {
    return this.onCommitted !== undefined;
  }

  /**
   * Whether an empty batch, committed now, would prove that all before it was synced. Without one, damage to the last
   * batch looks like a torn tail.
   */
  get wantsProof(): boolean {
    const { current } = this.segments;
    const fits = current !== undefined && current.used + BATCH_HEADER_BYTES <= current.bytes;
    return this.unproved && fits && !this.busy && !this.failed && this.stagedRecords === 0;
  }

  /** The batch under way waits for room that there is not. */
  get stalled(): boolean {
    return this.busy && !this.writing && this.full;
  }

  /** Segments that are ready to be written. */
  get prepared(): number {
    return this.segments.prepared.length;
  }

  get full(): boolean {
    return this.segments.full;
  }

  get stagedBytes(): number {
    return this.records.position - BATCH_HEADER_BYTES;
  }

  /** What a batch should not outgrow. */
  get batchBytes(): number {
    return Math.min(limits.walBatchBytes, this.segmentBytes / 2 - this.reserve);
  }

  /**
   * Whether `bytes` of records that are not yet placed (staged ones included) may be taken. While segments can be made
   * that is half a segment, which fits the next one; on a full disk what fits segments that are there already, without
   * what is kept for records that cannot be refused.
   */
  hasRoom(bytes: number): boolean {
    const { current } = this.segments;
    if (!this.full || this.segments.prepared.length > 0) return bytes + this.reserve <= this.segmentBytes / 2;
    return current !== undefined && current.used + bytes + this.reserve <= current.bytes;
  }

  group(group: number): GroupLog | undefined {
    return this.groups.get(group);
  }

  addGroup(group: number): GroupLog {
    assert(!this.groups.has(group) && this.groups.size < limits.raftGroupsPerThread);
    const log = new GroupLog(group);
    this.groups.set(group, log);
    return log;
  }

  /** Staging is for when nothing is under way: what is written frees no segment on the word of what is only staged. */
  stageEntry(log: GroupLog, entry: Entry): void {
    assert(!this.busy);
    if (!this.startStaged) this.stageStart();
    const offset = this.records.position;
    const bytes = writeRecord(this.records, log.group, RecordKind.ENTRY, entryCodec, entry);
    const slot = this.staged[this.stagedCount];
    if (slot === undefined) {
      this.staged.push({ log, index: entry.index, term: entry.term, offset, bytes });
    } else {
      slot.log = log;
      slot.index = entry.index;
      slot.term = entry.term;
      slot.offset = offset;
      slot.bytes = bytes;
    }
    this.stagedCount++;
    this.stagedRecords++;
  }

  /** Stages that the log was opened once more; whatever is staged first brings it along. */
  stageStart(): void {
    assert(!this.busy && !this.startStaged);
    this.startStaged = true;
    writeRecord(this.records, 0, RecordKind.START, startCodec, this);
    this.stagedRecords++;
  }

  /** Stages what `log` says of its term, vote and first index. */
  stageState(log: GroupLog): void {
    assert(!this.busy);
    if (!this.startStaged) this.stageStart();
    writeRecord(this.records, log.group, RecordKind.STATE, groupStateCodec, log);
    this.stagedRecords++;
    this.releasable = true;
  }

  stageRemoval(group: number): void {
    assert(!this.busy);
    const log = this.groups.get(group);
    assert(log !== undefined);
    this.groups.delete(group);
    this.removed.set(group, log);
    this.forgotten.push(group);
    writeMark(this.records, group, RecordKind.REMOVED);
    this.stagedRecords++;
    this.releasable = true;
  }

  /** Stages that a snapshot takes the place of all entries of a group, whose `log` begins behind it already. */
  stageReset(log: GroupLog): void {
    assert(!this.busy);
    if (!this.startStaged) this.stageStart();
    writeRecord(this.records, log.group, RecordKind.RESET, groupStateCodec, log);
    this.forgotten.push(log.group);
    this.stagedRecords++;
    this.releasable = true;
  }

  /** Writes what is staged; `onCommitted` runs when it is on disk. Must not be busy. */
  commit(onCommitted: () => void): void {
    assert(!this.busy);
    if (this.failed) return;
    this.onCommitted = onCommitted;
    this.place();
  }

  /**
   * Writes, past a batch that waits for room, what these groups no longer need, so that their segments may give it
   * room. Only for a log that is stalled; does nothing if even the room kept for this is used up.
   */
  relieve(logs: readonly GroupLog[]): void {
    assert(this.stalled);
    const { current } = this.segments;
    const batch = this.beginOpening();
    for (const log of logs) writeRecord(batch, log.group, RecordKind.STATE, groupStateCodec, log);
    if (current === undefined || current.used + batch.position > current.bytes) return;
    this.figures.records += logs.length;
    this.write(current, batch.view(), () => {
      this.releaseSegments();
      this.place();
    });
  }

  /** Entries `from` to `to`, fewer if they take more than `maxBytes`, at least one. Throws OfsError CORRUPT. */
  read(log: GroupLog, from: number, to: number, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const entry = this.readEntry(log, index);
      bytes += entry.payload.length;
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push(entry);
    }
    return entries;
  }

  /**
   * Ends a log at rest with a batch that proves all before it synced. Nothing is reported any more of a batch under
   * way; one that waits for room is not written.
   */
  async close(): Promise<void> {
    if (this.writing) {
      await new Promise<void>((resolve) => {
        this.onWritten = resolve;
      });
    }
    if (this.wantsProof) await new Promise<void>((resolve) => this.commit(resolve));
    await this.segments.close();
  }

  private get reserve(): number {
    return Math.min(limits.walReserveBytes, this.segmentBytes / 8);
  }

  private place(): void {
    const length = this.records.position;
    const { current } = this.segments;
    if (current !== undefined && current.used + length <= current.bytes) {
      this.writeStaged(current, this.records.view(), 0);
      return;
    }
    const next = this.segments.advance();
    if (next === undefined) return;
    const opening = this.openingBatch();
    this.writeStaged(next, opening, opening.length - length);
  }

  /** What is staged, behind the state of every group, with which a segment opens. */
  private openingBatch(): Buffer {
    const opening = this.beginOpening();
    writeRecord(opening, 0, RecordKind.START, startCodec, this);
    for (const log of this.groups.values()) {
      writeRecord(opening, log.group, RecordKind.STATE, groupStateCodec, log);
    }
    opening.raw(this.records.view().subarray(BATCH_HEADER_BYTES));
    return opening.view();
  }

  private beginOpening(): Writer {
    this.opening.reset();
    this.opening.ensure(BATCH_HEADER_BYTES);
    this.opening.position = BATCH_HEADER_BYTES;
    return this.opening;
  }

  /** Writes what is staged, which stands in `batch` by `shift` further on than it was staged. */
  private writeStaged(segment: Segment, batch: Buffer, shift: number): void {
    const offset = segment.used;
    for (const group of this.forgotten) this.segments.forget(group);
    this.forgotten.length = 0;
    if (this.removed.size > 0) this.removed.clear();
    for (let at = 0; at < this.stagedCount; at++) {
      const { log, index, term, offset: within, bytes } = this.staged[at]!;
      log.add(index, term, segment.place(offset + within + shift), bytes);
      segment.noteEntry(log.group, index);
    }
    this.figures.records += this.stagedRecords;
    this.unproved = this.stagedRecords > 0;
    this.clearStaged();
    this.write(segment, batch, this.stagedDone);
  }

  private write(segment: Segment, batch: Buffer, onDone: () => void): void {
    const offset = segment.used;
    assert(offset + batch.length <= segment.bytes, 'a batch fits in an empty segment');
    const { header } = this;
    header.previousCrc = this.chain;
    header.segment = segment.number;
    header.offset = offset;
    header.syncedSegment = this.synced.segment;
    header.syncedOffset = this.synced.offset;
    sealBatch(batch, header);
    this.chain = header.crc;
    segment.batches.push(offset);
    segment.used = offset + batch.length;
    this.writing = true;
    segment.file.write(batch, offset, (error) => {
      this.writing = false;
      this.onWritten?.();
      if (error !== null) this.fail(error);
      if (this.failed) return;
      this.figures.syncs++;
      this.figures.bytes += batch.length;
      this.synced = { segment: segment.number, offset: offset + batch.length };
      onDone();
    });
  }

  private stagedWritten(): void {
    if (this.releasable) this.releaseSegments();
    this.startWritten = this.startStaged;
    const onCommitted = this.onCommitted!;
    this.onCommitted = undefined;
    onCommitted();
  }

  private releaseSegments(): void {
    this.releasable = false;
    this.segments.release((segment) => {
      for (const [group, highest] of segment.highest) {
        const log = this.groups.get(group) ?? this.removed.get(group);
        if (log !== undefined && highest >= log.firstIndex) return true;
      }
      return false;
    });
  }

  private clearStaged(): void {
    this.records.position = BATCH_HEADER_BYTES;
    this.stagedCount = 0;
    this.stagedRecords = 0;
  }

  private segmentsChanged(): void {
    if (this.failed) return;
    if (this.busy && !this.writing) this.place();
    if (this.stalled) this.options.onStalled?.();
    this.onReady?.();
  }

  private async firstSegment(): Promise<void> {
    if (this.segments.current !== undefined || this.segments.prepared.length > 0) return;
    await new Promise<void>((resolve, reject) => {
      this.onReady = () => {
        if (this.segments.prepared.length > 0) resolve();
        else reject(new OfsError(Status.NOSPC, `no room for the first log segment in ${this.options.directory}`));
      };
    });
    this.onReady = undefined;
  }

  private readEntry(log: GroupLog, index: number): Entry {
    const place = log.place(index);
    const segment = this.segments.byNumber(placeSegment(place));
    const offset = placeOffset(place);
    const start = segment.batches[lastAtMost(segment.batches, offset)]!;
    const batch = this.readBatch(segment, start);
    const at = offset - start;
    const length = batch.readUInt32LE(at);
    const reader = new Reader().reset(batch, at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
    const entry = entryCodec.read(reader);
    assert(batch.readUInt32LE(at + 4) === log.group && entry.index === index);
    assert(entry.term === log.entryTerm(index));
    return entry;
  }

  /** A batch as it is on disk, checked again: what is read back is sent to others and applied. */
  private readBatch(segment: Segment, start: number): Buffer {
    const place = segment.place(start);
    if (this.lastRead?.place === place) return this.lastRead.batch;
    const following = lastAtMost(segment.batches, start) + 1;
    const end = segment.batches[following] ?? segment.used;
    const batch = Buffer.allocUnsafeSlow(end - start);
    const count = segment.file.read(batch, start);
    if (count !== batch.length || !readBatch(batch, segment.number, start, emptyBatchHeader(), start)) {
      const where = `segment ${segment.number} at offset ${start}`;
      throw new OfsError(Status.CORRUPT, `log batch in ${where} no longer reads as it was written: the disk lost it`);
    }
    this.lastRead = { place, batch };
    return batch;
  }

  private fail(error: Error): void {
    if (this.failed) return;
    this.failed = true;
    this.options.fatal(error);
  }
}

/** The position of the last number that is at most `limit` in a rising row. */
function lastAtMost(row: readonly number[], limit: number): number {
  let low = 0;
  let high = row.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (row[middle]! <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}
