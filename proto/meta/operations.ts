// The metadata operations: one operation is one request (R3.4). Inode operations serve VFS, path operations PathFS,
// service operations the running of a volume, root operations the configuration (group 0). Names and paths are byte
// strings. Paths have no leading slash; parts are separated by `/`; a trailing `/` names a directory.

import { bool, byteString, bytes, fixed32, list, optional, struct, text, u16, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';
import { operation, table } from '../operation.js';
import { attrCodec, timeCodec } from './attributes.js';
import { chunkCodec, sliceCodec } from './slices.js';

const name = byteString(limits.keyBytes);
const path = byteString(limits.keyBytes);
const volumeName = text(255);
const objectMeta = bytes(limits.objectMetaBytes);
const chunks = list(chunkCodec, limits.chunksPerRead * 8);

/** Which fields of a SETATTR are given. `TOUCH` times are set to the service's clock. */
export const SetAttr = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  ATIME_NOW: 64,
  MTIME_NOW: 128,
  CTIME: 256,
  /** Clear set-uid and set-gid as a write or truncate by an unprivileged process does. */
  KILL_SUID: 512,
} as const;

/** rename(2) flags of <linux/fs.h>. */
export const RenameFlag = { NOREPLACE: 1, EXCHANGE: 2 } as const;

/** setxattr(2) flags. */
export const XattrFlag = { CREATE: 1, REPLACE: 2 } as const;

const entry = struct({ name, attr: attrCodec });

const namedInode = struct({ name, inode: u53, mode: u32 });
/**
 * All of the only block of a file, with the CRC-32 by which whoever uses it checks it. Its needle is at `position` of its
 * volume's file, in which all needles stand from there up to `until`.
 */
const inlined = struct({ block: u53, crc: u32, position: u53, until: u53, bytes: bytes(limits.inlineBytes) });

const inodeOperations = {
  lookup: operation('read', 1, { parent: u53, name }, { attr: attrCodec }),
  /**
   * As `lookup`, with up to `limit` entries behind the name, as `readdir` has them. `attr` null: there is no entry of the
   * name.
   */
  lookupNear: operation(
    'read',
    21,
    { parent: u53, name, limit: u32 },
    { attr: optional(attrCodec), entries: list(entry, limits.neighbours) },
  ),
  getattr: operation('read', 2, { inode: u53 }, { attr: attrCodec }),
  setattr: operation(
    'write',
    3,
    { inode: u53, valid: u32, mode: u32, uid: u32, gid: u32, size: u53, atime: timeCodec, mtime: timeCodec },
    { attr: attrCodec },
  ),
  /** Any type but directory and symlink; O_CREAT without O_EXCL is `exclusive: false` and answers what stands. */
  mknod: operation(
    'write',
    4,
    { parent: u53, name, mode: u32, uid: u32, gid: u32, rdev: u32, exclusive: bool },
    { attr: attrCodec, created: bool },
  ),
  mkdir: operation('write', 5, { parent: u53, name, mode: u32, uid: u32, gid: u32 }, { attr: attrCodec }),
  symlink: operation(
    'write',
    6,
    { parent: u53, name, target: byteString(limits.symlinkBytes), uid: u32, gid: u32 },
    { attr: attrCodec },
  ),
  /** Answers the attributes that the inode has after it; nlink 0 when it has no name any more. */
  unlink: operation('write', 7, { parent: u53, name }, { attr: attrCodec }),
  rmdir: operation('write', 8, { parent: u53, name }, { inode: u53 }),
  /** `replaced`: the inode that the target name had, 0 if none. */
  rename: operation(
    'write',
    9,
    { parent: u53, name, newParent: u53, newName: name, flags: u32 },
    { attr: attrCodec, replaced: u53 },
  ),
  link: operation('write', 10, { inode: u53, parent: u53, name }, { attr: attrCodec }),
  /**
   * Entries behind the cursor `after` ('' from the start) in order of keys; `end` when there are no more. Names are as
   * mounts show them (names.ts); `attr.object` is left out.
   */
  readdir: operation(
    'read',
    11,
    { inode: u53, after: byteString(limits.keyBytes + 1), limit: u32 },
    { entries: list(entry, limits.readdirEntries), end: bool, cursor: byteString(limits.keyBytes + 1) },
  ),
  /** As `readdir`, names and types alone. */
  readNames: operation(
    'read',
    22,
    { inode: u53, after: byteString(limits.keyBytes + 1), limit: u32 },
    { entries: list(namedInode, limits.readdirEntries), end: bool, cursor: byteString(limits.keyBytes + 1) },
  ),
  /**
   * For an open: attributes and the first chunks; STALE when the inode has no name and `held` is false. A file of at most
   * `inline` bytes brings them along, where that costs the service no waiting.
   */
  open: operation(
    'read',
    12,
    { inode: u53, held: bool, inline: u32 },
    { attr: attrCodec, chunks, inlined: optional(inlined) },
  ),
  chunkRead: operation('read', 13, { inode: u53, first: u32, count: u32 }, { attr: attrCodec, chunks }),
  /**
   * Appends slices to chunks and sets size to max(size, newSize); one commit is atomic. `crowded` names the chunks
   * whose lists have grown past limits.slicesPerChunkBeforeCompaction.
   */
  chunkCommit: operation(
    'write',
    14,
    { inode: u53, session: u53, chunks, size: u53, mtime: optional(timeCodec) },
    { attr: attrCodec, crowded: list(u32, limits.slicesPerRequest) },
  ),
  /**
   * A chunkCommit of one slice whose bytes are the payload, at most limits.inlineBytes within one chunk, with their CRC-32:
   * the service writes the block first. `blob` 0: a retry, whose answer is known but not where the bytes lie.
   */
  writeCommit: operation(
    'write',
    23,
    { inode: u53, session: u53, offset: u53, size: u53, mtime: optional(timeCodec), crc: u32 },
    { attr: attrCodec, crowded: list(u32, limits.slicesPerRequest), blob: u53 },
  ),
  /**
   * Replaces the first `count` slices of a chunk by `slices` with the same bytes, if those still are the ones whose
   * row (encoded chunkRowCodec of the first `count`) has the CRC-32C `check`; BUSY otherwise.
   */
  chunkCompact: operation(
    'write',
    15,
    {
      inode: u53,
      session: u53,
      chunk: u32,
      count: u32,
      check: fixed32,
      slices: list(sliceCodec, limits.slicesPerChunk),
    },
    {},
  ),
  xattrGet: operation('read', 16, { inode: u53, name }, { value: bytes(limits.xattrValueBytes) }),
  xattrList: operation('read', 17, { inode: u53 }, { names: list(name, 4096) }),
  xattrSet: operation('write', 18, { inode: u53, name, value: bytes(limits.xattrValueBytes), flags: u32 }, {}),
  xattrRemove: operation('write', 19, { inode: u53, name }, {}),
  statfs: operation('read', 20, {}, { files: u53, bytes: u53 }),
};

const condition = struct({
  /** '' none; '*' must not exist / must exist; else an ETag without quotes. */
  ifNoneMatch: byteString(128),
  ifMatch: byteString(128),
});

const pathOperations = {
  /** The attributes of what a path names. A key `a/` names the directory, `a` a file, link or, failing that, `a/`. */
  resolve: operation('read', 40, { path }, { attr: attrCodec }),
  /** As an S3 GET sees a key: files and markers only. With the first `limits.chunksPerRead` chunks of the content. */
  objectOpen: operation('read', 41, { path }, { attr: attrCodec, chunks }),
  /** As an S3 HEAD sees a key. */
  objectHead: operation('read', 42, { path }, { attr: attrCodec }),
  /** PUT: a new inode with this content takes the name; missing directories are made, implicit. */
  objectPut: operation(
    'write',
    43,
    {
      path,
      session: u53,
      size: u53,
      chunks: list(chunkCodec, limits.slicesPerRequest),
      etag: byteString(128),
      object: objectMeta,
      uid: u32,
      gid: u32,
      condition,
    },
    { attr: attrCodec },
  ),
  /** DELETE of an S3 key: success when it was not there. Removes directories that were implicit and became empty. */
  objectDelete: operation(
    'write',
    44,
    { paths: list(path, limits.keysPerDelete), condition },
    { statuses: list(u16, limits.keysPerDelete) },
  ),
  /** Copies within the volume by naming the same blobs. `object` null keeps the source's. */
  objectCopy: operation(
    'write',
    45,
    {
      source: path,
      target: path,
      object: optional(objectMeta),
      sourceCondition: condition,
      uid: u32,
      gid: u32,
    },
    { attr: attrCodec },
  ),
  /**
   * A page of keys and common prefixes in byte order behind `marker` (a key, existing or not, or a common prefix), as S3
   * lists them. A common prefix is behind the marker if it is itself above it. `attr.object` is left out.
   */
  objectList: operation(
    'read',
    46,
    { prefix: path, delimiter: byteString(limits.keyBytes), marker: path, limit: u32 },
    {
      entries: list(struct({ key: path, attr: attrCodec }), limits.listPageEntries),
      prefixes: list(path, limits.listPageEntries),
      truncated: bool,
      /** The marker of the next page, when truncated. */
      next: path,
    },
  ),
  uploadCreate: operation(
    'write',
    50,
    { path, object: objectMeta, uid: u32, gid: u32, initiator: text(128) },
    { upload: byteString(64) },
  ),
  uploadPart: operation(
    'write',
    51,
    {
      upload: byteString(64),
      path,
      part: u32,
      session: u53,
      size: u53,
      chunks: list(chunkCodec, limits.slicesPerRequest),
      etag: byteString(128),
      checksum: bytes(64),
    },
    {},
  ),
  uploadComplete: operation(
    'write',
    52,
    {
      upload: byteString(64),
      path,
      parts: list(struct({ part: u32, etag: byteString(128) }), limits.multipartParts),
      etag: byteString(128),
      object: optional(objectMeta),
      condition,
    },
    { attr: attrCodec },
  ),
  uploadAbort: operation('write', 53, { upload: byteString(64), path }, {}),
  uploadInfo: operation(
    'read',
    54,
    { upload: byteString(64), path },
    { object: objectMeta, created: timeCodec, initiator: text(128) },
  ),
  uploadParts: operation(
    'read',
    55,
    { upload: byteString(64), path, after: u32, limit: u32 },
    {
      parts: list(
        struct({ part: u32, size: u53, etag: byteString(128), checksum: bytes(64), modified: timeCodec }),
        limits.multipartParts,
      ),
      truncated: bool,
    },
  ),
  uploadList: operation(
    'read',
    56,
    { prefix: path, keyMarker: path, uploadMarker: byteString(64), limit: u32 },
    {
      uploads: list(
        struct({ key: path, upload: byteString(64), created: timeCodec, initiator: text(128) }),
        limits.listPageEntries,
      ),
      truncated: bool,
    },
  ),
};

const serviceOperations = {
  /** Binds a connection to a session, so that retries are known. Session 0 asks for none. Answered by the transport. */
  hello: operation('read', 70, { session: u53, volume: u32 }, { server: text(255) }),
  sessionOpen: operation('write', 71, { session: u53, client: text(255) }, { lifetimeMs: u32 }),
  /** Tells which inodes the session holds, whole; in several requests when `more`. */
  sessionRenew: operation(
    'read',
    72,
    { session: u53, held: list(u53, limits.heldInodesPerRenewal), more: bool },
    { known: bool },
  ),
  sessionClose: operation('write', 73, { session: u53 }, {}),
  /** Names of rows of every table, a page at a time, for fsck and gc: raw keys and values. */
  tableScan: operation(
    'read',
    74,
    { after: byteString(2048), prefix: byteString(64), limit: u32 },
    { rows: list(struct({ key: byteString(2048), value: bytes(limits.frameBodyBytes) }), 65_536), end: bool },
  ),
  groupStatus: operation(
    'read',
    75,
    {},
    {
      term: u53,
      lastIndex: u53,
      commitIndex: u53,
      appliedIndex: u53,
      logBytes: u53,
      databaseBytes: u53,
      checkpointIndex: u53,
      pending: u32,
      sessions: u32,
      reclaimRows: u53,
    },
  ),
  /** Frees what the reclaim table holds without waiting for its age (tests, `ofs gc --now`); answers rows left. */
  reclaimNow: operation('write', 76, { limit: u32 }, { left: u53 }),
};

/** A volume, which is also a bucket of that name. */
export const volumeCodec = struct({
  name: volumeName,
  group: u32,
  partition: u32,
  created: timeCodec,
  owner: text(128),
  blockBytes: u32,
  relaxed: bool,
});

export const accessKeyCodec = struct({
  accessKey: text(128),
  secretKey: text(128),
  user: text(128),
  email: text(255),
  created: timeCodec,
});

const rootOperations = {
  volumeCreate: operation('write', 90, { name: volumeName, owner: text(128) }, { volume: volumeCodec }),
  /** NOTEMPTY unless `force`, in which case the volume's content is given up. */
  volumeDelete: operation('write', 91, { name: volumeName, force: bool }, {}),
  volumeInfo: operation('read', 92, { name: volumeName }, { volume: volumeCodec }),
  volumeList: operation(
    'read',
    93,
    { after: volumeName, limit: u32 },
    { volumes: list(volumeCodec, limits.listPageEntries), truncated: bool },
  ),
  keyCreate: operation('write', 94, { key: accessKeyCodec }, { key: accessKeyCodec }),
  keyDelete: operation('write', 95, { accessKey: text(128) }, {}),
  keyInfo: operation('read', 96, { accessKey: text(128) }, { key: accessKeyCodec }),
  keyList: operation(
    'read',
    97,
    { after: text(128), limit: u32 },
    { keys: list(accessKeyCodec, limits.listPageEntries), truncated: bool },
  ),
  /** Where things are: ports of meta threads by group modulo their number, ports of block threads by volume. */
  clusterInfo: operation(
    'read',
    98,
    {},
    {
      node: text(255),
      bootId: text(64),
      /** Where the node's files are, and which start of it its leases are of (0: none are published there). */
      directory: text(4096),
      leases: u53,
      metaPorts: list(u16, limits.threads),
      blockPorts: list(u16, limits.threads),
    },
  ),
};

export const metaOperations = table({
  ...inodeOperations,
  ...pathOperations,
  ...serviceOperations,
  ...rootOperations,
});

export type MetaOperations = typeof metaOperations;
export type MetaOperationName = keyof MetaOperations;
