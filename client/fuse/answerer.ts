// Writes answers to the device. One write is one answer, and it does not wait, so one buffer serves them all. Every
// method tells whether the kernel took the answer: it does not when whoever asked was killed meanwhile, and then what
// the answer gave (a lookup, a handle) must be taken back.

import assert from 'node:assert';
import { writeSync } from 'node:fs';
import {
  answerHeader,
  attrOut,
  entryOut,
  getxattrOut,
  invalInodeOut,
  NotifyCode,
  openOut,
  statfsOut,
  writeOut,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import type { Attr } from '../../proto/meta/index.js';
import type { NodeTable } from './nodes.js';

export const HEADER = answerHeader.bytes;
/** st_blocks counts in units of 512 bytes whatever the file system. */
const SECTOR_BYTES = 512;
const BLOCK_BYTES = 4096;

export interface CacheTimes {
  /** How long the kernel may believe attributes, names, and the absence of names; 0 not at all. */
  readonly attributeMs: number;
  readonly entryMs: number;
  readonly negativeMs: number;
}

export interface StatfsNumbers {
  files: number;
  usedBytes: number;
  totalBytes: number;
  freeBytes: number;
}

const NO_ATTRIBUTES = {
  inode: 0,
  size: 0,
  blocks: 0,
  atime: 0,
  mtime: 0,
  ctime: 0,
  atimeNsec: 0,
  mtimeNsec: 0,
  ctimeNsec: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  blockSize: 0,
};

/** Attributes as the kernel is told them. */
export function attributeFields(attr: Attr, node: number) {
  return {
    inode: node,
    size: attr.size,
    blocks: Math.ceil(attr.size / SECTOR_BYTES),
    atime: attr.atime.sec,
    mtime: attr.mtime.sec,
    ctime: attr.ctime.sec,
    atimeNsec: attr.atime.nsec,
    mtimeNsec: attr.mtime.nsec,
    ctimeNsec: attr.ctime.nsec,
    mode: attr.mode,
    nlink: attr.nlink,
    uid: attr.uid,
    gid: attr.gid,
    rdev: attr.rdev,
    blockSize: BLOCK_BYTES,
  };
}

export class Answerer {
  private readonly scratch = Buffer.alloc(limits.xattrValueBytes + limits.fuseHeaderBytes);
  private readonly attrValid: number;
  private readonly attrValidNsec: number;
  private closed = false;

  constructor(
    private readonly descriptor: number,
    private readonly nodes: NodeTable,
    private readonly times: CacheTimes,
  ) {
    this.attrValid = Math.floor(times.attributeMs / 1000);
    this.attrValidNsec = (times.attributeMs % 1000) * 1e6;
  }

  /** The descriptor is about to be closed: its number may soon be another file's. */
  close(): void {
    this.closed = true;
  }

  error(unique: number, errno: number): boolean {
    return this.write(this.scratch, unique, -errno, HEADER);
  }

  empty(unique: number): boolean {
    return this.write(this.scratch, unique, 0, HEADER);
  }

  /** `ageMs`: how long ago the attributes were read; the kernel may believe them for that much less. */
  entry(unique: number, attr: Attr, ageMs = 0): boolean {
    this.putEntry(this.scratch, HEADER, attr, ageMs);
    return this.send(unique, entryOut.bytes);
  }

  /** There is no such name, and the kernel may remember that. */
  negative(unique: number): boolean {
    entryOut.write(this.scratch, HEADER, {
      ...NO_ATTRIBUTES,
      node: 0,
      generation: 0,
      entryValid: Math.floor(this.times.negativeMs / 1000),
      entryValidNsec: (this.times.negativeMs % 1000) * 1e6,
      attrValid: 0,
      attrValidNsec: 0,
    });
    return this.send(unique, entryOut.bytes);
  }

  attr(unique: number, attr: Attr): boolean {
    attrOut.write(this.scratch, HEADER, {
      attrValid: this.attrValid,
      attrValidNsec: this.attrValidNsec,
      ...attributeFields(attr, this.nodes.nodeOf(attr.inode)),
    });
    return this.send(unique, attrOut.bytes);
  }

  open(unique: number, fh: number, openFlags: number): boolean {
    openOut.write(this.scratch, HEADER, { fh, openFlags });
    return this.send(unique, openOut.bytes);
  }

  create(unique: number, attr: Attr, fh: number, openFlags: number): boolean {
    this.putEntry(this.scratch, HEADER, attr);
    openOut.write(this.scratch, HEADER + entryOut.bytes, { fh, openFlags });
    return this.send(unique, entryOut.bytes + openOut.bytes);
  }

  written(unique: number, size: number): boolean {
    writeOut.write(this.scratch, HEADER, { size });
    return this.send(unique, writeOut.bytes);
  }

  statfs(unique: number, { files, totalBytes, freeBytes }: StatfsNumbers): boolean {
    const free = Math.floor(freeBytes / BLOCK_BYTES);
    // An inode costs its row and no place set apart, so as many can still be made as there are blocks.
    statfsOut.write(this.scratch, HEADER, {
      blocks: Math.floor(totalBytes / BLOCK_BYTES),
      blocksFree: free,
      blocksAvailable: free,
      files: files + free,
      filesFree: free,
      blockSize: BLOCK_BYTES,
      nameLength: limits.nameBytes,
      fragmentSize: BLOCK_BYTES,
    });
    return this.send(unique, statfsOut.bytes);
  }

  /** The length of a value or list alone. */
  length(unique: number, size: number): boolean {
    getxattrOut.write(this.scratch, HEADER, { size });
    return this.send(unique, getxattrOut.bytes);
  }

  /** Short data; what may be long is built behind HEADER bytes of its own buffer (`data`). */
  bytes(unique: number, data: Uint8Array): boolean {
    assert(data.length <= this.scratch.length - HEADER, 'answer longer than its buffer');
    this.scratch.set(data, HEADER);
    return this.send(unique, data.length);
  }

  /** `buffer` has HEADER free bytes, then `length` bytes of data: they reach the kernel without a copy. */
  data(unique: number, buffer: Buffer, length: number): boolean {
    return this.write(buffer, unique, 0, HEADER + length);
  }

  /**
   * Before a WRITE or OPEN on the inode is answered: the kernel must ask for its attributes anew. A notice with a negative
   * offset leaves pages alone, so the kernel takes it without waiting, unlike the notices of notifier.ts.
   */
  expireAttributes(inode: number): void {
    invalInodeOut.write(this.scratch, HEADER, { node: this.nodes.nodeOf(inode), offset: -1, length: 0 });
    this.write(this.scratch, 0, NotifyCode.INVAL_INODE, HEADER + invalInodeOut.bytes);
  }

  /** The entry part of a LOOKUP or READDIRPLUS answer. */
  putEntry(buffer: Buffer, at: number, attr: Attr, ageMs = 0): void {
    const entryMs = Math.max(0, this.times.entryMs - ageMs);
    const attributeMs = Math.max(0, this.times.attributeMs - ageMs);
    entryOut.write(buffer, at, {
      node: this.nodes.nodeOf(attr.inode),
      generation: 0,
      entryValid: Math.floor(entryMs / 1000),
      entryValidNsec: Math.floor((entryMs % 1000) * 1e6),
      attrValid: Math.floor(attributeMs / 1000),
      attrValidNsec: Math.floor((attributeMs % 1000) * 1e6),
      ...attributeFields(attr, this.nodes.nodeOf(attr.inode)),
    });
  }

  private send(unique: number, bodyBytes: number): boolean {
    return this.write(this.scratch, unique, 0, HEADER + bodyBytes);
  }

  private write(buffer: Buffer, unique: number, error: number, length: number): boolean {
    if (this.closed) return false;
    answerHeader.write(buffer, 0, { length, error, unique });
    try {
      const written = writeSync(this.descriptor, buffer, 0, length, null);
      assert(written === length, 'the kernel takes an answer whole');
      return true;
    } catch (failure) {
      const code = (failure as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENODEV' || code === 'ECONNABORTED' || code === 'EPERM') return false;
      throw failure;
    }
  }
}
