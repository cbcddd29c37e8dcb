// The rows of a group's database: keys and values of every table (design.md, section 4). A key is a table's letter and
// the bytes that order the table, as a byte string, so that comparing keys as strings is comparing them as bytes.
//
//   d  parent (8) + name, `/` after the name of a directory   dentry: attributes, or a hard link's inode
//   l  inode (8)                                              attributes of an inode with several names or none, and names
//   p  inode (8)                                              parent (8) + name, `/` after that of a directory: the
//                                                          dentry of an inode with one name
//   c  inode (8) + chunk (4)                                  slices in order of writing
//   s  blob (8)                                               how many slices name the blob; absent: one; zero: the
//                                                          reclaim row that will free it, unless it is named again
//   m  inode (8) + end (8)                                    part of a completed upload: its inode and length; by the
//                                                          offset of its end, so that a seek finds who holds an offset
//   x  inode (8) + name                                       value of an extended attribute
//   u  path + 0 + upload id                                   an upload that is under way
//   w  upload id + part (4)                                   a part of it
//   f  inode (8)                                              a file whose `m` rows wait to be folded into chunk rows
//   r  sequence (8)                                           what is to be reclaimed
//   e  session (8)                                            a client session
//   q  session (8) + request number (8)                       the answer that a retry is given
//   a  name                                                   state: applied index, counters, configuration
//   v  name                                                   (group 0) a volume
//   k  access key                                             (group 0) an access key
//
// Numbers in keys are big-endian. The order of `d` keys of one parent is the order of an S3 listing.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import {
  type ByteString,
  byteString,
  bytes,
  type Codec,
  type Decoded,
  DecodeError,
  fixed32,
  list,
  struct,
  text,
  u8,
  u16,
  u32,
  u53,
} from '../codec.js';
import { limits } from '../limits.js';
import { type Attr, attrCodec, timeCodec } from './attributes.js';

export const Table = {
  DENTRY: 'd',
  LINK: 'l',
  PARENT: 'p',
  CHUNK: 'c',
  SHARED: 's',
  PARTS: 'm',
  XATTR: 'x',
  UPLOAD: 'u',
  UPLOAD_PART: 'w',
  FOLD: 'f',
  RECLAIM: 'r',
  SESSION: 'e',
  DEDUPE: 'q',
  STATE: 'a',
  VOLUME: 'v',
  ACCESS_KEY: 'k',
} as const;

const WORD = 0x1_0000_0000;

function big32(value: number): ByteString {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

function big64(value: number): ByteString {
  // One above the largest id, for the end of a scan, is exact too.
  assert(Number.isInteger(value) && value >= 0 && value <= Number.MAX_SAFE_INTEGER + 1);
  return big32(Math.floor(value / WORD)) + big32((value % WORD) >>> 0);
}

/** The big-endian number of 8 bytes at `at` of a key. */
export function keyNumber(key: ByteString, at = 1): number {
  return keyNumber32(key, at) * WORD + keyNumber32(key, at + 4);
}

/** The big-endian number of 4 bytes at `at` of a key. */
export function keyNumber32(key: ByteString, at: number): number {
  const high = (key.charCodeAt(at) << 24) | (key.charCodeAt(at + 1) << 16);
  return (high | (key.charCodeAt(at + 2) << 8) | key.charCodeAt(at + 3)) >>> 0;
}

/** The smallest key above all that begin with `prefix`, for the end of a scan. */
export function afterPrefix(prefix: ByteString): ByteString {
  const last = prefix.charCodeAt(prefix.length - 1);
  assert(prefix.length > 0 && last < 0xff);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
}

/** Where a key of a dentry row has its name. */
export const DENTRY_NAME_AT = 9;

export const keys = {
  /** Prefix of all dentries of a directory; `afterInode('d', parent)` ends the scan. */
  directory: (parent: number): ByteString => Table.DENTRY + big64(parent),
  fileDentry: (parent: number, name: ByteString): ByteString => Table.DENTRY + big64(parent) + name,
  directoryDentry: (parent: number, name: ByteString): ByteString => `${Table.DENTRY}${big64(parent)}${name}/`,
  link: (inode: number): ByteString => Table.LINK + big64(inode),
  parent: (inode: number): ByteString => Table.PARENT + big64(inode),
  chunk: (inode: number, chunk: number): ByteString => Table.CHUNK + big64(inode) + big32(chunk),
  shared: (blob: number): ByteString => Table.SHARED + big64(blob),
  parts: (inode: number, end: number): ByteString => Table.PARTS + big64(inode) + big64(end),
  xattr: (inode: number, name: ByteString): ByteString => Table.XATTR + big64(inode) + name,
  upload: (path: ByteString, upload: ByteString): ByteString => `${Table.UPLOAD}${path}\0${upload}`,
  uploadPart: (upload: ByteString, part: number): ByteString => Table.UPLOAD_PART + upload + big32(part),
  fold: (inode: number): ByteString => Table.FOLD + big64(inode),
  reclaim: (sequence: number): ByteString => Table.RECLAIM + big64(sequence),
  session: (session: number): ByteString => Table.SESSION + big64(session),
  dedupe: (session: number, number: number): ByteString => Table.DEDUPE + big64(session) + big64(number),
  state: (name: string): ByteString => Table.STATE + name,
  volume: (name: string): ByteString => Table.VOLUME + Buffer.from(name, 'utf8').latin1Slice(),
  accessKey: (id: string): ByteString => Table.ACCESS_KEY + Buffer.from(id, 'utf8').latin1Slice(),
  /** Prefix of all rows of an inode in a table keyed by inode first. */
  ofInode: (table: ByteString, inode: number): ByteString => table + big64(inode),
  /** Above all rows of an inode in such a table. */
  afterInode: (table: ByteString, inode: number): ByteString => table + big64(inode + 1),
} as const;

/** A dentry: either the attributes, or for one of several names of an inode only its number. */
export type Dentry = { attr: Attr; link: 0 } | { attr: null; link: number };

export const dentryCodec: Codec<Dentry> = {
  shape: { kind: 'optional', of: attrCodec.shape },
  write: (writer, value) => {
    writer.byte(value.attr === null ? 1 : 0);
    if (value.attr === null) writer.varint(value.link);
    else attrCodec.write(writer, value.attr);
  },
  read: (reader) => {
    const kind = reader.byte();
    if (kind === 0) return { attr: attrCodec.read(reader), link: 0 };
    if (kind !== 1) throw new DecodeError(`dentry of kind ${kind}`);
    return { attr: null, link: reader.varint() };
  },
};

const nameCodec = struct({ parent: u53, name: byteString(limits.keyBytes) });

/** `names` empty: the inode has lost its last name and waits in the reclaim table. */
export const linkRowCodec = struct({ attr: attrCodec, names: list(nameCodec, limits.hardLinks) });
export const parentRowCodec = nameCodec;
/** `reclaim`: with count 0 the sequence of the reclaim row that holds the blob. */
export const countRowCodec = struct({ count: u53, reclaim: u53 });
/**
 * State row `counters`. `bytes` is the length of all slices of all chunk rows, in two words since a volume outgrows
 * 2^53; `files` counts inodes with a name, the root included.
 */
export const countersRowCodec = struct({
  nextInode: u53,
  nextReclaim: u53,
  files: u53,
  bytesHigh: u53,
  bytesLow: u53,
});
export type Counters = Decoded<typeof countersRowCodec>;
/** Bytes that one step of `bytesHigh` stands for. */
export const COUNTER_WORD = 2 ** 48;
export const partsRowCodec = struct({ inode: u53, length: u53 });
export const uploadRowCodec = struct({
  object: bytes(limits.objectMetaBytes),
  created: timeCodec,
  initiator: text(128),
  uid: u32,
  gid: u32,
});
export const uploadPartRowCodec = struct({
  inode: u53,
  size: u53,
  etag: byteString(128),
  checksum: bytes(64),
  modified: timeCodec,
});

/**
 * Reclaim rows. INODE: an inode without names whose rows are to go. BLOBS: blobs that a living inode ceased to name,
 * each with a count row of zero. FREED: blobs of an inode that is gone, which nothing can name again. TRIM: chunk rows
 * of a living inode that lie beyond its size.
 */
export const ReclaimKind = { INODE: 0, BLOBS: 1, FREED: 2, TRIM: 3 } as const;
export const reclaimRowCodec = struct({
  kind: u8,
  /** Milliseconds since 1970 when the row was made. */
  timeMs: u53,
  /** The inode concerned: for INODE the one to free, for BLOBS the one whose readers may still hold them. */
  inode: u53,
  blobs: list(struct({ blob: u53, blocks: u16 }), limits.reclaimBatch),
});
export type ReclaimRow = Decoded<typeof reclaimRowCodec>;

export const sessionRowCodec = struct({ client: text(255), openedMs: u53, endedMs: u53 });
/**
 * The answer kept for a retry: status and encoded body. `floor`: requests of the session below it are never run (again),
 * as far as was known when the row was written; the newest row of a session is never dropped, so the floor survives.
 */
export const dedupeRowCodec = struct({ floor: u53, status: u16, body: bytes(limits.frameBodyBytes) });
/** State row `partition`: whose inodes the group makes; there once the group's first rows are. */
export const partitionRowCodec = struct({ partition: u32 });
/** State row `applied`: the last entry of the log in this database, and a CRC-32 chained over all payloads up to it. */
export const appliedRowCodec = struct({ index: u53, term: u53, logHash: fixed32 });
