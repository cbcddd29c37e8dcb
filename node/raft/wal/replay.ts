// What a start finds in the log. Batches are followed along their chain until one does not fit. What lies behind that
// place is a torn tail (cut, zeroed, said) unless an intact batch there proves that this place had been synced: then
// synced data is damaged, and the log is not opened. All that is accepted is synced before it counts, since after a
// kill it may be in the page cache only.

import { DecodeError, type Reader } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { entryCodec } from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import {
  BATCH_HEADER_BYTES,
  batchBegins,
  emptyBatchHeader,
  groupStateCodec,
  RecordKind,
  readBatch,
  readRecords,
  startCodec,
  WAL_MAGIC_BYTES,
} from '../../../proto/wal.js';
import { GroupLog } from './group-log.js';
import { isTemporary, Segment, segmentName, segmentNumber, write, writeZeros } from './segments.js';
import type { WalStorage } from './storage.js';

/** Synced bytes of the log do not read as they were written. */
export class WalDamaged extends OfsError {
  constructor(
    readonly segment: number,
    readonly offset: number,
    /** The groups with records behind the damage, which are lost with it. */
    readonly groups: readonly number[],
    message: string,
  ) {
    super(Status.CORRUPT, message);
  }
}

export interface Replayed {
  readonly live: Segment[];
  readonly prepared: Segment[];
  readonly groups: Map<number, GroupLog>;
  readonly nextNumber: number;
  /** The CRC of the last batch. */
  readonly chain: number;
  /** How often the log had been opened. */
  readonly starts: number;
}

export interface ReplayOptions {
  readonly storage: WalStorage;
  readonly segmentBytes: number;
  readonly warn: (message: string) => void;
}

interface IntactLater {
  /** End of the last intact batch behind the end of the chain, by segment. */
  readonly ends: Map<Segment, number>;
  readonly firstEntries: Map<number, number>;
  syncedSegment: number;
  syncedOffset: number;
}

export async function replay(options: ReplayOptions): Promise<Replayed> {
  const segments = await openSegments(options.storage);
  try {
    return await replaySegments(options, segments);
  } catch (error) {
    for (const segment of segments) await segment.file.close();
    throw error;
  }
}

async function replaySegments(options: ReplayOptions, segments: readonly Segment[]): Promise<Replayed> {
  const replayer = new Replayer(segments);
  replayer.followChain();
  const { end, endOffset } = replayer;
  if (end !== undefined) await settleTail(replayer, end, endOffset, options.warn);
  for (const log of replayer.groups.values()) assertWhole(log, segments[0]?.number ?? 0);
  await settleEnd(replayer);
  for (const segment of segments) if (segment.used > 0) await segment.file.sync();
  const live = segments.filter((segment) => segment.used > 0);
  const prepared = segments.filter((segment) => segment.used === 0 && segment.bytes === options.segmentBytes);
  for (const segment of segments) {
    if (segment.used > 0 || segment.bytes === options.segmentBytes) continue;
    await segment.file.close();
    await options.storage.remove(segmentName(segment.number));
  }
  const nextNumber = (segments.at(-1)?.number ?? 0) + 1;
  const { groups, chain, starts } = replayer;
  return { live, prepared, groups, nextNumber, chain, starts };
}

async function openSegments(storage: WalStorage): Promise<Segment[]> {
  const names = await storage.list();
  for (const name of names) if (isTemporary(name)) await storage.remove(name);
  const numbers = names.map(segmentNumber).filter((number) => number !== undefined);
  numbers.sort((left, right) => left - right);
  const segments: Segment[] = [];
  for (const number of numbers) {
    const file = await storage.open(segmentName(number));
    if (file.sizeBytes > limits.walSegmentBytes) {
      throw new OfsError(Status.CORRUPT, `log segment ${number} has ${file.sizeBytes} bytes, over the limit`);
    }
    segments.push(new Segment(number, file, file.sizeBytes));
  }
  return segments;
}

class Replayer {
  readonly groups = new Map<number, GroupLog>();
  chain = 0;
  starts = 0;
  /** What the last batch says was synced when it was written. */
  provedSegment = 0;
  provedOffset = 0;
  /** Where the chain ends; undefined without any segment. */
  end: Segment | undefined;
  endOffset = 0;
  private readonly header = emptyBatchHeader();
  private readonly buffer: Buffer;

  constructor(readonly segments: readonly Segment[]) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(0, ...segments.map((segment) => segment.bytes)));
  }

  followChain(): void {
    for (const segment of this.segments) {
      const source = this.load(segment);
      const first = this.end === undefined;
      let offset = 0;
      while (this.fits(source, segment, offset, first)) {
        this.accept(source, segment, offset);
        offset += this.header.length;
      }
      if (offset === 0 && !first) return;
      segment.used = offset;
      this.end = segment;
      this.endOffset = offset;
    }
  }

  load(segment: Segment): Buffer {
    return this.buffer.subarray(0, segment.file.read(this.buffer.subarray(0, segment.bytes), 0));
  }

  /** All intact batches behind the end of the chain, and what they prove. */
  laterBatches(end: Segment, endOffset: number): IntactLater {
    const later: IntactLater = { ends: new Map(), firstEntries: new Map(), syncedSegment: 0, syncedOffset: 0 };
    const { header } = this;
    const magic = Buffer.from(WAL_MAGIC_BYTES);
    for (const segment of this.segments) {
      if (segment.number < end.number) continue;
      const source = this.load(segment);
      let at = source.indexOf(magic, segment === end ? endOffset : 0);
      while (at !== -1) {
        const intact = readBatch(source, segment.number, at, header);
        if (intact) this.noteLater(later, source, segment, at);
        at = source.indexOf(magic, intact ? at + header.length : at + 1);
      }
    }
    return later;
  }

  private noteLater(later: IntactLater, source: Buffer, segment: Segment, at: number): void {
    const { header } = this;
    later.ends.set(segment, at + header.length);
    const newer =
      header.syncedSegment > later.syncedSegment ||
      (header.syncedSegment === later.syncedSegment && header.syncedOffset > later.syncedOffset);
    if (newer) {
      later.syncedSegment = header.syncedSegment;
      later.syncedOffset = header.syncedOffset;
    }
    this.eachRecord(source, segment, at, (kind, group, body) => {
      if (kind === RecordKind.STATE || kind === RecordKind.RESET) groupStateCodec.read(body);
      if (kind === RecordKind.START) startCodec.read(body);
      if (kind !== RecordKind.ENTRY) return;
      const { index } = entryCodec.read(body);
      if (!later.firstEntries.has(group)) later.firstEntries.set(group, index);
    });
  }

  private fits(source: Buffer, segment: Segment, offset: number, first: boolean): boolean {
    if (!readBatch(source, segment.number, offset, this.header)) return false;
    return (first && offset === 0) || this.header.previousCrc === this.chain;
  }

  private accept(source: Buffer, segment: Segment, offset: number): void {
    this.chain = this.header.crc;
    this.provedSegment = this.header.syncedSegment;
    this.provedOffset = this.header.syncedOffset;
    segment.batches.push(offset);
    this.eachRecord(source, segment, offset, (kind, group, body, at, length) => {
      if (kind === RecordKind.REMOVED || kind === RecordKind.RESET) {
        for (const earlier of this.segments) earlier.highest.delete(group);
      }
      if (kind === RecordKind.REMOVED) {
        this.groups.delete(group);
      } else if (kind === RecordKind.START) {
        this.starts = startCodec.read(body).starts;
      } else if (kind === RecordKind.RESET) {
        const state = groupStateCodec.read(body);
        const log = this.group(group);
        log.term = state.term;
        log.vote = state.vote;
        log.reset(state.firstIndex, state.previousTerm);
      } else if (kind === RecordKind.STATE) {
        const state = groupStateCodec.read(body);
        const log = this.group(group);
        log.term = state.term;
        log.vote = state.vote;
        log.keepFrom(state.firstIndex, state.previousTerm);
      } else {
        const entry = entryCodec.read(body);
        this.group(group).add(entry.index, entry.term, segment.place(at), length);
        segment.noteEntry(group, entry.index);
      }
    });
  }

  private eachRecord(
    source: Buffer,
    segment: Segment,
    offset: number,
    onRecord: (kind: number, group: number, body: Reader, at: number, length: number) => void,
  ): void {
    try {
      readRecords(source, offset + BATCH_HEADER_BYTES, offset + this.header.length, onRecord);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const where = `segment ${segment.number} at offset ${offset}`;
      throw new OfsError(Status.CORRUPT, `log batch in ${where} is intact but not of this version: ${error.message}`);
    }
  }

  private group(group: number): GroupLog {
    let log = this.groups.get(group);
    if (log === undefined) {
      log = new GroupLog(group);
      this.groups.set(group, log);
    }
    return log;
  }
}

async function settleTail(
  replayer: Replayer,
  end: Segment,
  endOffset: number,
  warn: (message: string) => void,
): Promise<void> {
  const later = replayer.laterBatches(end, endOffset);
  const where = `segment ${end.number} at offset ${endOffset}`;
  const { syncedSegment, syncedOffset } = later;
  if (syncedSegment > end.number || (syncedSegment === end.number && syncedOffset > endOffset)) {
    const groups = [...later.firstEntries.keys()].sort((left, right) => left - right);
    const parts = groups.map((group) => {
      const last = replayer.groups.get(group)?.lastIndex ?? 0;
      return `group ${group} has entries to ${last} before it and from ${later.firstEntries.get(group)} behind it`;
    });
    const synced = `a later batch proves that it was on disk up to segment ${syncedSegment} offset ${syncedOffset}`;
    throw new WalDamaged(
      end.number,
      endOffset,
      groups,
      `log is damaged in ${where}: ${synced}; ${parts.join(', ') || 'no group has entries behind it'}. ` +
        'Not started. Restore this node from a replica or a backup',
    );
  }
  const begun = batchBegins(replayer.load(end), end.number, endOffset);
  if (!begun && later.ends.size === 0) return;
  warn(`log ends in a torn batch in ${where}, which was never acknowledged: cut`);
  const torn = Math.min(end.bytes, endOffset + limits.walBatchBytes + limits.walReserveBytes);
  await writeZeros(end.file, endOffset, Math.max(torn, later.ends.get(end) ?? 0));
  for (const [segment, until] of later.ends) if (segment !== end) await writeZeros(segment.file, 0, until);
}

/**
 * Writes again what the last batch does not prove to have been synced. Where a write failed, what was read may be in the
 * page cache alone and count as clean there, so that a sync would pass it over.
 */
async function settleEnd(replayer: Replayer): Promise<void> {
  const { end, endOffset, provedSegment, provedOffset } = replayer;
  if (end === undefined) return;
  for (const segment of replayer.segments) {
    if (segment.number < provedSegment || segment.number > end.number) continue;
    const from = segment.number === provedSegment ? provedOffset : 0;
    const to = segment === end ? endOffset : segment.used;
    if (from < to) await write(segment.file, Buffer.from(replayer.load(segment).subarray(from, to)), from);
  }
}

function assertWhole(log: GroupLog, oldest: number): void {
  if (log.whole) return;
  const missing = `entries ${log.firstIndex} to ${log.firstPlaced - 1} of group ${log.group}`;
  throw new WalDamaged(oldest, 0, [log.group], `log lacks ${missing}: a segment before ${oldest} is missing`);
}
