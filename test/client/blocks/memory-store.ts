// A block store in memory, with a bounded slab, for tests of what stands on it. It checks what a real one relies on:
// checksums, order of blocks in a blob, buffers not touched while they are being written, and releases that are owed.

import assert from 'node:assert';
import type { BlockStore } from '../../../client/blocks/index.js';
import { pieceChecksums } from '../../../proto/block/index.js';
import { blobOf, blockOf, makeBlob } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';

export interface WriteSeen {
  blob: number;
  index: number;
  length: number;
}

export interface MemoryStoreOptions {
  slabBytes?: number;
  /** Its blocks are this one's too. */
  shared?: MemoryStore | undefined;
  /** Drops the data once it was checked. */
  sink?: boolean;
  /** Checks no checksums: for measuring. */
  trusting?: boolean;
  /** Writes take a turn of the event loop, or what this awaits. */
  delay?: () => Promise<void>;
  /** Answers what a write fails with, if it is to fail. */
  failWrite?: (seen: WriteSeen) => OfsError | null;
}

let volumes = 0;

export class MemoryStore implements BlockStore {
  session = 1;
  isDistant = true;
  isInProcess = true;
  usedBytes = 0;
  peakBytes = 0;
  writtenBytes = 0;
  reads = 0;
  closed = false;
  syncReads = false;
  readonly writes: WriteSeen[] = [];
  readonly blocks: Map<number, Buffer>;
  /** How many blocks of each blob have been written: order is checked against it. */
  private readonly counts = new Map<number, Set<number>>();
  private readonly owned = new Map<Buffer, boolean>();
  private readonly waiters: (() => void)[] = [];
  private readonly spare = new Map<number, Buffer[]>();
  private sequence = 0;
  private readonly volume = ++volumes;

  constructor(readonly options: MemoryStoreOptions = {}) {
    this.blocks = options.shared?.blocks ?? new Map();
  }

  allocate(bytes: number): Buffer | null {
    assert(bytes > 0 && bytes <= limits.blockBytes);
    const span = Math.max(limits.slabMinBytes, 2 ** Math.ceil(Math.log2(bytes)));
    if (this.usedBytes + span > (this.options.slabBytes ?? limits.slabBytes)) return null;
    this.usedBytes += span;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
    const buffer = this.spare.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
    this.owned.set(buffer, false);
    return buffer;
  }

  release(buffer: Buffer): void {
    const busy = this.owned.get(buffer);
    assert(busy === false, busy === undefined ? 'released a buffer that is not given out' : 'released during a write');
    this.owned.delete(buffer);
    if (buffer.length < 64 * 1024) buffer.fill(0xdd);
    else buffer.fill(0xdd, 0, 4096);
    const spare = this.spare.get(buffer.length) ?? [];
    this.spare.set(buffer.length, spare);
    spare.push(buffer);
    this.usedBytes -= Math.max(limits.slabMinBytes, 2 ** Math.ceil(Math.log2(buffer.length)));
    if (this.waiters.length > 0) setImmediate(this.wake);
  }

  onSpace(callback: () => void): void {
    this.waiters.push(callback);
  }

  private readonly wake = (): void => {
    for (const callback of this.waiters.splice(0)) callback();
  };

  async write(blob: number, index: number, data: Buffer, checksums: readonly number[]): Promise<number> {
    const owner = [...this.owned.keys()].find(
      (buffer) => buffer.buffer === data.buffer && buffer.byteOffset === data.byteOffset,
    );
    assert(owner !== undefined, 'wrote from memory that is not allocated');
    assert(!this.owned.get(owner), 'wrote a buffer twice at once');
    assert(data.length > 0 && data.length <= limits.blockBytes);
    assert(blob === 0 ? index === 0 : index > 0);
    this.owned.set(owner, true);
    const { sink = false, trusting = false } = this.options;
    if (!trusting) assert.deepStrictEqual(checksums, pieceChecksums(data));
    const seen = { blob, index, length: data.length };
    try {
      if (this.options.delay === undefined) await new Promise((resolve) => setImmediate(resolve));
      else await this.options.delay();
      const failure = this.options.failWrite?.(seen) ?? null;
      if (failure !== null) throw failure;
      if (!sink) assert.deepStrictEqual(pieceChecksums(data), checksums, 'changed while being written');
      return this.store(blob, index, data, seen);
    } finally {
      this.owned.set(owner, false);
    }
  }

  /** A block that another writer has written, as a blob of its own. */
  place(data: Buffer): number {
    return this.store(0, 0, data, { blob: 0, index: 0, length: data.length });
  }

  private store(blob: number, index: number, data: Buffer, seen: WriteSeen): number {
    const id = blob === 0 ? makeBlob(this.volume, ++this.sequence) : blob;
    const indexes = this.counts.get(id) ?? new Set<number>();
    this.counts.set(id, indexes);
    assert(!indexes.has(index), 'wrote a block twice');
    indexes.add(index);
    this.writes.push({ ...seen, blob: id });
    this.writtenBytes += data.length;
    if (this.options.sink !== true) this.blocks.set(blockOf(id, index), Buffer.from(data));
    return id;
  }

  readSync(block: number, offset: number, target: Buffer): boolean {
    const data = this.blocks.get(block);
    if (!this.syncReads || data === undefined) return false;
    assert(offset + target.length <= data.length, 'read beyond the end of a block');
    data.copy(target, 0, offset);
    return true;
  }

  async read(block: number, offset: number, target: Buffer): Promise<void> {
    this.reads++;
    await new Promise((resolve) => setImmediate(resolve));
    const data = this.blocks.get(block);
    if (data === undefined) throw new OfsError(Status.NOENT, `block ${block} of blob ${blobOf(block)} is not there`);
    assert(offset + target.length <= data.length, 'read beyond the end of a block');
    data.copy(target, 0, offset);
  }

  async capacity(): Promise<{ totalBytes: number; freeBytes: number }> {
    return { totalBytes: 2 ** 40, freeBytes: 2 ** 39 };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
