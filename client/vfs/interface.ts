// VFS: the namespace of one volume by inode and name, as a mount uses it. Every method rejects with OfsError, whose
// status has an errno (proto/status.ts).

import type { ByteString } from '../../proto/codec.js';
import type { Attr, Time } from '../../proto/meta/index.js';

/** Who acts: the owner of what is made. Permissions are the kernel's to check (`default_permissions`). */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
}

/** `valid` is a set of SetAttr flags; other fields are then ignored. */
export interface SetAttributes {
  valid: number;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  atime: Time;
  mtime: Time;
}

export interface DirectoryEntry {
  name: ByteString;
  attr: Attr;
}

/** An entry as a listing of names has it; `mode` is its type and permissions. */
export interface NameEntry {
  name: ByteString;
  inode: number;
  mode: number;
}

export interface Page<Entry> {
  entries: Entry[];
  /** Give it as `after` for the next page. */
  cursor: ByteString;
  end: boolean;
}

export type DirectoryPage = Page<DirectoryEntry>;

/** What `lookupNear` finds: the entry of the name, null if there is none, and entries behind it. */
export interface Neighbourhood {
  attr: Attr | null;
  entries: DirectoryEntry[];
}

/** The entry moved as it is now, and the inode that had the name before, 0 if none. */
export interface Renamed {
  attr: Attr;
  replaced: number;
}

/** An open file. `version` is the content version as of the open: a cache of an older one must be dropped. */
export interface FileHandle {
  readonly inode: number;
  readonly version: number;
}

/** A volume's database on this machine, which threads may open with openOutsideMeta (node/meta). */
export interface VolumeDatabase {
  readonly directory: string;
  readonly instance: number;
  readonly group: number;
}

export interface Vfs {
  readonly root: number;
  /** Null: there is none that may be read here. */
  readonly database: VolumeDatabase | null;
  lookup(parent: number, name: ByteString): Promise<Attr>;
  /** With up to `limit` entries behind the name in the order of `readdir`. */
  lookupNear(parent: number, name: ByteString, limit: number): Promise<Neighbourhood>;
  /** Includes what this client has written and not committed yet. */
  getattr(inode: number): Promise<Attr>;
  setattr(inode: number, attributes: SetAttributes): Promise<Attr>;
  mknod(parent: number, name: ByteString, mode: number, rdev: number, who: Credentials): Promise<Attr>;
  mkdir(parent: number, name: ByteString, mode: number, who: Credentials): Promise<Attr>;
  symlink(parent: number, name: ByteString, target: ByteString, who: Credentials): Promise<Attr>;
  readlink(inode: number): Promise<ByteString>;
  /** Answers what the inode is now; nlink 0: it has no name any more. */
  unlink(parent: number, name: ByteString): Promise<Attr>;
  rmdir(parent: number, name: ByteString): Promise<void>;
  rename(parent: number, name: ByteString, newParent: number, newName: ByteString, flags: number): Promise<Renamed>;
  link(inode: number, parent: number, name: ByteString): Promise<Attr>;
  readdir(inode: number, after: ByteString, limit: number): Promise<DirectoryPage>;
  /** The same without attributes, for who only wants to know what there is. */
  readNames(inode: number, after: ByteString, limit: number): Promise<Page<NameEntry>>;
  statfs(): Promise<{ files: number; usedBytes: number; totalBytes: number; freeBytes: number }>;
  xattrGet(inode: number, name: ByteString): Promise<Uint8Array>;
  xattrSet(inode: number, name: ByteString, value: Uint8Array, flags: number): Promise<void>;
  xattrList(inode: number): Promise<ByteString[]>;
  xattrRemove(inode: number, name: ByteString): Promise<void>;

  /** `flags` of open(2). Truncates with O_TRUNC. `known`: the content version of which the caller has the bytes. */
  open(inode: number, flags: number, known?: number): Promise<{ handle: FileHandle; attr: Attr }>;
  /** With `exclusive` EXIST when the name stands; otherwise opens what stands. */
  create(
    parent: number,
    name: ByteString,
    mode: number,
    flags: number,
    who: Credentials,
  ): Promise<{ handle: FileHandle; attr: Attr }>;
  /** Fills `target` from `offset`, as of when the read began; resolves with the bytes read, fewer only at the end. */
  read(handle: FileHandle, offset: number, target: Buffer): Promise<number>;
  /** Takes `data` over into the write buffer (copied before it resolves). Waits only where the buffer is full. */
  write(handle: FileHandle, offset: number, data: Buffer): Promise<void>;
  /** Writes, commits and waits: close(2) and fsync(2). Rejects with the first error of any write since the last. */
  flush(handle: FileHandle): Promise<void>;
  release(handle: FileHandle): Promise<void>;
  /** Flushes everything, ends the session. */
  close(): Promise<void>;
}
