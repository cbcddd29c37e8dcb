// The one frame in which every request and answer travels, over TCP between processes and through rings between
// threads. All numbers are little-endian.
//
//   0  u32  length of the frame: header, body and, where it travels inline, payload
//   4  u8   version (1)
//   5  u8   flags
//   6  u16  kind: the operation
//   8  u53  request number, by which an answer finds its request; rises by one with each request of a session
//  16  u32  raft group
//  20  u32  window: how far below this number the oldest request lies that the sender has no answer for
//  24  u16  status of an answer
//  26  u16  zero
//  28  u32  length of the body
//  32  u32  length of the payload
//  36  u32  offset of the payload in the sender's slab, with SLAB
//  40  u32  zero
//  44  u32  CRC-32C of bytes 0 to 44 and the body; zero with NO_CRC
//  48       body, then payload
//
// The CRC never covers the payload: blocks carry checksums of their own. Rings carry NO_CRC frames, since nothing
// between two threads can damage them, and SLAB payloads, which stay where they are.

import type { Buffer } from 'node:buffer';
import { DecodeError } from './codec.js';
import { crc32c } from './crc32c.js';
import { limits } from './limits.js';

export const FRAME_HEADER_BYTES = 48;
const VERSION = 1;
const CRC_OFFSET = 44;
const WORD = 0x1_0000_0000;

export const FrameFlag = { ANSWER: 1, NO_CRC: 2, SLAB: 4 } as const;
const KNOWN_FLAGS = FrameFlag.ANSWER | FrameFlag.NO_CRC | FrameFlag.SLAB;

/** A frame's header, decoded; reused by its reader. */
export interface FrameHeader {
  length: number;
  flags: number;
  kind: number;
  number: number;
  group: number;
  window: number;
  status: number;
  bodyLength: number;
  payloadLength: number;
  slabOffset: number;
}

export function emptyHeader(): FrameHeader {
  return {
    length: 0,
    flags: 0,
    kind: 0,
    number: 0,
    group: 0,
    window: 0,
    status: 0,
    bodyLength: 0,
    payloadLength: 0,
    slabOffset: 0,
  };
}

/** Bytes that the frame takes where it travels: without a payload that stays in a slab. */
export function frameLength(header: FrameHeader): number {
  const inline = (header.flags & FrameFlag.SLAB) === 0 ? header.payloadLength : 0;
  return FRAME_HEADER_BYTES + header.bodyLength + inline;
}

/**
 * Writes the header at `target[at]`, and its CRC over header and `body` unless NO_CRC is set; sets `header.length`.
 * Body and payload are the caller's to place behind it.
 */
export function writeHeader(target: Buffer, at: number, header: FrameHeader, body: Uint8Array): void {
  header.length = frameLength(header);
  target.writeUInt32LE(header.length, at);
  target[at + 4] = VERSION;
  target[at + 5] = header.flags;
  target.writeUInt16LE(header.kind, at + 6);
  target.writeUInt32LE(header.number % WORD, at + 8);
  target.writeUInt32LE(Math.floor(header.number / WORD), at + 12);
  target.writeUInt32LE(header.group, at + 16);
  target.writeUInt32LE(header.window, at + 20);
  target.writeUInt32LE(header.status, at + 24);
  target.writeUInt32LE(header.bodyLength, at + 28);
  target.writeUInt32LE(header.payloadLength, at + 32);
  target.writeUInt32LE(header.slabOffset, at + 36);
  target.writeUInt32LE(0, at + 40);
  const crc = (header.flags & FrameFlag.NO_CRC) !== 0 ? 0 : crc32c(target.subarray(at, at + CRC_OFFSET), body);
  target.writeUInt32LE(crc, at + CRC_OFFSET);
}

/**
 * Reads and checks the header at `source[at]`; at least FRAME_HEADER_BYTES must be there. Throws DecodeError on a
 * header that no sender of this version writes. The CRC is checked by `checkFrame`, when the body has come.
 */
export function readHeader(source: Buffer, at: number, header: FrameHeader): void {
  if (source.length - at < FRAME_HEADER_BYTES) throw new DecodeError('frame shorter than its header');
  if (source[at + 4] !== VERSION)
    throw new DecodeError(`frame of version ${source[at + 4]}, this side speaks ${VERSION}`);
  header.length = source.readUInt32LE(at);
  header.flags = source[at + 5]!;
  header.kind = source.readUInt16LE(at + 6);
  const high = source.readUInt32LE(at + 12);
  header.number = source.readUInt32LE(at + 8) + high * WORD;
  header.group = source.readUInt32LE(at + 16);
  header.window = source.readUInt32LE(at + 20);
  header.status = source.readUInt16LE(at + 24);
  header.bodyLength = source.readUInt32LE(at + 28);
  header.payloadLength = source.readUInt32LE(at + 32);
  header.slabOffset = source.readUInt32LE(at + 36);
  const zero = source.readUInt16LE(at + 26) === 0 && source.readUInt32LE(at + 40) === 0;
  if (!zero || high >= 0x20_0000 || (header.flags & ~KNOWN_FLAGS) !== 0)
    throw new DecodeError('frame header is damaged');
  if (header.bodyLength > limits.frameBodyBytes || header.payloadLength > limits.framePayloadBytes) {
    throw new DecodeError(`frame of ${header.bodyLength} + ${header.payloadLength} bytes is over the limit`);
  }
  if (header.length !== frameLength(header)) throw new DecodeError('frame lengths do not add up');
}

/** Checks the CRC of a frame whose header was read and whose body lies behind it. Throws DecodeError. */
export function checkFrame(source: Buffer, at: number, header: FrameHeader): void {
  if ((header.flags & FrameFlag.NO_CRC) !== 0) return;
  const start = at + FRAME_HEADER_BYTES;
  const crc = crc32c(source.subarray(at, at + CRC_OFFSET), source.subarray(start, start + header.bodyLength));
  if (crc !== source.readUInt32LE(at + CRC_OFFSET)) throw new DecodeError('frame fails its CRC');
}
