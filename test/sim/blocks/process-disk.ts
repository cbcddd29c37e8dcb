// The disk as one life of a process has it: node/block's interface over the simulated file system. A life may end at
// any call; a call under way then has done its work, a part of it, or nothing. What a dead process still calls changes
// nothing.

import assert from 'node:assert';
import type { Disk, OpenMode } from '../../../node/block/disk.js';
import type { Process } from '../process.js';
import type { Random } from '../random.js';
import type { World } from '../world.js';
import type { FileSystem, Inode } from './file-system.js';
import type { BlockOptions } from './options.js';

/** Thrown where a process ends, and by whatever it calls afterwards. */
export class Killed extends Error {}

function failure(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${syscall}`), { code, syscall });
}

export interface DiskOwner {
  /** Ends the life at this moment. */
  die(why: string): void;
  /** A write of so many buffers and bytes. */
  wrote(name: string, buffers: number, bytes: number): void;
  /** So many are open to be written. */
  opened(files: number): void;
}

interface Pending {
  /** Does the work, or a part of it. */
  readonly act: (part: boolean) => void;
  done: boolean;
}

export class ProcessDisk implements Disk {
  /** No faults and no crashes any more. */
  calm = false;
  operations = 0;
  private readonly files = new Map<number, { readonly name: string; readonly inode: Inode; readonly mode: OpenMode }>();
  private nextFd = 3;
  private readonly pending = new Set<Pending>();

  constructor(
    private readonly fileSystem: FileSystem,
    private readonly world: World,
    private readonly process: Process,
    private readonly random: Random,
    private readonly options: BlockOptions,
    private readonly owner: DiskOwner,
  ) {}

  /** The process ended: what it had under way is done, in part, or not. */
  end(): void {
    for (const operation of this.pending) {
      if (!operation.done && this.random.chance(0.6)) operation.act(this.random.chance(0.7));
    }
    this.pending.clear();
    for (const { inode } of this.files.values()) this.fileSystem.open.delete(inode);
  }

  /** Before each call: whether the process lives, and goes on living. `part` is what may be done when it dies in it. */
  private enter(what: string, part?: () => void): void {
    if (!this.process.alive) throw new Killed();
    this.operations++;
    if (!this.chance(this.options.crashAtIo)) return;
    if (part !== undefined && this.random.chance(0.6)) part();
    this.owner.die(what);
    throw new Killed();
  }

  private file(fd: number): { readonly name: string; readonly inode: Inode } {
    if (!this.process.alive) throw new Killed();
    const file = this.files.get(fd);
    assert(file !== undefined, `descriptor ${fd} is not open`);
    return file;
  }

  private chance(probability: number): boolean {
    return !this.calm && this.random.chance(probability);
  }

  openSync(file: string, mode: OpenMode): number {
    this.enter(`open ${file}`);
    let inode = this.fileSystem.names.get(file);
    if (inode === undefined) {
      if (mode === 'r' || mode === 'r+') throw failure('ENOENT', 'open');
      inode = this.fileSystem.create(file);
    } else if (mode === 'w+') inode.truncate(0);
    const fd = this.nextFd++;
    this.files.set(fd, { name: file, inode, mode });
    this.fileSystem.open.add(inode);
    if (mode !== 'r') this.owner.opened([...this.files.values()].filter((other) => other.mode !== 'r').length);
    return fd;
  }

  closeSync(fd: number): void {
    this.enter('close');
    const { inode } = this.file(fd);
    this.files.delete(fd);
    if (![...this.files.values()].some((other) => other.inode === inode)) this.fileSystem.open.delete(inode);
  }

  private copyOut(inode: Inode, target: Uint8Array, position: number): number {
    const end = Math.min(inode.size, position + target.length);
    if (end <= position) return 0;
    target.set(inode.cache.subarray(position, end));
    return end - position;
  }

  readSync(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    this.enter('read');
    return this.copyOut(this.file(fd).inode, target.subarray(offset, offset + length), position);
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    this.enter('read');
    const { inode } = this.file(fd);
    return this.later(() => this.copyOut(inode, target.subarray(offset, offset + length), position));
  }

  readvSync(fd: number, buffers: readonly Uint8Array[], position: number): number {
    this.enter('readv');
    return this.copyOutAll(this.file(fd).inode, buffers, position);
  }

  readv(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    this.enter('readv');
    const { inode } = this.file(fd);
    return this.later(() => this.copyOutAll(inode, buffers, position));
  }

  private copyOutAll(inode: Inode, buffers: readonly Uint8Array[], position: number): number {
    let bytes = 0;
    for (const buffer of buffers) bytes += this.copyOut(inode, buffer, position + bytes);
    return bytes;
  }

  writeSync(fd: number, source: Uint8Array, offset: number, length: number, position: number): number {
    return this.writevSync(fd, [source.subarray(offset, offset + length)], position);
  }

  writevSync(fd: number, buffers: readonly Uint8Array[], position: number): number {
    const { name, inode } = this.file(fd);
    const bytes = Buffer.concat(buffers);
    this.enter(`write ${name}`, () => this.putPart(inode, bytes, position));
    this.owner.wrote(name, buffers.length, bytes.length);
    return this.put(inode, bytes, position);
  }

  private putPart(inode: Inode, bytes: Buffer, position: number): void {
    const room = this.fileSystem.roomFor(inode, position, bytes.length);
    const some = bytes.subarray(0, Math.min(room, this.random.below(bytes.length + 1)));
    if (some.length > 0) inode.put(some, position);
  }

  /** Writes what finds space; throws where nothing does. */
  private put(inode: Inode, bytes: Buffer, position: number): number {
    if (this.chance(this.options.failWrite)) {
      this.putPart(inode, bytes, position);
      throw failure('EIO', 'write');
    }
    const room = this.fileSystem.roomFor(inode, position, bytes.length);
    if (room === 0 && bytes.length > 0) throw failure('ENOSPC', 'write');
    const short = room > 1 && this.chance(this.options.shortWrite) ? 1 + this.random.below(room - 1) : room;
    inode.put(bytes.subarray(0, short), position);
    return short;
  }

  writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    const { name, inode } = this.file(fd);
    this.enter(`writev ${name}`);
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    this.owner.wrote(name, buffers.length, length);
    // What is written is what the buffers hold when the write is done, not when it is asked for.
    return this.later(
      () => this.put(inode, Buffer.concat(buffers), position),
      () => this.putPart(inode, Buffer.concat(buffers), position),
    );
  }

  ftruncateSync(fd: number, bytes: number): void {
    this.enter('ftruncate');
    this.file(fd).inode.truncate(bytes);
  }

  private syncNow(inode: Inode): void {
    if (this.chance(this.options.failSync)) {
      inode.failSync(this.random);
      throw failure('EIO', 'fsync');
    }
    inode.sync();
  }

  fdatasyncSync(fd: number): void {
    const { inode } = this.file(fd);
    this.enter('fdatasync', () => inode.sync());
    this.syncNow(inode);
  }

  fdatasync(fd: number): Promise<void> {
    this.enter('fdatasync');
    const { inode } = this.file(fd);
    return this.later(() => this.syncNow(inode));
  }

  fsyncSync(fd: number): void {
    this.fdatasyncSync(fd);
  }

  fsync(fd: number): Promise<void> {
    return this.fdatasync(fd);
  }

  sizeSync(fd: number): number {
    this.enter('size');
    return this.file(fd).inode.size;
  }

  existsSync(file: string): boolean {
    this.enter('exists');
    return this.fileSystem.names.has(file);
  }

  renameSync(source: string, target: string): void {
    this.enter(`rename ${source}`);
    if (!this.fileSystem.names.has(source)) throw failure('ENOENT', 'rename');
    this.fileSystem.rename(source, target);
  }

  removeSync(file: string): void {
    this.enter(`remove ${file}`);
    this.fileSystem.remove(file);
  }

  listSync(directory: string): string[] {
    this.enter('list');
    return [...this.fileSystem.names.keys()].map((name) => name.slice(directory.length + 1));
  }

  makeDirectorySync(): boolean {
    this.enter('mkdir');
    return false;
  }

  syncDirectorySync(): void {
    this.enter('sync of names');
    if (this.chance(this.options.failSync)) throw failure('EIO', 'fsync');
    this.fileSystem.syncNames();
  }

  spaceSync(): { freeBytes: number; totalBytes: number } {
    this.enter('space');
    const totalBytes = Math.min(this.fileSystem.capacityBytes, 2 ** 40);
    return { freeBytes: Math.max(0, totalBytes - this.fileSystem.usedBytes), totalBytes };
  }

  /** Work that is done at some moment and told at a later one. */
  private later<T>(work: () => T, part?: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      let outcome: { value: T } | { error: unknown };
      const operation: Pending = {
        done: false,
        act: (inPart) => {
          operation.done = true;
          if (inPart && part !== undefined) return part();
          try {
            outcome = { value: work() };
          } catch (error) {
            outcome = { error };
          }
        },
      };
      this.pending.add(operation);
      const latencyUs = 1 + (this.calm ? 10 : this.random.exponential(this.options.latencyUs));
      this.world.after(latencyUs / 2, () => {
        if (this.pending.has(operation)) operation.act(false);
      });
      this.world.after(latencyUs, () => {
        if (!this.pending.delete(operation)) return;
        this.process.happen(() => ('value' in outcome ? resolve(outcome.value) : reject(outcome.error)));
      });
    });
  }
}
