// What the kernel asks. A request is a header of 40 bytes and a body; a body is a structure of fixed layout, then names
// that end in NUL, then (WRITE, SETXATTR) bytes. Layouts: include/uapi/linux/fuse.h. Fields that nobody here reads (lock
// owners, padding) are left out of the tables. `end` is the end of the request, the header's `length`.

import { type ByteString, DecodeError } from '../codec.js';
import { i64, id, layout, u16, u32, u64 } from './layout.js';

export const requestHeader = layout(40, {
  length: u32(0),
  opcode: u32(4),
  unique: id(8),
  node: id(16),
  uid: u32(24),
  gid: u32(28),
  /** Of the thread that asks; 0 for what the kernel does on its own. */
  pid: u32(32),
  /** In units of 8 bytes, at the end of the request; none is negotiated. */
  extensions: u16(36),
});

export const initIn = layout(16, { major: u32(0), minor: u32(4), maxReadahead: u32(8), flags: u32(12) });
export const forgetIn = layout(8, { lookups: u64(0) });
export const batchForgetIn = layout(8, { count: u32(0) });
export const forgetOne = layout(16, { node: id(0), lookups: u64(8) });
export const getattrIn = layout(16, { flags: u32(0), fh: u64(8) });
export const setattrIn = layout(88, {
  valid: u32(0),
  fh: u64(8),
  size: u64(16),
  atime: i64(32),
  mtime: i64(40),
  ctime: i64(48),
  atimeNsec: u32(56),
  mtimeNsec: u32(60),
  ctimeNsec: u32(64),
  mode: u32(68),
  uid: u32(76),
  gid: u32(80),
});
export const mknodIn = layout(16, { mode: u32(0), rdev: u32(4), umask: u32(8) });
export const mkdirIn = layout(8, { mode: u32(0), umask: u32(4) });
export const renameIn = layout(8, { newParent: id(0) });
export const rename2In = layout(16, { newParent: id(0), flags: u32(8) });
export const linkIn = layout(8, { node: id(0) });
export const openIn = layout(8, { flags: u32(0), openFlags: u32(4) });
export const createIn = layout(16, { flags: u32(0), mode: u32(4), umask: u32(8), openFlags: u32(12) });
/** READ, READDIR and READDIRPLUS. */
export const readIn = layout(40, { fh: u64(0), offset: u64(8), size: u32(16), readFlags: u32(20), flags: u32(32) });
export const writeIn = layout(40, { fh: u64(0), offset: u64(8), size: u32(16), writeFlags: u32(20), flags: u32(32) });
export const releaseIn = layout(24, { fh: u64(0), flags: u32(8), releaseFlags: u32(12) });
export const flushIn = layout(24, { fh: u64(0) });
export const fsyncIn = layout(16, { fh: u64(0), flags: u32(8) });
/** Without FUSE_SETXATTR_EXT, which is not asked for. */
export const setxattrIn = layout(8, { size: u32(0), flags: u32(4) });
/** GETXATTR and LISTXATTR; `size` 0 asks for the length alone. */
export const getxattrIn = layout(8, { size: u32(0) });
export const interruptIn = layout(8, { unique: id(0) });

/** The kernel sends names of at most this many bytes (FUSE_NAME_MAX is 1024; symlink targets reach a page). */
const STRING_MAX = 4096;

/** The string at `at`, without the NUL that must end it before `end`. */
export function cString(buffer: Buffer, at: number, end: number): ByteString {
  const limit = Math.min(end, at + STRING_MAX);
  for (let position = at; position < limit; position++) {
    if (buffer[position] === 0) return buffer.latin1Slice(at, position);
  }
  throw new DecodeError('string without an end');
}

/** A name as one part of a path. Throws DecodeError when it is empty. */
function namePart(buffer: Buffer, at: number, end: number): ByteString {
  const name = cString(buffer, at, end);
  if (name.length === 0) throw new DecodeError('empty name');
  return name;
}

/** LOOKUP, UNLINK, RMDIR, REMOVEXATTR: a name alone. */
export function decodeName(buffer: Buffer, at: number, end: number): ByteString {
  return namePart(buffer, at, end);
}

export function decodeSymlink(buffer: Buffer, at: number, end: number): { name: ByteString; target: ByteString } {
  const name = namePart(buffer, at, end);
  return { name, target: cString(buffer, at + name.length + 1, end) };
}

export function decodeMknod(buffer: Buffer, at: number, end: number) {
  return { ...mknodIn.read(buffer, at, end), name: namePart(buffer, at + mknodIn.bytes, end) };
}

export function decodeMkdir(buffer: Buffer, at: number, end: number) {
  return { ...mkdirIn.read(buffer, at, end), name: namePart(buffer, at + mkdirIn.bytes, end) };
}

export function decodeLink(buffer: Buffer, at: number, end: number) {
  return { node: linkIn.read(buffer, at, end).node, name: namePart(buffer, at + linkIn.bytes, end) };
}

export interface RenameRequest {
  newParent: number;
  flags: number;
  name: ByteString;
  newName: ByteString;
}

function renameNames(buffer: Buffer, at: number, end: number, newParent: number, flags: number): RenameRequest {
  const name = namePart(buffer, at, end);
  return { newParent, flags, name, newName: namePart(buffer, at + name.length + 1, end) };
}

export function decodeRename(buffer: Buffer, at: number, end: number): RenameRequest {
  return renameNames(buffer, at + renameIn.bytes, end, renameIn.read(buffer, at, end).newParent, 0);
}

export function decodeRename2(buffer: Buffer, at: number, end: number): RenameRequest {
  const { newParent, flags } = rename2In.read(buffer, at, end);
  return renameNames(buffer, at + rename2In.bytes, end, newParent, flags);
}

export function decodeCreate(buffer: Buffer, at: number, end: number) {
  return { ...createIn.read(buffer, at, end), name: namePart(buffer, at + createIn.bytes, end) };
}

/** `data` is a view into the request. */
export function decodeWrite(buffer: Buffer, at: number, end: number) {
  const { fh, offset, size, writeFlags, flags } = writeIn.read(buffer, at, end);
  const start = at + writeIn.bytes;
  if (size !== end - start) throw new DecodeError(`write of ${size} bytes, ${end - start} are there`);
  return { fh, offset, writeFlags, flags, data: buffer.subarray(start, end) };
}

/** `value` is a view into the request. */
export function decodeSetxattr(buffer: Buffer, at: number, end: number) {
  const { size, flags } = setxattrIn.read(buffer, at, end);
  const name = namePart(buffer, at + setxattrIn.bytes, end);
  const start = at + setxattrIn.bytes + name.length + 1;
  if (size !== end - start) throw new DecodeError(`value of ${size} bytes, ${end - start} are there`);
  return { flags, name, value: buffer.subarray(start, end) };
}

export function decodeGetxattr(buffer: Buffer, at: number, end: number) {
  return { size: getxattrIn.read(buffer, at, end).size, name: namePart(buffer, at + getxattrIn.bytes, end) };
}

/** Calls once for each node that the kernel forgets. */
export function decodeBatchForget(
  buffer: Buffer,
  at: number,
  end: number,
  each: (node: number, lookups: number) => void,
): void {
  const { count } = batchForgetIn.read(buffer, at, end);
  const start = at + batchForgetIn.bytes;
  if (count * forgetOne.bytes > end - start) throw new DecodeError(`${count} forgets in ${end - start} bytes`);
  for (let index = 0; index < count; index++) {
    const { node, lookups } = forgetOne.read(buffer, start + index * forgetOne.bytes, end);
    each(node, lookups);
  }
}
