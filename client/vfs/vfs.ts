// VFS over a metadata channel and a block store: names go to the service, one request each; open files are kept here
// (file.ts), written through write.ts and commit.ts, read through plan and caches. What a handle has been told is on disk
// is on disk; what is pending is committed within limits.commitIntervalMs without anybody asking.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import {
  type Attr,
  isFile,
  type MetaOperationName,
  type MetaOperations,
  onlyBlock,
  SetAttr,
} from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import { type BlockStore, type Space, spaceOf } from '../blocks/index.js';
import { BlockCache } from '../cache/index.js';
import type { MetaChannel } from '../channel/index.js';
import { commitRound, type RoundKind } from './commit.js';
import { Compactor } from './compaction.js';
import { VfsFile } from './file.js';
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
  VolumeDatabase,
} from './interface.js';
import { ReadAhead, ReadAheadBudget } from './read-ahead.js';
import { Reads } from './reads.js';
import { FileHolder, placeWrite } from './write.js';

export interface VfsOptions {
  meta: MetaChannel;
  blocks: BlockStore;
  /** The group of the volume, and the inode of its root. */
  group: number;
  root: number;
  /** Where the volume's database is, if it may be read here. */
  database?: VolumeDatabase | null;
  warn: (message: string) => void;
  /** Memory for pieces of blocks that were read; limits.blockCacheBytes where nothing is said. */
  cacheBytes?: number;
  /** How long a flush tries again before it fails for want of an answer; limits.requestTimeoutMs where nothing is said. */
  patienceMs?: number;
}

/** Flags of open(2), <asm-generic/fcntl.h>. */
const OpenFlag = { ACCESS: 3, CREAT: 0o100, EXCL: 0o200, TRUNC: 0o1000, APPEND: 0o2000 } as const;
/** Content versions of which the caller of `open` has the bytes: none, or whichever there is. */
const NONE = -1;
const ANY = -2;
const READ_ONLY = 0;
const WRITE_ONLY = 1;
/** The kernel asks for it before every write; an open file is known to have no attributes without asking the service. */
const CAPABILITY = 'security.capability';
/** Changes that must not be overtaken by a commit of what was written before them. */
const AFTER_WRITES = SetAttr.SIZE | SetAttr.MTIME | SetAttr.MTIME_NOW;

class Handle implements FileHandle {
  released = false;

  constructor(
    readonly file: VfsFile,
    readonly version: number,
    readonly append: boolean,
    readonly readAhead: ReadAhead | null,
  ) {}

  get inode(): number {
    return this.file.inode;
  }
}

class ChannelVfs implements Vfs {
  readonly root: number;
  readonly database: VolumeDatabase | null;
  readonly space: Space;
  readonly meta: MetaChannel;
  readonly blocks: BlockStore;
  readonly group: number;
  readonly patienceMs: number;
  private readonly warn: (message: string) => void;
  /** Files that are open or have pending bytes, by inode. */
  private readonly files = new Map<number, VfsFile>();
  /** Those with pending bytes, and who sends them when others wait for memory. */
  private readonly dirty = new Map<VfsFile, FileHolder>();
  private readonly reads: Reads;
  private readonly compactor: Compactor;
  private readonly readAhead: ReadAheadBudget;
  private readonly timer: NodeJS.Timeout;

  constructor(options: VfsOptions) {
    this.meta = options.meta;
    this.blocks = options.blocks;
    this.group = options.group;
    this.root = options.root;
    this.database = options.database ?? null;
    this.patienceMs = options.patienceMs ?? limits.requestTimeoutMs;
    this.warn = options.warn;
    this.space = spaceOf(options.blocks);
    this.reads = new Reads(this, new BlockCache(options.blocks, options.cacheBytes ?? limits.blockCacheBytes));
    const { meta, blocks, group, space } = this;
    this.compactor = new Compactor({ meta, blocks, group, space, warn: options.warn });
    this.readAhead = new ReadAheadBudget(limits.readAheadTotalBytes);
    this.timer = setInterval(() => this.commitAged(), limits.commitIntervalMs / 4);
    this.timer.unref();
  }

  async lookup(parent: number, name: ByteString): Promise<Attr> {
    return this.seen((await this.ask('lookup', { parent, name })).attr);
  }

  async lookupNear(parent: number, name: ByteString, limit: number): Promise<Neighbourhood> {
    const found = await this.ask('lookupNear', { parent, name, limit });
    if (found.attr !== null) found.attr = this.seen(found.attr);
    for (const entry of found.entries) entry.attr = this.seen(entry.attr);
    return found;
  }

  async getattr(inode: number): Promise<Attr> {
    return this.seen((await this.ask('getattr', { inode })).attr);
  }

  async setattr(inode: number, attributes: SetAttributes): Promise<Attr> {
    const file = this.files.get(inode);
    const request = { inode, ...attributes };
    if (file === undefined || (attributes.valid & AFTER_WRITES) === 0) {
      return this.seen((await this.call('setattr', request)).attr);
    }
    await file.placing;
    const empties = (attributes.valid & SetAttr.SIZE) !== 0 && attributes.size === 0;
    return file.serial(async () => {
      if (empties) this.dropUnsent(file);
      await commitRound(this, file, 'WHOLE').finally(() => this.settle(file));
      return this.seen((await this.call('setattr', request)).attr);
    });
  }

  async mknod(parent: number, name: ByteString, mode: number, rdev: number, who: Credentials): Promise<Attr> {
    const { uid, gid } = who;
    return (await this.call('mknod', { parent, name, mode, uid, gid, rdev, exclusive: true })).attr;
  }

  async mkdir(parent: number, name: ByteString, mode: number, { uid, gid }: Credentials): Promise<Attr> {
    return (await this.call('mkdir', { parent, name, mode, uid, gid })).attr;
  }

  async symlink(parent: number, name: ByteString, target: ByteString, { uid, gid }: Credentials): Promise<Attr> {
    return (await this.call('symlink', { parent, name, target, uid, gid })).attr;
  }

  async readlink(inode: number): Promise<ByteString> {
    return (await this.ask('getattr', { inode })).attr.target;
  }

  async unlink(parent: number, name: ByteString): Promise<Attr> {
    return this.seen((await this.call('unlink', { parent, name })).attr);
  }

  async rmdir(parent: number, name: ByteString): Promise<void> {
    await this.call('rmdir', { parent, name });
  }

  async rename(
    parent: number,
    name: ByteString,
    newParent: number,
    newName: ByteString,
    flags: number,
  ): Promise<Renamed> {
    const { attr, replaced } = await this.call('rename', { parent, name, newParent, newName, flags });
    return { attr: this.seen(attr), replaced };
  }

  async link(inode: number, parent: number, name: ByteString): Promise<Attr> {
    return this.seen((await this.call('link', { inode, parent, name })).attr);
  }

  async readdir(inode: number, after: ByteString, limit: number): Promise<DirectoryPage> {
    const page = await this.ask('readdir', { inode, after, limit });
    for (const entry of page.entries) entry.attr = this.seen(entry.attr);
    return page;
  }

  readNames(inode: number, after: ByteString, limit: number): Promise<Page<NameEntry>> {
    return this.ask('readNames', { inode, after, limit });
  }

  async statfs(): Promise<{ files: number; usedBytes: number; totalBytes: number; freeBytes: number }> {
    const [{ files, bytes }, capacity] = await Promise.all([this.ask('statfs', {}), this.blocks.capacity()]);
    return { files, usedBytes: bytes, ...capacity };
  }

  async xattrGet(inode: number, name: ByteString): Promise<Uint8Array> {
    const file = this.files.get(inode);
    if (name === CAPABILITY && file?.hasXattrs === false) {
      throw new OfsError(Status.NODATA, `inode ${inode} has no ${name}`);
    }
    return (await this.ask('xattrGet', { inode, name })).value;
  }

  async xattrSet(inode: number, name: ByteString, value: Uint8Array, flags: number): Promise<void> {
    const file = this.files.get(inode);
    if (file !== undefined) file.xattrsSet = true;
    await this.call('xattrSet', { inode, name, value, flags });
  }

  async xattrList(inode: number): Promise<ByteString[]> {
    return (await this.ask('xattrList', { inode })).names;
  }

  async xattrRemove(inode: number, name: ByteString): Promise<void> {
    await this.call('xattrRemove', { inode, name });
  }

  async open(inode: number, flags: number, known = NONE): Promise<{ handle: FileHandle; attr: Attr }> {
    let file = this.files.get(inode);
    const held = file !== undefined && file.handles > 0;
    if (file !== undefined) file.handles++;
    this.meta.hold(this.group, inode);
    try {
      const wantsBytes = !this.blocks.isInProcess && (flags & OpenFlag.ACCESS) !== WRITE_ONLY;
      const { attr, chunks, inlined } =
        this.openHere(inode, held, wantsBytes ? known : ANY) ??
        (await this.call('open', { inode, held, inline: wantsBytes ? limits.inlineBytes : 0 }));
      if (inlined !== null) this.reads.offer(inlined);
      file ??= this.openFile(attr);
      file.learn(attr);
      if (attr.version === file.attr.version) file.chunks.setPage(0, limits.chunksPerRead, chunks);
      return await this.opened(file, flags);
    } catch (error) {
      this.meta.unhold(this.group, inode);
      if (file !== undefined) {
        file.handles--;
        this.settle(file);
      }
      throw error;
    }
  }

  async create(
    parent: number,
    name: ByteString,
    mode: number,
    flags: number,
    { uid, gid }: Credentials,
  ): Promise<{ handle: FileHandle; attr: Attr }> {
    const exclusive = (flags & OpenFlag.EXCL) !== 0;
    const { attr, created } = await this.call('mknod', { parent, name, mode, uid, gid, rdev: 0, exclusive });
    if (!created) {
      if (!isFile(attr)) throw new OfsError(Status.EXIST, `${name} stands and is no regular file`);
      return this.open(attr.inode, flags);
    }
    this.meta.hold(this.group, attr.inode);
    return this.opened(this.openFile(attr), flags & ~OpenFlag.TRUNC);
  }

  async read(handle: FileHandle, offset: number, target: Buffer): Promise<number> {
    const { file, readAhead } = openHandle(handle);
    if (readAhead === null) return this.reads.read(file, offset, target);
    return readAhead.read(file, offset, target);
  }

  async write(handle: FileHandle, offset: number, data: Buffer): Promise<void> {
    const { file, append } = openHandle(handle);
    while (append && file.placing !== null) await file.placing;
    await placeWrite(this, file, append ? file.size : offset, data);
    file.uncommittedBytes += data.length;
    if (file.uncommittedBytes >= limits.commitBytes && !file.busy) this.commitBehind(file, 'SEALED');
  }

  async flush(handle: FileHandle): Promise<void> {
    const { file } = openHandle(handle);
    const failed = await this.commit(file, 'WHOLE').then(
      () => null,
      (error: unknown) => error,
    );
    // What was dropped since the last flush is said now, whoever's round it was; once.
    const dropped = file.error;
    file.error = null;
    if (failed !== null || dropped !== null) throw dropped ?? failed;
  }

  async release(handle: FileHandle): Promise<void> {
    const { file, readAhead } = openHandle(handle);
    (handle as Handle).released = true;
    readAhead?.reset();
    file.handles--;
    this.meta.unhold(this.group, file.inode);
    if (file.dirty) this.commitBehind(file, 'WHOLE');
    this.settle(file);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    const flushed = await Promise.allSettled([...this.dirty.keys()].map((file) => this.commit(file, 'WHOLE')));
    await this.compactor.stop();
    await this.meta.close();
    await this.blocks.close();
    for (const result of flushed) if (result.status === 'rejected') throw result.reason;
  }

  /** Resolves when no compaction is queued or running. */
  compacted(): Promise<void> {
    return this.compactor.idle();
  }

  onDirty(file: VfsFile): void {
    let holder = this.dirty.get(file);
    if (holder === undefined) {
      holder = new FileHolder(this.space, file);
      file.dirtySinceMs = performance.now();
      this.dirty.set(file, holder);
      // Pending bytes outlive the handle: so does the hold.
      this.meta.hold(this.group, file.inode);
    }
    holder.enlist();
  }

  async makeRoom(file: VfsFile): Promise<void> {
    await this.commit(file, 'WHOLE');
  }

  onCrowded(file: VfsFile, chunks: readonly number[]): void {
    this.compactor.add(file.inode, chunks);
  }

  /** Reads from the local database where a lease allows it. */
  async ask<K extends MetaOperationName>(
    name: K,
    request: RequestOf<MetaOperations[K]>,
  ): Promise<AnswerOf<MetaOperations[K]>> {
    return this.meta.readLocal(name, this.group, request) ?? this.meta.call(name, this.group, request);
  }

  /** Undefined: the node has to be asked, also because the bytes of a small file come along from there. */
  private openHere(inode: number, held: boolean, known: number): AnswerOf<MetaOperations['open']> | undefined {
    const answer = this.meta.readLocal('open', this.group, { inode, held, inline: 0 });
    if (answer === undefined || known === ANY || answer.attr.version === known) return answer;
    const block = onlyBlock(answer.attr.size, answer.chunks);
    return block === 0 || this.reads.has(block) ? answer : undefined;
  }

  private call<K extends MetaOperationName>(
    name: K,
    request: RequestOf<MetaOperations[K]>,
  ): Promise<AnswerOf<MetaOperations[K]>> {
    return this.meta.call(name, this.group, request);
  }

  /** Attributes as this client sees them; an open file learns from them. */
  private seen(attr: Attr): Attr {
    const file = this.files.get(attr.inode);
    if (file === undefined) return attr;
    file.learn(attr);
    return file.view(attr);
  }

  /** The file of these attributes, with one more handle. */
  private openFile(attr: Attr): VfsFile {
    let file = this.files.get(attr.inode);
    if (file === undefined) {
      file = new VfsFile(attr);
      this.files.set(attr.inode, file);
    }
    file.handles++;
    return file;
  }

  private async opened(file: VfsFile, flags: number): Promise<{ handle: FileHandle; attr: Attr }> {
    if ((flags & OpenFlag.TRUNC) !== 0 && (flags & OpenFlag.ACCESS) !== READ_ONLY) {
      const time = { sec: 0, nsec: 0 };
      const valid = SetAttr.SIZE | SetAttr.MTIME_NOW;
      await this.setattr(file.inode, { valid, mode: 0, uid: 0, gid: 0, size: 0, atime: time, mtime: time });
    }
    const direct = (of: VfsFile, offset: number, target: Buffer) => this.reads.read(of, offset, target);
    const readAhead = this.blocks.isDistant ? new ReadAhead(this.readAhead, direct) : null;
    const append = (flags & OpenFlag.APPEND) !== 0;
    return { handle: new Handle(file, file.attr.version, append, readAhead), attr: file.view(file.attr) };
  }

  /** Runs of which nothing has been sent need not be written to be truncated away. */
  private dropUnsent(file: VfsFile): void {
    const unsent = file.pending.filter((run) => !run.sent);
    file.pending = file.pending.filter((run) => run.sent);
    file.generation++;
    for (const run of unsent) run.abort();
  }

  private commit(file: VfsFile, kind: RoundKind): Promise<void> {
    return file.serial(() => commitRound(this, file, kind)).finally(() => this.settle(file));
  }

  /** In the background: what is dropped is told by the next flush, what is kept is tried again. */
  private commitBehind(file: VfsFile, kind: RoundKind): void {
    this.commit(file, kind).catch((error: unknown) => {
      if (!(error instanceof OfsError)) throw error;
      this.warn(`writing inode ${file.inode}: ${error.message}`);
    });
  }

  private commitAged(): void {
    const now = performance.now();
    for (const file of this.dirty.keys()) {
      if (now - file.dirtySinceMs < limits.commitIntervalMs || file.busy) continue;
      this.commitBehind(file, file.handles > 0 ? 'AGED' : 'WHOLE');
    }
  }

  /** After a round, a release: what is clean and closed is forgotten. */
  private settle(file: VfsFile): void {
    const holder = this.dirty.get(file);
    if (!file.dirty && holder !== undefined) {
      holder.cut();
      this.dirty.delete(file);
      this.meta.unhold(this.group, file.inode);
    }
    if (!file.dirty && file.handles === 0 && this.files.get(file.inode) === file) this.files.delete(file.inode);
  }
}

function openHandle(handle: FileHandle): Handle {
  assert(handle instanceof Handle && !handle.released, 'handle that is not open');
  return handle;
}

export type { ChannelVfs };

export function createVfs(options: VfsOptions): Vfs & Pick<ChannelVfs, 'compacted'> {
  return new ChannelVfs(options);
}
