// One volume and its only writer. What arrives while a batch is on its way to the disk forms the next batch: one writev
// and one fdatasync for all of it, then the needles are published to readers, the index lines written, the requests
// answered. A small batch is written on the thread itself (two hops to the I/O pool cost a third of its time); a large
// one in the pool. Space is written ahead, zeros before small batches and a hole before large ones, because an
// fdatasync that has to record a new file size or a new extent takes twice as long. A write that finds no space leaves
// nothing behind; every other failure ends the process through `fatal`.

import assert from 'node:assert';
import {
  IndexKind,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  trailerBytes,
  VOLUME_KEYS,
  writeNeedleFrame,
} from '../../proto/block/index.js';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import { isNoSpace } from '../disk/index.js';
import type { Arena } from './arena.js';
import { type Clock, type Disk, writeAll, writeAllSync } from './disk.js';
import { dataPath, IndexFile, indexPath } from './files.js';
import type { IndexTable } from './index-table.js';

/** What all volumes of a thread share. */
export interface VolumeContext {
  readonly directory: string;
  readonly arena: Arena;
  readonly disk: Disk;
  readonly clock: Clock;
  /** At which a volume is full. */
  readonly volumeBytes: number;
  readonly volumeNeedles: number;
  warn(message: string): void;
  fatal(error: Error): void;
  /** A write found no space: appends are refused for a while. */
  noSpace(): void;
  /** Frees what is kept back for tombstones; false when there was nothing. */
  freeReserve(): boolean;
  /** A needle found space. */
  space(): void;
}

/** A needle or tombstone on its way. */
export interface Append {
  readonly key: number;
  readonly session: number;
  /** Stays as it is until `finish`; null in a tombstone. */
  readonly data: Buffer | null;
  readonly checksums: readonly number[];
  /** Blocks that a tombstone deletes, from `key` upwards. */
  readonly blocks: number;
  finish(status: Status): void;
}

export interface VolumeState {
  number: number;
  cookie: number;
  sealed: boolean;
  tail: number;
  nextSequence: number;
  needles: number;
  dataFd: number;
  index: IndexFile;
  table: IndexTable;
}

const ZEROS = Buffer.alloc(limits.volumeZeroBytes);
const NO_CHECKSUMS: readonly number[] = [];

export class Volume {
  readonly number: number;
  readonly entry: number;
  cookie: number;
  sealed: boolean;
  /** Set when no more needles are taken, before the seal is on disk. */
  sealing = false;
  /** A start or a compaction found it damaged: it is left as it is. */
  damaged = false;
  /** Whoever needs the files open for longer than a batch counts itself here. */
  pins = 0;
  tail: number;
  nextSequence: number;
  /** Needles and tombstones on disk. */
  needles: number;
  liveNeedles = 0;
  liveBytes = 0;
  table: IndexTable;
  /** Keys deleted since it was set; for who copies the table or the file meanwhile. */
  deleted: number[] | null = null;

  private dataFd: number;
  private index: IndexFile;
  private fileBytes: number;
  /** Bytes up to here are on disk, so that writing them changes no extent. */
  private zeroedTo: number;
  private pending: Append[] = [];
  private pendingBytes = 0;
  private pendingNeedles = 0;
  /** Keys of the needles that wait or are being written. */
  private readonly arriving = new Set<number>();
  private writing = false;
  private scheduled = false;
  private holds = 0;
  private waiting: (() => void)[] = [];
  private indexSyncing = false;
  private meta = Buffer.allocUnsafeSlow(4096);
  private buffers: Uint8Array[] = [];

  constructor(
    private readonly context: VolumeContext,
    state: VolumeState,
    entry: number,
  ) {
    this.number = state.number;
    this.entry = entry;
    this.cookie = state.cookie;
    this.sealed = state.sealed;
    this.tail = state.tail;
    this.nextSequence = state.nextSequence;
    this.needles = state.needles;
    this.dataFd = state.dataFd;
    this.index = state.index;
    this.table = state.table;
    this.fileBytes = state.tail;
    this.zeroedTo = state.tail;
  }

  /** Bytes waiting or being written. */
  get queuedBytes(): number {
    return this.pendingBytes;
  }

  get idle(): boolean {
    return !this.writing && this.pending.length === 0 && this.holds === 0;
  }

  get filesOpen(): boolean {
    return this.dataFd >= 0;
  }

  /** Whether a block of `length` bytes still fits. */
  fits(length: number): boolean {
    return (
      !this.sealed &&
      !this.sealing &&
      this.tail + this.pendingBytes + needleBytes(length) <= this.context.volumeBytes &&
      this.needles + this.pendingNeedles < this.context.volumeNeedles
    );
  }

  isPending(key: number): boolean {
    return this.arriving.has(key);
  }

  /** Queues a needle (which must fit) or a tombstone (which always may); it leaves with the next batch. */
  append(append: Append): void {
    this.pending.push(append);
    this.pendingBytes += needleBytes(append.data === null ? 0 : append.data.length);
    this.pendingNeedles++;
    if (append.data !== null) this.arriving.add(append.key);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.writing || this.holds > 0 || this.pending.length === 0) return;
    this.scheduled = true;
    this.context.clock.soon(this.flush);
  }

  private readonly flush = (): void => {
    this.scheduled = false;
    if (this.writing || this.holds > 0 || this.pending.length === 0) return;
    this.writing = true;
    const batch = this.take();
    const bytes = this.frame(batch);
    if (bytes > limits.appendSyncBytes) {
      this.writeLarge(batch, bytes).catch((error: Error) => this.context.fatal(error));
      return;
    }
    try {
      this.writeSmall(batch, bytes);
    } catch (error) {
      this.context.fatal(error as Error);
    }
  };

  /** The next batch, within its limits. */
  private take(): Append[] {
    const pending = this.pending;
    let bytes = 0;
    let count = 0;
    for (; count < pending.length && count < limits.appendBatchNeedles; count++) {
      bytes += pending[count]!.data?.length ?? 0;
      if (bytes > limits.appendBatchBytes && count > 0) break;
    }
    if (count === pending.length) {
      this.pending = [];
      return pending;
    }
    this.pending = pending.slice(count);
    return pending.slice(0, count);
  }

  /** Frames the batch into `buffers`, without copying data, and returns its bytes. */
  private frame(batch: readonly Append[]): number {
    let metaBytes = 0;
    for (const append of batch) metaBytes += NEEDLE_HEADER_BYTES + trailerBytes(append.data?.length ?? 0);
    if (this.meta.length < metaBytes) this.meta = Buffer.allocUnsafeSlow(Math.max(metaBytes, this.meta.length * 2));
    const buffers: Uint8Array[] = [];
    let from = 0;
    let at = 0;
    let bytes = metaBytes;
    for (const append of batch) {
      const length = append.data?.length ?? 0;
      const header = {
        tombstone: append.data === null,
        blocks: append.blocks,
        id: this.number * VOLUME_KEYS + append.key,
        cookie: this.cookie,
        length,
        session: append.session,
      };
      const end = at + writeNeedleFrame(this.meta, at, header, append.data === null ? NO_CHECKSUMS : append.checksums);
      if (append.data !== null) {
        buffers.push(this.meta.subarray(from, at + NEEDLE_HEADER_BYTES), append.data);
        from = at + NEEDLE_HEADER_BYTES;
        bytes += length;
      }
      at = end;
    }
    buffers.push(this.meta.subarray(from, at));
    this.buffers = buffers;
    return bytes;
  }

  private writeSmall(batch: readonly Append[], bytes: number): void {
    const end = this.tail + bytes;
    try {
      if (bytes > limits.appendZeroedBytes) this.extend(end);
      if (!this.tryZeros(bytes)) {
        writeAllSync(this.context.disk, this.dataFd, this.buffers, { bytes, position: this.tail });
      }
    } catch (error) {
      this.failed(batch, error);
      return;
    }
    this.context.disk.fdatasyncSync(this.dataFd);
    this.fileBytes = Math.max(this.fileBytes, end);
    this.complete(batch);
  }

  /** Makes the file reach beyond `end`, as a hole, so that its size changes seldom. */
  private extend(end: number): void {
    if (end <= this.fileBytes || this.sealed) return;
    this.fileBytes = Math.max(end, Math.min(this.context.volumeBytes, end + limits.volumeExtendBytes));
    this.context.disk.ftruncateSync(this.dataFd, this.fileBytes);
  }

  /** Writes the batch with zeros behind it in one call; false when that is not due or there is no space for it. */
  private tryZeros(bytes: number): boolean {
    const end = this.tail + bytes;
    const zeros = Math.min(this.context.volumeBytes - end, limits.volumeZeroBytes);
    if (this.sealed || bytes > limits.appendZeroedBytes || end <= this.zeroedTo || zeros <= 0) return false;
    const buffers = [...this.buffers, zeros === ZEROS.length ? ZEROS : ZEROS.subarray(0, zeros)];
    try {
      writeAllSync(this.context.disk, this.dataFd, buffers, { bytes: bytes + zeros, position: this.tail });
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      this.cutTail();
      return false;
    }
    this.zeroedTo = end + zeros;
    this.fileBytes = Math.max(this.fileBytes, this.zeroedTo);
    return true;
  }

  private async writeLarge(batch: readonly Append[], bytes: number): Promise<void> {
    try {
      this.extend(this.tail + bytes);
      await writeAll(this.context.disk, this.dataFd, this.buffers, { bytes, position: this.tail });
    } catch (error) {
      this.failed(batch, error);
      return;
    }
    await this.context.disk.fdatasync(this.dataFd);
    this.complete(batch);
  }

  /** Cuts what a failed write may have left behind the last needle. */
  private cutTail(): void {
    this.context.disk.ftruncateSync(this.dataFd, this.tail);
    this.fileBytes = this.tail;
    this.zeroedTo = this.tail;
  }

  private failed(batch: readonly Append[], error: unknown): void {
    if (!isNoSpace(error)) throw error;
    this.cutTail();
    this.context.noSpace();
    const tombstones = batch.filter((append) => append.data === null);
    const again = tombstones.length > 0 && this.context.freeReserve();
    const refused = again ? batch.filter((append) => append.data !== null) : batch;
    if (again) this.pending = [...tombstones, ...this.pending];
    for (const append of refused) this.forget(append);
    this.ended();
    for (const append of refused) append.finish(Status.NOSPC);
  }

  private forget(append: Append): void {
    this.pendingBytes -= needleBytes(append.data?.length ?? 0);
    this.pendingNeedles--;
    if (append.data !== null) this.arriving.delete(append.key);
  }

  /** The batch is on disk: readers may see it, a start will find it, whoever asked is told. */
  private complete(batch: readonly Append[]): void {
    for (const append of batch) {
      this.forget(append);
      const length = append.data?.length ?? 0;
      if (append.data === null) this.applyTombstone(append.key, append.blocks);
      else {
        const stamp = this.context.arena.epoch;
        const fresh = this.table.insert(append.key, { offset: this.tail, length, session: append.session, stamp });
        assert(fresh, `key ${append.key} of volume ${this.number} was written twice`);
        this.context.arena.touched(length);
        this.liveNeedles++;
        this.liveBytes += length;
      }
      this.index.add({
        kind: append.data === null ? IndexKind.TOMBSTONE : IndexKind.NEEDLE,
        blocks: append.blocks,
        key: append.key,
        offset: this.tail,
        length,
        session: append.session,
      });
      this.tail += needleBytes(length);
      this.needles++;
    }
    this.index.flush();
    this.syncIndex();
    if (batch.some((append) => append.data !== null)) this.context.space();
    this.ended();
    for (const append of batch) append.finish(Status.OK);
  }

  private ended(): void {
    this.writing = false;
    this.buffers = [];
    const waiting = this.waiting;
    this.waiting = [];
    for (const resume of waiting) resume();
    this.schedule();
  }

  /** Enters a needle found at a start; false when its key stands already. */
  load(needle: { key: number; offset: number; length: number; session: number }): boolean {
    const { offset, length, session } = needle;
    if (!this.table.insert(needle.key, { offset, length, session, stamp: 0 })) return false;
    this.liveNeedles++;
    this.liveBytes += length;
    return true;
  }

  /** Marks the blocks deleted that are there; also used at a start. */
  applyTombstone(key: number, blocks: number): void {
    for (let offset = 0; offset < blocks; offset++) {
      const at = this.table.find(key + offset);
      if (at < 0) continue;
      this.liveNeedles--;
      this.liveBytes -= this.table.length(at);
      this.table.markDead(at);
      this.deleted?.push(key + offset);
    }
  }

  /** Now and then the index is synced, so that a start after a crash of the machine reads little data. */
  private syncIndex(): void {
    if (this.index.unsynced < limits.indexSyncLines || this.indexSyncing) return;
    this.index.unsynced = 0;
    this.indexSyncing = true;
    this.context.disk.fdatasync(this.index.fd).then(
      () => {
        this.indexSyncing = false;
        for (const resume of this.waiting.splice(0)) resume();
      },
      (error: Error) => this.context.fatal(error),
    );
  }

  /** Resolves when nothing is being written; nothing will be until `release`. Requests queue meanwhile. */
  async hold(): Promise<void> {
    this.holds++;
    while (this.writing || this.indexSyncing) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  release(): void {
    assert(this.holds > 0);
    this.holds--;
    this.schedule();
    // Who waits for all to be answered may have waited for nothing but this.
    if (this.idle) for (const resume of this.waiting.splice(0)) resume();
  }

  /** Writes what waits; resolves when all of it is answered. */
  async drain(): Promise<void> {
    while (!this.idle || this.indexSyncing) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Resolves when no needle waits or is being written; none may come meanwhile (`sealing`). */
  async drainNeedles(): Promise<void> {
    while (this.arriving.size > 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Answers the tombstones that wait for a volume in which nothing lives any more. */
  abandon(): void {
    const pending = this.pending;
    this.pending = [];
    for (const append of pending) this.forget(append);
    for (const append of pending) append.finish(Status.OK);
  }

  /** Cuts the space written ahead and records the seal; held. */
  async sealFiles(): Promise<void> {
    this.cutTail();
    await this.context.disk.fsync(this.dataFd);
    this.index.add({ kind: IndexKind.SEAL, blocks: 0, key: this.nextSequence, offset: 0, length: 0, session: 0 });
    this.index.flush();
    this.index.unsynced = 0;
    await this.context.disk.fdatasync(this.index.fd);
    this.sealed = true;
  }

  /** Puts another table of the same needles in place of this one, and frees this one. */
  replaceTable(table: IndexTable): void {
    const old = this.table;
    this.table = table;
    this.context.arena.publish(this.entry, table.place);
    old.free();
  }

  /** Takes over the files of a compaction, named already; held. */
  replaceFiles(state: VolumeState): void {
    this.closeFiles();
    this.cookie = state.cookie;
    this.tail = state.tail;
    this.fileBytes = state.tail;
    this.zeroedTo = state.tail;
    this.needles = state.needles;
    this.dataFd = state.dataFd;
    this.index = state.index;
    this.replaceTable(state.table);
  }

  /** Opens the files of a sealed volume for tombstones. Throws what `open` throws. */
  openFiles(): void {
    if (this.filesOpen) return;
    const { directory, disk } = this.context;
    const dataFd = disk.openSync(dataPath(directory, this.number), 'r+');
    try {
      const fd = disk.openSync(indexPath(directory, this.number), 'r+');
      this.index = new IndexFile(fd, this.index.end, this.cookie, disk);
    } catch (error) {
      disk.closeSync(dataFd);
      throw error;
    }
    this.dataFd = dataFd;
  }

  /** Whether `closeFiles` loses nothing. */
  get mayClose(): boolean {
    return (
      this.filesOpen && this.sealed && this.pins === 0 && this.idle && !this.indexSyncing && !this.index.incomplete
    );
  }

  closeFiles(): void {
    if (!this.filesOpen) return;
    this.context.disk.closeSync(this.dataFd);
    this.context.disk.closeSync(this.index.fd);
    this.dataFd = -1;
  }

  /** Data file, for who copies or lists needles on this thread. The files must be open. */
  get fd(): number {
    assert(this.filesOpen, `the files of volume ${this.number} are closed`);
    return this.dataFd;
  }

  /** Leaves files without space written ahead, synced; idle. */
  close(): void {
    if (!this.filesOpen) return;
    this.index.flush();
    if (this.fileBytes > this.tail) this.cutTail();
    this.context.disk.fsyncSync(this.dataFd);
    this.context.disk.fsyncSync(this.index.fd);
    this.closeFiles();
  }
}
