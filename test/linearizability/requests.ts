// Requests of the file system in short words, with the fields that do not matter filled in.

import { crc32 } from 'node:zlib';
import { BLOB_BLOCKS } from '../../proto/ids.js';
import { Mode, SetAttr, type Slice } from '../../proto/meta/index.js';
import type { FileRequest } from './file-operations.js';

const ZERO = { sec: 0, nsec: 0 };

/** A request by name, with the fields that do not matter filled in. */
export const ask = {
  create: (parent: number, name: string, exclusive = false): FileRequest => ({
    name: 'mknod',
    request: { parent, name, mode: Mode.FILE | 0o644, uid: 0, gid: 0, rdev: 0, exclusive },
  }),
  mkdir: (parent: number, name: string): FileRequest => ({
    name: 'mkdir',
    request: { parent, name, mode: 0o755, uid: 0, gid: 0 },
  }),
  symlink: (parent: number, name: string): FileRequest => ({
    name: 'symlink',
    request: { parent, name, target: 'to', uid: 0, gid: 0 },
  }),
  lookup: (parent: number, name: string): FileRequest => ({ name: 'lookup', request: { parent, name } }),
  getattr: (inode: number): FileRequest => ({ name: 'getattr', request: { inode } }),
  unlink: (parent: number, name: string): FileRequest => ({ name: 'unlink', request: { parent, name } }),
  rmdir: (parent: number, name: string): FileRequest => ({ name: 'rmdir', request: { parent, name } }),
  rename: (from: readonly [number, string], to: readonly [number, string], flags = 0): FileRequest => ({
    name: 'rename',
    request: { parent: from[0], name: from[1], newParent: to[0], newName: to[1], flags },
  }),
  link: (inode: number, parent: number, name: string): FileRequest => ({
    name: 'link',
    request: { inode, parent, name },
  }),
  readdir: (inode: number, after = '', limit = 100): FileRequest => ({
    name: 'readdir',
    request: { inode, after, limit },
  }),
  readNames: (inode: number, after = '', limit = 100): FileRequest => ({
    name: 'readNames',
    request: { inode, after, limit },
  }),
  lookupNear: (parent: number, name: string, limit = 100): FileRequest => ({
    name: 'lookupNear',
    request: { parent, name, limit },
  }),
  truncate: (inode: number, size: number): FileRequest => ({
    name: 'setattr',
    request: { inode, valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: ZERO, mtime: ZERO },
  }),
  /** Writes a blob of its own, whose number is `tag` times the least one. */
  write: (inode: number, tag: number, at: { offset: number; length: number }): FileRequest =>
    writeOf(inode, sliceOf(tag, at)),
  /** Bytes that go with their commit; where they lie the answer says. */
  writeBytes: (inode: number, offset: number, payload: Buffer): FileRequest => ({
    name: 'writeCommit',
    request: { inode, session: 1, offset, size: offset + payload.length, mtime: null, crc: crc32(payload), payload },
  }),
  read: (inode: number): FileRequest => ({ name: 'chunkRead', request: { inode, first: 0, count: 1 } }),
  open: (inode: number, held = false): FileRequest => ({ name: 'open', request: { inode, held, inline: 0 } }),
};

export function sliceOf(tag: number, { offset, length }: { offset: number; length: number }): Slice {
  return { offset, length, blob: tag * BLOB_BLOCKS, blobOffset: 0, blobLength: length };
}

export function writeOf(inode: number, slice: Slice): FileRequest {
  const size = slice.offset + slice.length;
  return {
    name: 'chunkCommit',
    request: { inode, session: 1, chunks: [{ chunk: 0, slices: [slice] }], size, mtime: null },
  };
}
