// What the kernel is told: a header of 16 bytes, then a structure of fixed layout, or bytes. Layouts:
// include/uapi/linux/fuse.h. Directory entries are records of the reader's choice of length, padded to 8.

import type { ByteString } from '../codec.js';
import { i32, i64, id, layout, u16, u32, u64 } from './layout.js';

/** `error` is an errno, negative; a notice has `unique` 0 and its code in `error`. */
export const answerHeader = layout(16, { length: u32(0), error: i32(4), unique: id(8) });

export const initOut = layout(64, {
  major: u32(0),
  minor: u32(4),
  maxReadahead: u32(8),
  flags: u32(12),
  maxBackground: u16(16),
  congestionThreshold: u16(18),
  maxWrite: u32(20),
  timeGranularityNs: u32(24),
  maxPages: u16(28),
});

/** Offsets are those within `attr`; `fuse_attr` stands at 40 in an entry and at 16 in an attribute answer. */
const attrFields = (base: number) => ({
  inode: u64(base),
  size: u64(base + 8),
  blocks: u64(base + 16),
  atime: i64(base + 24),
  mtime: i64(base + 32),
  ctime: i64(base + 40),
  atimeNsec: u32(base + 48),
  mtimeNsec: u32(base + 52),
  ctimeNsec: u32(base + 56),
  mode: u32(base + 60),
  nlink: u32(base + 64),
  uid: u32(base + 68),
  gid: u32(base + 72),
  rdev: u32(base + 76),
  blockSize: u32(base + 80),
});

export const attrOut = layout(104, { attrValid: u64(0), attrValidNsec: u32(8), ...attrFields(16) });

/** `node` 0: there is no such name, and that may be remembered for the entry's time. */
export const entryOut = layout(128, {
  node: id(0),
  generation: u64(8),
  entryValid: u64(16),
  attrValid: u64(24),
  entryValidNsec: u32(32),
  attrValidNsec: u32(36),
  ...attrFields(40),
});

export const openOut = layout(16, { fh: id(0), openFlags: u32(8) });
export const writeOut = layout(8, { size: u32(0) });
export const getxattrOut = layout(8, { size: u32(0) });
export const statfsOut = layout(80, {
  blocks: u64(0),
  blocksFree: u64(8),
  blocksAvailable: u64(16),
  files: u64(24),
  filesFree: u64(32),
  blockSize: u32(40),
  nameLength: u32(44),
  fragmentSize: u32(48),
});

export const dirent = layout(24, { inode: u64(0), offset: u64(8), nameLength: u32(16), type: u32(20) });

export const invalInodeOut = layout(24, { node: id(0), offset: i64(8), length: i64(16) });
export const invalEntryOut = layout(16, { parent: id(0), nameLength: u32(8), flags: u32(12) });

/** Bytes of a READDIR record; a READDIRPLUS record has entryOut.bytes more in front. */
export function direntBytes(nameLength: number): number {
  return (dirent.bytes + nameLength + 7) & ~7;
}

/** Writes a READDIR record; `offset` is where the reader goes on after it. */
export function writeDirent(
  buffer: Buffer,
  at: number,
  name: ByteString,
  record: { inode: number; offset: number; type: number },
): number {
  const bytes = direntBytes(name.length);
  dirent.write(buffer, at, { inode: record.inode, offset: record.offset, nameLength: name.length, type: record.type });
  const start = at + dirent.bytes;
  buffer.latin1Write(name, start);
  buffer.fill(0, start + name.length, at + bytes);
  return at + bytes;
}
