// The attributes of an inode, as they stand in a dentry row and travel in answers.

import { byteString, bytes, type Decoded, i52, struct, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';

/** File types and modes of <sys/stat.h>. */
export const Mode = {
  TYPE: 0o170000,
  SOCKET: 0o140000,
  SYMLINK: 0o120000,
  FILE: 0o100000,
  BLOCK: 0o060000,
  DIRECTORY: 0o040000,
  CHARACTER: 0o020000,
  FIFO: 0o010000,
  SET_UID: 0o4000,
  SET_GID: 0o2000,
  STICKY: 0o1000,
  PERMISSIONS: 0o7777,
} as const;

export const AttrFlag = {
  /** A directory that a PUT made on its way (design.md, section 7). */
  IMPLICIT: 1,
  /** A directory that is also the S3 object `name/`. */
  MARKER: 2,
  /** `etag` is the S3 one, of the content as it stands. Otherwise it is derived from inode and version. */
  S3_ETAG: 4,
  /** Rows stand in the xattr table. */
  XATTRS: 8,
  /** A completed upload whose slices still stand under its parts (`parts` table). */
  PARTS: 16,
  /** Attributes stand in the link table: several names, or none any more. */
  LINKED: 32,
  /** Chunk rows beyond the size still stand; a TRIM row removes them before the file may grow again. */
  TRIM: 64,
} as const;

const time = { sec: i52, nsec: u32 };
export const timeCodec = struct(time);
export type Time = Decoded<typeof timeCodec>;

export const attrCodec = struct({
  inode: u53,
  /** Type and permissions. */
  mode: u32,
  uid: u32,
  gid: u32,
  nlink: u32,
  /** Device number of a special file. */
  rdev: u32,
  size: u53,
  atime: timeCodec,
  mtime: timeCodec,
  ctime: timeCodec,
  /** Rises with every change of the content (bytes or size). */
  version: u53,
  flags: u32,
  /** With S3_ETAG: the ETag without quotes. */
  etag: byteString(128),
  /** Of a symlink. */
  target: byteString(limits.symlinkBytes),
  /** ObjectMeta, encoded; empty where S3 said nothing. */
  object: bytes(limits.objectMetaBytes),
});
export type Attr = Decoded<typeof attrCodec>;

export function isDirectory(attr: { mode: number }): boolean {
  return (attr.mode & Mode.TYPE) === Mode.DIRECTORY;
}

export function isFile(attr: { mode: number }): boolean {
  return (attr.mode & Mode.TYPE) === Mode.FILE;
}

export function isSymlink(attr: { mode: number }): boolean {
  return (attr.mode & Mode.TYPE) === Mode.SYMLINK;
}

/** The ETag of an object, without quotes; with a dash where it is not the S3 one, so that nobody takes it for an MD5. */
export function etagOf(attr: Attr): string {
  if ((attr.flags & AttrFlag.S3_ETAG) !== 0) return attr.etag;
  return `${attr.inode.toString(16).padStart(14, '0')}-${attr.version.toString(16)}`;
}
