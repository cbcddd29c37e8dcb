// A Vfs in memory, for tests of the mount: a small model of a POSIX file system, with the rules that the mount relies on
// (open-unlinked files live, versions rise with content, set-gid directories pass their group on).

import type {
  Credentials,
  DirectoryPage,
  FileHandle,
  NameEntry,
  Neighbourhood,
  Page,
  Renamed,
  SetAttributes,
  Vfs,
} from '../../../client/vfs/interface.js';
import type { ByteString } from '../../../proto/codec.js';
import { type Attr, AttrFlag, isDirectory, Mode, RenameFlag, SetAttr, XattrFlag } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';

interface Inode {
  attr: Attr;
  data: Buffer;
  entries: Map<ByteString, number>;
  parent: number;
  xattrs: Map<ByteString, Buffer>;
  opens: number;
}

interface Handle extends FileHandle {
  readonly flags: number;
}

const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_EXCL = 0o200;
const FILE_BYTES = 2 ** 32;

function fail(status: Status, what: string): never {
  throw new OfsError(status, what);
}

function now() {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 };
}

export class MemoryVfs implements Vfs {
  readonly database = null;
  readonly root = 2 ** 38 + 1;
  /** Called before each operation, by name; a test may delay or fail it. */
  before: (operation: string) => Promise<void> | void = () => {};
  flushes = 0;
  private readonly inodes = new Map<number, Inode>();
  private next = this.root + 1;

  constructor() {
    this.make(this.root, Mode.DIRECTORY | 0o755, this.root, { uid: 0, gid: 0 });
  }

  get inodeCount(): number {
    return this.inodes.size;
  }

  get openCount(): number {
    let count = 0;
    for (const inode of this.inodes.values()) count += inode.opens;
    return count;
  }

  async lookup(parent: number, name: ByteString): Promise<Attr> {
    await this.before('lookup');
    return this.copy(this.child(parent, name));
  }

  async getattr(inode: number): Promise<Attr> {
    await this.before('getattr');
    return this.copy(this.inode(inode));
  }

  async setattr(number: number, set: SetAttributes): Promise<Attr> {
    await this.before('setattr');
    const inode = this.inode(number);
    const { attr } = inode;
    const has = (flag: number) => (set.valid & flag) !== 0;
    if (has(SetAttr.MODE)) attr.mode = (attr.mode & Mode.TYPE) | set.mode;
    if (has(SetAttr.UID)) attr.uid = set.uid;
    if (has(SetAttr.GID)) attr.gid = set.gid;
    if (has(SetAttr.SIZE)) {
      this.resize(inode, set.size);
      attr.mtime = now();
      attr.version++;
    }
    if (has(SetAttr.ATIME)) attr.atime = set.atime;
    if (has(SetAttr.MTIME)) attr.mtime = set.mtime;
    if (has(SetAttr.ATIME_NOW)) attr.atime = now();
    if (has(SetAttr.MTIME_NOW)) attr.mtime = now();
    if (has(SetAttr.KILL_SUID)) this.killSuid(attr);
    attr.ctime = now();
    return this.copy(inode);
  }

  async mknod(parent: number, name: ByteString, mode: number, rdev: number, who: Credentials): Promise<Attr> {
    await this.before('mknod');
    const made = this.add(parent, name, mode, who);
    made.attr.rdev = rdev;
    return this.copy(made);
  }

  async mkdir(parent: number, name: ByteString, mode: number, who: Credentials): Promise<Attr> {
    await this.before('mkdir');
    const inherited = this.inode(parent).attr.mode & Mode.SET_GID;
    const made = this.add(parent, name, Mode.DIRECTORY | (mode & Mode.PERMISSIONS) | inherited, who);
    this.inode(parent).attr.nlink++;
    return this.copy(made);
  }

  async symlink(parent: number, name: ByteString, target: ByteString, who: Credentials): Promise<Attr> {
    await this.before('symlink');
    const made = this.add(parent, name, Mode.SYMLINK | 0o777, who);
    made.attr.target = target;
    made.attr.size = target.length;
    return this.copy(made);
  }

  async readlink(inode: number): Promise<ByteString> {
    return this.inode(inode).attr.target;
  }

  async unlink(parent: number, name: ByteString): Promise<Attr> {
    await this.before('unlink');
    const child = this.child(parent, name);
    if (isDirectory(child.attr)) fail(Status.ISDIR, name);
    this.removeEntry(parent, name);
    this.dropLink(child);
    return this.copy(child);
  }

  async rmdir(parent: number, name: ByteString): Promise<void> {
    await this.before('rmdir');
    const child = this.child(parent, name);
    if (!isDirectory(child.attr)) fail(Status.NOTDIR, name);
    if (child.entries.size > 0) fail(Status.NOTEMPTY, name);
    this.removeEntry(parent, name);
    this.inode(parent).attr.nlink--;
    child.attr.nlink = 0;
    this.inodes.delete(child.attr.inode);
  }

  async rename(
    parent: number,
    name: ByteString,
    newParent: number,
    newName: ByteString,
    flags: number,
  ): Promise<Renamed> {
    await this.before('rename');
    const source = this.child(parent, name);
    const targetNumber = this.inode(newParent).entries.get(newName);
    const target = targetNumber === undefined ? undefined : this.inode(targetNumber);
    if (target !== undefined && (flags & RenameFlag.NOREPLACE) !== 0) fail(Status.EXIST, newName);
    if ((flags & RenameFlag.EXCHANGE) !== 0) {
      if (target === undefined) fail(Status.NOENT, newName);
      this.place(source, newParent, newName);
      this.place(target, parent, name);
      this.moveParentLink(source, parent, newParent);
      this.moveParentLink(target, newParent, parent);
      return { attr: this.copy(source), replaced: target.attr.inode };
    }
    if (target === source) return { attr: this.copy(source), replaced: 0 };
    if (target !== undefined) this.checkReplace(source, target, newName);
    this.removeEntry(parent, name);
    this.place(source, newParent, newName);
    this.moveParentLink(source, parent, newParent);
    if (target === undefined) return { attr: this.copy(source), replaced: 0 };
    if (isDirectory(target.attr)) {
      this.inode(newParent).attr.nlink--;
      this.inodes.delete(target.attr.inode);
    } else {
      this.dropLink(target);
    }
    return { attr: this.copy(source), replaced: target.attr.inode };
  }

  async link(number: number, parent: number, name: ByteString): Promise<Attr> {
    await this.before('link');
    const inode = this.inode(number);
    if (this.inode(parent).entries.has(name)) fail(Status.EXIST, name);
    this.place(inode, parent, name);
    inode.attr.nlink++;
    inode.attr.ctime = now();
    return this.copy(inode);
  }

  async lookupNear(parent: number, name: ByteString, limit: number): Promise<Neighbourhood> {
    await this.before('lookup');
    const number = this.inode(parent).entries.get(name);
    const { entries } = this.page(parent, name, limit);
    return { attr: number === undefined ? null : this.copy(this.inode(number)), entries };
  }

  async readdir(number: number, after: ByteString, limit: number): Promise<DirectoryPage> {
    await this.before('readdir');
    return this.page(number, after, limit);
  }

  async readNames(number: number, after: ByteString, limit: number): Promise<Page<NameEntry>> {
    await this.before('readdir');
    const { entries, ...rest } = this.page(number, after, limit);
    return { entries: entries.map(({ name, attr }) => ({ name, inode: attr.inode, mode: attr.mode })), ...rest };
  }

  private page(number: number, after: ByteString, limit: number): DirectoryPage {
    const names = [...this.inode(number).entries.keys()].filter((name) => name > after).sort();
    const page = names.slice(0, limit);
    const entries = page.map((name) => ({ name, attr: this.copy(this.child(number, name)) }));
    return { entries, cursor: page.at(-1) ?? after, end: names.length <= limit };
  }

  async statfs() {
    return { files: this.inodes.size, usedBytes: 2 ** 20, totalBytes: 2 ** 40, freeBytes: 2 ** 39 };
  }

  async xattrGet(inode: number, name: ByteString): Promise<Uint8Array> {
    await this.before('xattrGet');
    return this.inode(inode).xattrs.get(name) ?? fail(Status.NODATA, name);
  }

  async xattrSet(number: number, name: ByteString, value: Uint8Array, flags: number): Promise<void> {
    const { xattrs, attr } = this.inode(number);
    if ((flags & XattrFlag.CREATE) !== 0 && xattrs.has(name)) fail(Status.EXIST, name);
    if ((flags & XattrFlag.REPLACE) !== 0 && !xattrs.has(name)) fail(Status.NODATA, name);
    xattrs.set(name, Buffer.from(value));
    attr.flags |= AttrFlag.XATTRS;
  }

  async xattrList(inode: number): Promise<ByteString[]> {
    return [...this.inode(inode).xattrs.keys()];
  }

  async xattrRemove(inode: number, name: ByteString): Promise<void> {
    await this.before('xattrRemove');
    if (!this.inode(inode).xattrs.delete(name)) fail(Status.NODATA, name);
  }

  async open(number: number, flags: number): Promise<{ handle: FileHandle; attr: Attr }> {
    await this.before('open');
    const inode = this.inode(number);
    if ((flags & O_TRUNC) !== 0) {
      this.resize(inode, 0);
      inode.attr.version++;
      this.touch(inode);
    }
    inode.opens++;
    const handle: Handle = { inode: number, version: inode.attr.version, flags };
    return { handle, attr: this.copy(inode) };
  }

  async create(parent: number, name: ByteString, mode: number, flags: number, who: Credentials) {
    await this.before('create');
    const standing = this.inode(parent).entries.get(name);
    if (standing !== undefined && (flags & O_EXCL) !== 0) fail(Status.EXIST, name);
    const number = standing ?? this.add(parent, name, Mode.FILE | (mode & Mode.PERMISSIONS), who).attr.inode;
    return this.open(number, flags);
  }

  async read(handle: FileHandle, offset: number, target: Buffer): Promise<number> {
    await this.before('read');
    const { data, attr } = this.inode(handle.inode);
    return data.copy(target, 0, offset, Math.min(attr.size, offset + target.length));
  }

  async write(handle: FileHandle, given: number, data: Buffer): Promise<void> {
    await this.before('write');
    const inode = this.inode(handle.inode);
    const offset = ((handle as Handle).flags & O_APPEND) === 0 ? given : inode.attr.size;
    if (offset + data.length > inode.attr.size) this.resize(inode, offset + data.length);
    data.copy(inode.data, offset);
    inode.attr.version++;
    inode.attr.mtime = now();
    inode.attr.ctime = inode.attr.mtime;
  }

  async flush(_handle: FileHandle): Promise<void> {
    await this.before('flush');
    this.flushes++;
  }

  async release(handle: FileHandle): Promise<void> {
    const inode = this.inode(handle.inode);
    inode.opens--;
    this.collect(inode);
  }

  async close(): Promise<void> {}

  private inode(number: number): Inode {
    return this.inodes.get(number) ?? fail(Status.NOENT, `inode ${number}`);
  }

  private child(parent: number, name: ByteString): Inode {
    const directory = this.inode(parent);
    if (!isDirectory(directory.attr)) fail(Status.NOTDIR, name);
    const number = directory.entries.get(name);
    if (number === undefined) fail(Status.NOENT, name);
    return this.inode(number);
  }

  private copy({ attr }: Inode): Attr {
    return { ...attr };
  }

  private make(number: number, mode: number, parent: number, who: Credentials): Inode {
    const time = now();
    const attr: Attr = {
      inode: number,
      mode,
      uid: who.uid,
      gid: who.gid,
      nlink: (mode & Mode.TYPE) === Mode.DIRECTORY ? 2 : 1,
      rdev: 0,
      size: 0,
      atime: time,
      mtime: time,
      ctime: time,
      version: 1,
      flags: 0,
      etag: '',
      target: '',
      object: new Uint8Array(0),
    };
    const inode = { attr, data: Buffer.alloc(0), entries: new Map(), parent, xattrs: new Map(), opens: 0 };
    this.inodes.set(number, inode);
    return inode;
  }

  private add(parent: number, name: ByteString, mode: number, who: Credentials): Inode {
    const directory = this.inode(parent);
    if (directory.entries.has(name)) fail(Status.EXIST, name);
    const setGid = (directory.attr.mode & Mode.SET_GID) !== 0;
    const made = this.make(this.next++, mode, parent, { uid: who.uid, gid: setGid ? directory.attr.gid : who.gid });
    this.place(made, parent, name);
    return made;
  }

  private place(inode: Inode, parent: number, name: ByteString): void {
    const directory = this.inode(parent);
    directory.entries.set(name, inode.attr.inode);
    inode.parent = parent;
    this.touch(directory);
  }

  private removeEntry(parent: number, name: ByteString): void {
    const directory = this.inode(parent);
    directory.entries.delete(name);
    this.touch(directory);
  }

  private touch({ attr }: Inode): void {
    attr.mtime = now();
    attr.ctime = attr.mtime;
  }

  private moveParentLink(inode: Inode, from: number, to: number): void {
    if (!isDirectory(inode.attr) || from === to) return;
    this.inode(from).attr.nlink--;
    this.inode(to).attr.nlink++;
  }

  private checkReplace(source: Inode, target: Inode, name: ByteString): void {
    if (isDirectory(target.attr)) {
      if (!isDirectory(source.attr)) fail(Status.ISDIR, name);
      if (target.entries.size > 0) fail(Status.NOTEMPTY, name);
    } else if (isDirectory(source.attr)) {
      fail(Status.NOTDIR, name);
    }
  }

  private dropLink(inode: Inode): void {
    inode.attr.nlink--;
    inode.attr.ctime = now();
    this.collect(inode);
  }

  private collect(inode: Inode): void {
    if (inode.attr.nlink === 0 && inode.opens === 0) this.inodes.delete(inode.attr.inode);
  }

  private killSuid(attr: Attr): void {
    if (isDirectory(attr)) return;
    attr.mode &= ~Mode.SET_UID;
    if ((attr.mode & 0o010) !== 0) attr.mode &= ~Mode.SET_GID;
  }

  private resize(inode: Inode, size: number): void {
    if (size > FILE_BYTES) fail(Status.FBIG, `${size} bytes`);
    if (size > inode.data.length) {
      const grown = Buffer.alloc(Math.max(size, inode.data.length * 2));
      inode.data.copy(grown, 0, 0, inode.attr.size);
      inode.data = grown;
    } else if (size < inode.attr.size) {
      inode.data.fill(0, size, inode.attr.size);
    }
    inode.attr.size = size;
  }
}
