// A volume's data file: a superblock, then needles one behind the other. All numbers are little-endian.
//
//   superblock                                  needle
//   0  u32  magic                               0  u32  magic
//   4  u16  version                             4  u16  flags
//   6  u16  flags: SEALED                       6  u16  blocks that a tombstone deletes, from its id upwards; or 0
//   8  u32  volume                              8  u53  id of the block
//  12  u32  cookie                             16  u32  cookie of the superblock
//  16  u32  bytes of a block                   20  u32  length of the data; 0 in a tombstone
//  20  u32  bytes of a checksummed piece       24  u53  session of the writer
//  24  u32  no sequence below this is free     32       data
//  28       zero                                        u32  CRC-32 (zlib's) of each piece of the data
//  60  u32  CRC-32C of bytes 0 to 60                    u32  CRC-32C of header and checksums, which ends them
//                                                       zero up to a multiple of 8
//
// The cookie is drawn when a file is made, so that a needle left on the disk by another file never verifies.

import type { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { DecodeError } from '../codec.js';
import { crc32c } from '../crc32c.js';
import { BLOB_BLOCKS, blockIndex, makeBlob } from '../ids.js';
import { limits } from '../limits.js';

export const SUPERBLOCK_BYTES = 64;
export const NEEDLE_HEADER_BYTES = 32;
/** Needles begin at multiples of this. */
export const NEEDLE_ALIGN = 8;
/** Ids of blocks in one volume; the id modulo this is the block's *key*, which names it within its volume. */
export const VOLUME_KEYS = makeBlob(1, 0);
export const NEEDLE_MAGIC = 0x4e53464f;

const SUPERBLOCK_MAGIC = 0x5653464f;
const VERSION = 1;
const SEALED = 1;
const TOMBSTONE = 1;
const WORD = 0x1_0000_0000;
const HIGH_MAX = 0x20_0000;
const PIECE = limits.checksumPieceBytes;

export interface Superblock {
  volume: number;
  cookie: number;
  sealed: boolean;
  /** Sequences below this were given out before the file was made (GC leaves none of their needles, perhaps). */
  nextSequence: number;
}

export interface NeedleHeader {
  tombstone: boolean;
  blocks: number;
  id: number;
  cookie: number;
  length: number;
  session: number;
}

export function emptyNeedleHeader(): NeedleHeader {
  return { tombstone: false, blocks: 0, id: 0, cookie: 0, length: 0, session: 0 };
}

/** How many checksums `length` bytes of data have. */
export function pieceCount(length: number): number {
  return Math.ceil(length / PIECE);
}

/** Bytes behind the data: checksums, their CRC, padding. */
export function trailerBytes(length: number): number {
  return needleBytes(length) - NEEDLE_HEADER_BYTES - length;
}

/** Bytes of a whole needle with `length` bytes of data. */
export function needleBytes(length: number): number {
  const bytes = NEEDLE_HEADER_BYTES + length + pieceCount(length) * 4 + 4;
  return bytes + ((NEEDLE_ALIGN - (bytes % NEEDLE_ALIGN)) % NEEDLE_ALIGN);
}

/** The checksums of a block's data, one a piece. */
export function pieceChecksums(data: Uint8Array): number[] {
  const checksums: number[] = [];
  for (let start = 0; start < data.length; start += PIECE) checksums.push(crc32(data.subarray(start, start + PIECE)));
  return checksums;
}

export function writeSuperblock(target: Buffer, superblock: Superblock): void {
  target.fill(0, 0, SUPERBLOCK_BYTES);
  target.writeUInt32LE(SUPERBLOCK_MAGIC, 0);
  target.writeUInt16LE(VERSION, 4);
  target.writeUInt16LE(superblock.sealed ? SEALED : 0, 6);
  target.writeUInt32LE(superblock.volume, 8);
  target.writeUInt32LE(superblock.cookie, 12);
  target.writeUInt32LE(limits.blockBytes, 16);
  target.writeUInt32LE(PIECE, 20);
  target.writeUInt32LE(superblock.nextSequence, 24);
  target.writeUInt32LE(crc32c(target.subarray(0, 60)), 60);
}

/** Throws DecodeError on anything that `writeSuperblock` of this version does not write. */
export function readSuperblock(source: Buffer): Superblock {
  if (source.length < SUPERBLOCK_BYTES) throw new DecodeError('volume is shorter than its superblock');
  if (source.readUInt32LE(0) !== SUPERBLOCK_MAGIC) throw new DecodeError('not a volume: its magic is another');
  if (crc32c(source.subarray(0, 60)) !== source.readUInt32LE(60)) throw new DecodeError('superblock fails its CRC');
  const version = source.readUInt16LE(4);
  if (version !== VERSION) throw new DecodeError(`volume of version ${version}, this side knows ${VERSION}`);
  if (source.readUInt32LE(16) > limits.blockBytes || source.readUInt32LE(20) !== PIECE) {
    throw new DecodeError('volume has blocks or pieces of another size');
  }
  return {
    volume: source.readUInt32LE(8),
    cookie: source.readUInt32LE(12),
    sealed: (source.readUInt16LE(6) & SEALED) !== 0,
    nextSequence: source.readUInt32LE(24),
  };
}

export function writeNeedleHeader(target: Buffer, at: number, header: NeedleHeader): void {
  target.writeUInt32LE(NEEDLE_MAGIC, at);
  target.writeUInt16LE(header.tombstone ? TOMBSTONE : 0, at + 4);
  target.writeUInt16LE(header.blocks, at + 6);
  target.writeUInt32LE(header.id % WORD, at + 8);
  target.writeUInt32LE(Math.floor(header.id / WORD), at + 12);
  target.writeUInt32LE(header.cookie, at + 16);
  target.writeUInt32LE(header.length, at + 20);
  target.writeUInt32LE(header.session % WORD, at + 24);
  target.writeUInt32LE(Math.floor(header.session / WORD), at + 28);
}

/** Reads the header at `source[at]`; false when it is none (its CRC stands in the trailer: `trailerFits`). */
export function readNeedleHeader(source: Buffer, at: number, header: NeedleHeader): boolean {
  if (source.length - at < NEEDLE_HEADER_BYTES || source.readUInt32LE(at) !== NEEDLE_MAGIC) return false;
  const flags = source.readUInt16LE(at + 4);
  const idHigh = source.readUInt32LE(at + 12);
  const sessionHigh = source.readUInt32LE(at + 28);
  if ((flags & ~TOMBSTONE) !== 0 || idHigh >= HIGH_MAX || sessionHigh >= HIGH_MAX) return false;
  header.tombstone = flags === TOMBSTONE;
  header.blocks = source.readUInt16LE(at + 6);
  header.id = source.readUInt32LE(at + 8) + idHigh * WORD;
  header.cookie = source.readUInt32LE(at + 16);
  header.length = source.readUInt32LE(at + 20);
  header.session = source.readUInt32LE(at + 24) + sessionHigh * WORD;
  if (!header.tombstone) return header.blocks === 0 && header.length > 0 && header.length <= limits.blockBytes;
  return header.length === 0 && header.blocks > 0 && blockIndex(header.id) + header.blocks <= BLOB_BLOCKS;
}

/**
 * Writes a needle's header and, right behind it, its trailer at `target[at]` (the data goes between them on disk), and
 * returns the bytes written. `checksums` are those of the data.
 */
export function writeNeedleFrame(
  target: Buffer,
  at: number,
  header: NeedleHeader,
  checksums: readonly number[],
): number {
  writeNeedleHeader(target, at, header);
  let position = at + NEEDLE_HEADER_BYTES;
  for (const checksum of checksums) position = target.writeUInt32LE(checksum, position);
  position = target.writeUInt32LE(crc32c(target.subarray(at, position)), position);
  const end = at + NEEDLE_HEADER_BYTES + trailerBytes(header.length);
  target.fill(0, position, end);
  return end - at;
}

/** Whether the trailer at `trailer[at]` belongs to a needle with the header at `header[headerAt]`. */
export function trailerFits(header: Buffer, headerAt: number, trailer: Buffer, at: number): boolean {
  const checksumsEnd = at + pieceCount(header.readUInt32LE(headerAt + 20)) * 4;
  if (trailer.length < checksumsEnd + 4) return false;
  const crc = crc32c(header.subarray(headerAt, headerAt + NEEDLE_HEADER_BYTES), trailer.subarray(at, checksumsEnd));
  return crc === trailer.readUInt32LE(checksumsEnd);
}

/**
 * Whether `data`, which begins at piece `first` of its block, fits the checksums at `trailer[at]` (those of the whole
 * block). `data` must end with a piece.
 */
export function dataFits(data: Uint8Array, first: number, trailer: Buffer, at: number): boolean {
  if (data.length <= PIECE) return crc32(data) === trailer.readUInt32LE(at + first * 4);
  let position = at + first * 4;
  for (let start = 0; start < data.length; start += PIECE, position += 4) {
    if (crc32(data.subarray(start, start + PIECE)) !== trailer.readUInt32LE(position)) return false;
  }
  return true;
}
