// A machine's disk. What was written and not synced may be lost, whole or by sectors or bytes, in any order, when the
// machine crashes; what a process had under way when it was killed may arrive or not. Besides: slow, stalled, full,
// failing (after which the cache shows what the disk does not have, and a sync does not help), rotten sectors, writes
// that land elsewhere. Files are as in node/raft/wal/storage.ts: a write that is reported is on disk.

import assert from 'node:assert';
import type { WalFile, WalStorage } from '../../../node/raft/index.js';
import { BATCH_HEADER_BYTES, WAL_MAGIC } from '../../../proto/wal.js';
import type { Process } from '../process.js';
import type { Random } from '../random.js';
import type { World } from '../world.js';

export const SECTOR_BYTES = 512;
export const LOG = 'wal/';

export interface DiskFaults {
  /** Of a write, on average. */
  latencyUs: number;
  /** A write takes a hundred times as long. */
  slowWrite: number;
  /** Nothing is done for a while, `stallUs` at most. */
  stall: number;
  stallUs: number;
  failWrite: number;
  failSync: number;
  misdirect: number;
  /** What is torn is torn within sectors. */
  tornBytes: boolean;
  capacityBytes: number;
}

export const NO_FAULTS: DiskFaults = {
  latencyUs: 100,
  slowWrite: 0,
  stall: 0,
  stallUs: 0,
  failWrite: 0,
  failSync: 0,
  misdirect: 0,
  tornBytes: false,
  capacityBytes: Number.POSITIVE_INFINITY,
};

interface Pending {
  readonly file: File;
  readonly bytes: Buffer;
  readonly position: number;
}

interface Placed {
  readonly position: number;
  readonly length: number;
}

/** What of a file is in the page cache, and what is on the platter. */
class File {
  cache: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  /** Sectors of the cache that were written and not synced. */
  readonly dirty = new Set<number>();
  /** The last write that was reported, and the one before. */
  last: Placed | undefined;

  grow(bytes: number): void {
    if (bytes <= this.cache.length) return;
    const cache = Buffer.alloc(bytes);
    cache.set(this.cache);
    this.cache = cache;
  }

  /** Into the cache only. */
  put(bytes: Uint8Array, position: number): void {
    this.grow(position + bytes.length);
    this.cache.set(bytes, position);
    const end = position + bytes.length;
    for (let at = Math.floor(position / SECTOR_BYTES); at * SECTOR_BYTES < end; at++) this.dirty.add(at);
  }

  settle(sector: number): void {
    this.dirty.delete(sector);
    if (this.durable.length < this.cache.length) {
      const durable = Buffer.alloc(this.cache.length);
      durable.set(this.durable);
      this.durable = durable;
    }
    const start = sector * SECTOR_BYTES;
    this.durable.set(this.cache.subarray(start, start + SECTOR_BYTES), start);
  }

  settleAll(): void {
    for (const sector of this.dirty) this.settle(sector);
  }

  settleRange(position: number, length: number): void {
    const end = position + length;
    for (let at = Math.floor(position / SECTOR_BYTES); at * SECTOR_BYTES < end; at++) this.settle(at);
  }
}

/** A change of a directory, or a sync, under way. */
interface Operation {
  readonly change: () => void;
  changed: boolean;
}

/** Who has to do with a disk. */
export interface DiskOwner {
  /** A write was done and is about to be reported. */
  onDurable(name: string, bytes: Buffer): void;
  /** Whether the group of machines can do without what is on this disk. */
  mayDamage(): boolean;
  /** A write is under way from now on. */
  onIo(): void;
}

export class Disk {
  faults: DiskFaults;
  /** The last batch reported is not where it should be, and nothing on the disk shows it: no later batch is there. */
  silentlyDamaged = false;
  /** Something on the disk is damaged: starts from it may fail. */
  damaged = false;
  private files = new Map<string, File>();
  private durableFiles = new Map<string, File>();
  private readonly pending = new Set<Pending>();
  private readonly operations = new Set<Operation>();
  private stalledUntilUs = 0;

  constructor(
    private readonly world: World,
    private readonly random: Random,
    faults: DiskFaults,
    private readonly owner: DiskOwner,
  ) {
    this.faults = faults;
  }

  /** A folder of this disk, as a process sees it. */
  folder(prefix: string, process: Process): WalStorage {
    return new Folder(this, prefix, process, this.world);
  }

  get usedBytes(): number {
    let used = 0;
    for (const file of this.files.values()) used += file.cache.length;
    return used;
  }

  find(name: string): File | undefined {
    return this.files.get(name);
  }

  names(prefix: string): string[] {
    return [...this.files.keys()].filter((name) => name.startsWith(prefix));
  }

  /** A new empty file; its name is on disk when its directory is synced. */
  create(name: string): File {
    const file = new File();
    this.files.set(name, file);
    return file;
  }

  rename(source: string, target: string): void {
    const file = this.files.get(source);
    assert(file !== undefined, `no file ${source}`);
    this.files.delete(source);
    this.files.set(target, file);
  }

  remove(name: string): void {
    this.files.delete(name);
  }

  syncDirectory(prefix: string): void {
    for (const name of this.durableFiles.keys()) if (name.startsWith(prefix)) this.durableFiles.delete(name);
    for (const [name, file] of this.files) if (name.startsWith(prefix)) this.durableFiles.set(name, file);
  }

  /** Something that the process waits for: done at some moment, reported at a later one. */
  operate(process: Process, change: () => void, done: () => void): void {
    const operation = { change, changed: false };
    this.operations.add(operation);
    const latency = this.latencyUs();
    this.world.after(latency / 2, () => {
      if (!this.operations.has(operation)) return;
      operation.changed = true;
      change();
    });
    this.world.after(latency, () => {
      if (this.operations.delete(operation)) process.happen(done);
    });
  }

  /** How long an operation takes that begins now. */
  latencyUs(): number {
    const { random, faults, world } = this;
    if (random.chance(faults.stall)) {
      this.stalledUntilUs = Math.max(this.stalledUntilUs, world.nowUs + random.below(faults.stallUs));
    }
    let latency = 1 + random.exponential(faults.latencyUs);
    if (random.chance(faults.slowWrite)) latency *= 100;
    return Math.max(0, this.stalledUntilUs - world.nowUs) + latency;
  }

  write(file: File, name: string, data: Uint8Array, position: number, process: Process, done: Done): void {
    if (!process.alive) return;
    const pending = { file, bytes: Buffer.from(data), position };
    this.pending.add(pending);
    this.world.after(this.latencyUs(), () => {
      if (!this.pending.delete(pending)) return;
      const error = this.complete(pending, name);
      process.happen(() => done(error));
    });
    this.owner.onIo();
  }

  /** A process ends. Of what it had under way anything may have been done: by sectors if it was killed. */
  crash(machine: boolean): void {
    for (const { file, bytes, position } of this.pending) {
      if (this.random.chance(0.3)) continue;
      const whole = this.random.chance(0.3);
      for (const part of this.parts(bytes, position)) {
        if (!whole && this.random.chance(0.5)) continue;
        if (position + part.end <= file.cache.length)
          file.put(bytes.subarray(part.start, part.end), position + part.start);
      }
    }
    this.pending.clear();
    for (const operation of this.operations) if (!operation.changed && this.random.chance(0.5)) operation.change();
    this.operations.clear();
    if (machine) this.losePower();
  }

  /** Changes a sector of what was synced, which the process finds out when it reads it. False: there is none. */
  rot(): boolean {
    const files = [...this.files].filter(
      ([name, { last }]) => name.startsWith(LOG) && last !== undefined && last.position > 0,
    );
    if (files.length === 0) return false;
    const [, file] = this.random.pick(files);
    const at = this.random.below(file.last!.position); // filtered
    const bits = 1 << this.random.below(8);
    for (const image of [file.cache, file.durable]) if (at < image.length) image[at] = image[at]! ^ bits;
    this.damaged = true;
    return true;
  }

  failsSync(): boolean {
    return this.random.chance(this.faults.failSync);
  }

  /** All is gone. */
  wipe(): void {
    this.files.clear();
    this.durableFiles.clear();
    this.pending.clear();
    this.operations.clear();
    this.silentlyDamaged = false;
    this.damaged = false;
  }

  private complete({ file, bytes, position }: Pending, name: string): Error | null {
    const { random, faults } = this;
    const growth = position + bytes.length - file.cache.length;
    if (growth > 0 && this.usedBytes + growth > faults.capacityBytes) {
      return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
    if (random.chance(faults.failWrite)) {
      // What a failed write-back leaves: the cache has it, the disk has parts of it, and nothing is dirty.
      file.put(bytes, position);
      for (const sector of file.dirty) if (random.chance(0.3)) file.settle(sector);
      file.dirty.clear();
      return Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
    }
    const log = name.startsWith(LOG);
    if (log && growth <= 0 && random.chance(faults.misdirect) && this.owner.mayDamage()) {
      const elsewhere = random.below(Math.max(1, file.cache.length - bytes.length));
      const start = elsewhere - (elsewhere % SECTOR_BYTES);
      file.put(bytes, start);
      file.settleRange(start, bytes.length);
      this.silentlyDamaged = true;
      this.damaged = true;
    } else {
      file.put(bytes, position);
      file.settleRange(position, bytes.length);
      if (log && isBatch(bytes)) this.silentlyDamaged = false;
    }
    file.last = { position, length: bytes.length };
    this.owner.onDurable(name, bytes);
    return null;
  }

  /** The pieces in which a write is torn. */
  private *parts(bytes: Buffer, position: number): Generator<{ start: number; end: number }> {
    let start = 0;
    while (start < bytes.length) {
      const boundary = SECTOR_BYTES - ((position + start) % SECTOR_BYTES);
      const size = this.faults.tornBytes ? Math.min(boundary, 1 + this.random.below(64)) : boundary;
      const end = Math.min(bytes.length, start + size);
      yield { start, end };
      start = end;
    }
  }

  private losePower(): void {
    this.files = new Map(this.durableFiles);
    for (const file of this.files.values()) {
      for (const sector of [...file.dirty]) if (this.random.chance(0.5)) file.settle(sector);
      file.dirty.clear();
      file.cache = Buffer.from(file.durable);
    }
  }
}

type Done = (error: Error | null) => void;

/** Not what fills a new segment. */
function isBatch(bytes: Buffer): boolean {
  return bytes.length >= BATCH_HEADER_BYTES && bytes.readUInt32LE(0) === WAL_MAGIC;
}

class OpenFile implements WalFile {
  readonly sizeBytes: number;

  constructor(
    private readonly disk: Disk,
    private readonly name: string,
    private readonly file: File,
    private readonly process: Process,
    private readonly world: World,
  ) {
    this.sizeBytes = file.cache.length;
  }

  write(buffer: Uint8Array, position: number, onWritten: Done): void {
    this.disk.write(this.file, this.name, buffer, position, this.process, (error) => {
      onWritten(error);
      this.world.promisesSettled();
    });
  }

  read(target: Uint8Array, position: number): number {
    const part = this.file.cache.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  sync(): Promise<void> {
    const { disk, file, process, world } = this;
    return new Promise((resolve, reject) => {
      const fails = disk.failsSync();
      const change = (): void => (fails ? file.dirty.clear() : file.settleAll());
      disk.operate(process, change, () => {
        if (fails) reject(Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' }));
        else resolve();
        world.promisesSettled();
      });
    });
  }

  async close(): Promise<void> {}
}

class Folder implements WalStorage {
  constructor(
    private readonly disk: Disk,
    private readonly prefix: string,
    private readonly process: Process,
    private readonly world: World,
  ) {}

  async list(): Promise<string[]> {
    await this.change(() => undefined);
    return this.disk.names(this.prefix).map((name) => name.slice(this.prefix.length));
  }

  async open(name: string): Promise<WalFile> {
    const file = this.disk.find(this.prefix + name);
    assert(file !== undefined, `no file ${name}`);
    return new OpenFile(this.disk, this.prefix + name, file, this.process, this.world);
  }

  async create(name: string): Promise<WalFile> {
    const file = this.disk.create(this.prefix + name);
    return new OpenFile(this.disk, this.prefix + name, file, this.process, this.world);
  }

  rename(source: string, target: string): Promise<void> {
    return this.change(() => this.disk.rename(this.prefix + source, this.prefix + target));
  }

  remove(name: string): Promise<void> {
    return this.change(() => this.disk.remove(this.prefix + name));
  }

  /** Changes the directory, which is on disk when it resolves. */
  private change(change: () => void): Promise<void> {
    const { disk, prefix, process, world } = this;
    return new Promise((resolve) => {
      disk.operate(process, change, () => {
        disk.syncDirectory(prefix);
        resolve();
        world.promisesSettled();
      });
    });
  }
}
