// The write-ahead log on disk. A segment is a file of fixed size named by its number; it holds batches back to back
// from offset 0, and behind the last one whatever an earlier use of the file left. What one sync covers is a batch:
//
//   0  u32  magic "OWL1"
//   4  u32  CRC-32C of bytes 8 to `length`
//   8  u32  length: header and records
//  12  u32  CRC of the batch before this one, in this segment or the one before
//  16  u53  segment number
//  24  u32  offset in the segment
//  28  u32  syncedTo: offset
//  32  u53  syncedTo: segment number; all before that position was known to be synced when this batch was written
//  40       records
//
//  record:  0 u32 length of the body   4 u32 group   8 u8 kind   9 body
//
// A batch fits only where it was written (segment number, offset) and only behind the batch it was written behind
// (CRC before), so bytes of an earlier use, of a cut batch or of another place are never taken for one.

import type { Buffer } from 'node:buffer';
import { type Codec, DecodeError, Reader, struct, u32, u53, type Writer } from './codec.js';
import { crc32c } from './crc32c.js';

export const WAL_MAGIC = 0x314c574f;
export const WAL_MAGIC_BYTES: readonly number[] = [0x4f, 0x57, 0x4c, 0x31];
export const BATCH_HEADER_BYTES = 40;
export const RECORD_HEADER_BYTES = 9;
const WORD = 0x1_0000_0000;

export const RecordKind = {
  /** Term, vote and first index kept of a group: what it is from here on. */
  STATE: 1,
  /** A log entry; one with an index that stood before replaces it and all behind it. */
  ENTRY: 2,
  /** The group is gone from this log, with all its entries. */
  REMOVED: 3,
  /** As STATE, and all entries before it are gone: a snapshot took their place. */
  RESET: 4,
  /** How often this log was opened so far. Of no group. */
  START: 5,
} as const;

/** The body of a STATE record. */
export interface GroupState {
  readonly term: number;
  /** Whom this node voted for in `term`; 0 for nobody. */
  readonly vote: number;
  /** Entries below are in a checkpoint. */
  readonly firstIndex: number;
  /** The term of the entry before `firstIndex`. */
  readonly previousTerm: number;
}

export const groupStateCodec: Codec<GroupState> = struct({ term: u53, vote: u32, firstIndex: u53, previousTerm: u53 });

/** The body of a START record. */
export const startCodec: Codec<{ readonly starts: number }> = struct({ starts: u53 });

/** A record that holds a GroupState takes no more than this. */
export const STATE_RECORD_BYTES = RECORD_HEADER_BYTES + 8 * 3 + 5;

export interface BatchHeader {
  length: number;
  crc: number;
  previousCrc: number;
  segment: number;
  offset: number;
  syncedSegment: number;
  syncedOffset: number;
}

export function emptyBatchHeader(): BatchHeader {
  return { length: 0, crc: 0, previousCrc: 0, segment: 0, offset: 0, syncedSegment: 0, syncedOffset: 0 };
}

function writeU53(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32LE(value % WORD, at);
  buffer.writeUInt32LE(Math.floor(value / WORD), at + 4);
}

function readU53(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * WORD;
}

/** Fills in the header of `batch`, whose records stand behind it, and sets `header.length` and `header.crc`. */
export function sealBatch(batch: Buffer, header: BatchHeader): void {
  header.length = batch.length;
  batch.writeUInt32LE(WAL_MAGIC, 0);
  batch.writeUInt32LE(batch.length, 8);
  batch.writeUInt32LE(header.previousCrc, 12);
  writeU53(batch, 16, header.segment);
  batch.writeUInt32LE(header.offset, 24);
  batch.writeUInt32LE(header.syncedOffset, 28);
  writeU53(batch, 32, header.syncedSegment);
  header.crc = crc32c(batch.subarray(8));
  batch.writeUInt32LE(header.crc, 4);
}

/**
 * Whether an intact batch of segment `segment` stands at `source[offset]`, where `source` is the segment from its
 * offset `base` on; `header` is set if so. Never throws, never reads past the end. The chain is the caller's to check.
 */
export function readBatch(source: Buffer, segment: number, offset: number, header: BatchHeader, base = 0): boolean {
  const at = offset - base;
  if (at < 0 || source.length - at < BATCH_HEADER_BYTES || source.readUInt32LE(at) !== WAL_MAGIC) return false;
  const length = source.readUInt32LE(at + 8);
  if (length < BATCH_HEADER_BYTES || length > source.length - at) return false;
  if (source.readUInt32LE(at + 24) !== offset || readU53(source, at + 16) !== segment) return false;
  const crc = crc32c(source.subarray(at + 8, at + length));
  if (crc !== source.readUInt32LE(at + 4)) return false;
  header.length = length;
  header.crc = crc;
  header.previousCrc = source.readUInt32LE(at + 12);
  header.segment = segment;
  header.offset = offset;
  header.syncedOffset = source.readUInt32LE(at + 28);
  header.syncedSegment = readU53(source, at + 32);
  return true;
}

/** Whether a batch of this place was begun at `source[offset]`, intact or not: tells a torn batch from a clean end. */
export function batchBegins(source: Buffer, segment: number, offset: number): boolean {
  if (source.length - offset < BATCH_HEADER_BYTES || source.readUInt32LE(offset) !== WAL_MAGIC) return false;
  return source.readUInt32LE(offset + 24) === offset && readU53(source, offset + 16) === segment;
}

/** Appends a record whose body `codec` writes; returns its length. */
export function writeRecord<T>(writer: Writer, group: number, kind: number, codec: Codec<T>, value: T): number {
  const start = writer.position;
  writer.ensure(RECORD_HEADER_BYTES);
  writer.position += RECORD_HEADER_BYTES;
  codec.write(writer, value);
  writer.buffer.writeUInt32LE(writer.position - start - RECORD_HEADER_BYTES, start);
  writer.buffer.writeUInt32LE(group, start + 4);
  writer.buffer[start + 8] = kind;
  return writer.position - start;
}

/** Appends a record without a body. */
export function writeMark(writer: Writer, group: number, kind: number): void {
  writer.uint32(0);
  writer.uint32(group);
  writer.byte(kind);
}

export type OnRecord = (kind: number, group: number, body: Reader, offset: number, length: number) => void;

/**
 * Reads the records in `source[start, end)`; the body's reader is valid only during the call, `offset` counts in
 * `source`, `length` is that of the whole record. Throws DecodeError.
 */
export function readRecords(source: Buffer, start: number, end: number, onRecord: OnRecord): void {
  const body = new Reader();
  let at = start;
  while (at < end) {
    if (end - at < RECORD_HEADER_BYTES) throw new DecodeError('log record shorter than its header');
    const length = source.readUInt32LE(at);
    const group = source.readUInt32LE(at + 4);
    const kind = source[at + 8]!;
    const next = at + RECORD_HEADER_BYTES + length;
    if (next > end) throw new DecodeError('log record runs past its batch');
    if (kind < RecordKind.STATE || kind > RecordKind.START) throw new DecodeError(`log record of kind ${kind}`);
    body.reset(source, at + RECORD_HEADER_BYTES, next);
    onRecord(kind, group, body, at, next - at);
    if (body.remaining !== 0) throw new DecodeError(`${body.remaining} bytes after the body of a log record`);
    at = next;
  }
}
