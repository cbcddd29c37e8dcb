// A disk in memory for the log: it can crash with any part of what was not yet reported as written, run out of space,
// fail, and be damaged by hand.

import type { WalFile, WalStorage } from '../../../node/raft/index.js';

const SECTOR_BYTES = 512;

interface Pending {
  readonly file: MemoryFile;
  readonly buffer: Buffer;
  readonly position: number;
}

class MemoryFile implements WalFile {
  syncs = 0;
  private room = Buffer.alloc(0);
  private length = 0;

  constructor(private readonly storage: MemoryStorage) {}

  get bytes(): Buffer {
    return this.room.subarray(0, this.length);
  }

  get sizeBytes(): number {
    return this.length;
  }

  write(buffer: Uint8Array, position: number, onWritten: (error: Error | null) => void): void {
    const pending = { file: this, buffer: Buffer.from(buffer), position };
    this.storage.write(pending, onWritten);
  }

  read(target: Uint8Array, position: number): number {
    const part = this.bytes.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  async sync(): Promise<void> {
    this.syncs++;
  }

  async close(): Promise<void> {}

  put(buffer: Uint8Array, position: number): void {
    const end = position + buffer.length;
    if (end > this.room.length) {
      const grown = Buffer.alloc(Math.max(end, 2 * this.room.length));
      grown.set(this.bytes);
      this.room = grown;
    }
    this.length = Math.max(this.length, end);
    this.room.set(buffer, position);
  }
}

export class MemoryStorage implements WalStorage {
  readonly files = new Map<string, MemoryFile>();
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Files are made when this resolves. */
  gate: Promise<void> | undefined;
  /** The error that the next write fails with. */
  failWrite: Error | undefined;
  /** Writes that were begun and not reported. */
  private readonly pending = new Set<Pending>();
  private dead = false;

  async list(): Promise<string[]> {
    return [...this.files.keys()];
  }

  async open(name: string): Promise<WalFile> {
    return this.files.get(name)!; // the log opens what it listed
  }

  async create(name: string): Promise<WalFile> {
    await this.gate;
    const file = new MemoryFile(this);
    this.files.set(name, file);
    return file;
  }

  async rename(source: string, target: string): Promise<void> {
    this.files.set(target, this.files.get(source)!); // the log renames what it made
    this.files.delete(source);
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }

  get usedBytes(): number {
    let used = 0;
    for (const file of this.files.values()) used += file.bytes.length;
    return used;
  }

  write(pending: Pending, onWritten: (error: Error | null) => void): void {
    const { failWrite } = this;
    this.pending.add(pending);
    setImmediate(() => {
      if (this.dead) return;
      this.pending.delete(pending);
      const growth = pending.position + pending.buffer.length - pending.file.bytes.length;
      if (failWrite !== undefined) {
        onWritten(failWrite);
      } else if (growth > 0 && this.usedBytes + growth > this.capacityBytes) {
        onWritten(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
      } else {
        pending.file.put(pending.buffer, pending.position);
        onWritten(null);
      }
    });
  }

  /**
   * Ends whatever uses the disk: nothing is reported any more. Of each write under way the sectors that `keeps` says
   * reach the disk, which is returned as the next process finds it.
   */
  crash(keeps: (sector: number) => boolean): MemoryStorage {
    this.dead = true;
    for (const { file, buffer, position } of this.pending) {
      for (let at = 0; at < buffer.length; ) {
        const sector = Math.floor((position + at) / SECTOR_BYTES);
        const end = Math.min(buffer.length, (sector + 1) * SECTOR_BYTES - position);
        const inside = position + end <= file.bytes.length;
        if (inside && keeps(sector)) file.put(buffer.subarray(at, end), position + at);
        at = end;
      }
    }
    this.pending.clear();
    return this.copy();
  }

  /** The one segment with this number. */
  segment(number: number): Buffer {
    return this.files.get(`${String(number).padStart(16, '0')}.wal`)!.bytes; // a test names one that is there
  }

  copy(): MemoryStorage {
    const copy = new MemoryStorage();
    for (const [name, file] of this.files) {
      const twin = new MemoryFile(copy);
      twin.put(file.bytes, 0);
      copy.files.set(name, twin);
    }
    return copy;
  }
}
