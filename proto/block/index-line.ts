// A volume's index file: a log of the facts of its data file, in lines of 32 bytes, so that a start need not read the
// data. The first line is of kind HEAD. Little-endian; the file is read and written as 32-bit words of the host, which
// must be little-endian too.
//
//   0  u8   kind; 8  u24  blocks that a tombstone deletes, or in HEAD the version
//   4  u32  key: the block's id within its volume; in HEAD the volume; in SEAL the next free sequence
//   8  u32  offset of the needle in the data file, in units of 8 bytes
//  12  u32  length of the needle's data; in HEAD the cookie
//  16  u53  session of the writer
//  24  u32  zero
//  28  u32  CRC-32 of bytes 0 to 28, begun with the cookie of the data file: lines of another file never verify

import assert from 'node:assert';

assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, 'index files are read as words of a little-endian host');

export const INDEX_LINE_BYTES = 32;
export const INDEX_LINE_WORDS = INDEX_LINE_BYTES / 4;
export const IndexKind = { HEAD: 1, NEEDLE: 2, TOMBSTONE: 3, SEAL: 4 } as const;
const VERSION = 1;
const WORD = 0x1_0000_0000;

export interface IndexLine {
  kind: number;
  blocks: number;
  key: number;
  /** Of the needle, in bytes. */
  offset: number;
  length: number;
  session: number;
}

export function emptyIndexLine(): IndexLine {
  return { kind: 0, blocks: 0, key: 0, offset: 0, length: 0, session: 0 };
}

export function headLine(volume: number, cookie: number): IndexLine {
  return { kind: IndexKind.HEAD, blocks: VERSION, key: volume, offset: 0, length: cookie, session: 0 };
}

// Four tables, so that a step takes a word: a line costs 15 ns, a tenth of a call into zlib, and a start reads millions.
const tables = Array.from({ length: 4 }, () => new Int32Array(256));
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  tables[0]![byte] = crc;
}
for (let table = 1; table < 4; table++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = tables[table - 1]![byte]!;
    tables[table]![byte] = (before >>> 8) ^ tables[0]![before & 0xff]!;
  }
}
const [table0, table1, table2, table3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];

function lineCrc(words: Int32Array, at: number, cookie: number): number {
  let crc = ~cookie;
  for (let index = at; index < at + INDEX_LINE_WORDS - 1; index++) {
    crc ^= words[index]!;
    crc = table3[crc & 0xff]! ^ table2[(crc >>> 8) & 0xff]! ^ table1[(crc >>> 16) & 0xff]! ^ table0[crc >>> 24]!;
  }
  return ~crc;
}

/** Writes a line at word `at`. A HEAD line is begun with a cookie of 0, since it tells the cookie. */
export function writeIndexLine(words: Int32Array, at: number, line: IndexLine, cookie: number): void {
  words[at] = line.kind | (line.blocks << 8);
  words[at + 1] = line.key;
  words[at + 2] = line.offset / 8;
  words[at + 3] = line.length;
  words[at + 4] = line.session % WORD;
  words[at + 5] = Math.floor(line.session / WORD);
  words[at + 6] = 0;
  words[at + 7] = lineCrc(words, at, line.kind === IndexKind.HEAD ? 0 : cookie);
}

/** Reads the line at word `at` into `line`; false when it does not verify. */
export function readIndexLine(words: Int32Array, at: number, line: IndexLine, cookie: number): boolean {
  const kind = words[at]! & 0xff;
  if (kind < IndexKind.HEAD || kind > IndexKind.SEAL) return false;
  if (lineCrc(words, at, kind === IndexKind.HEAD ? 0 : cookie) !== words[at + 7]) return false;
  parseIndexLine(words, at, line);
  return kind === IndexKind.HEAD ? line.blocks === VERSION : line.session <= Number.MAX_SAFE_INTEGER;
}

/** Reads a line that was verified before. */
export function parseIndexLine(words: Int32Array, at: number, line: IndexLine): void {
  const first = words[at]!;
  line.kind = first & 0xff;
  line.blocks = first >>> 8;
  line.key = words[at + 1]! >>> 0;
  line.offset = (words[at + 2]! >>> 0) * 8;
  line.length = words[at + 3]! >>> 0;
  line.session = (words[at + 4]! >>> 0) + (words[at + 5]! >>> 0) * WORD;
}
