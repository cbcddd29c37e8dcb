// The volumes of one block thread: which take new blobs, which are sealed, which are compacted. Numbers of volumes are
// those that are `thread` modulo `threads`, and are never used twice, not even when the number of threads changes: a new
// one is above every number found at the start, and the highest volume is never dropped.

import assert from 'node:assert';
import path from 'node:path';
import { INDEX_LINE_BYTES, IndexKind, needleBytes, SUPERBLOCK_BYTES } from '../../proto/block/index.js';
import { DecodeError } from '../../proto/codec.js';
import { BLOB_BLOCKS, BLOB_SEQUENCE_MAX, blobSequence, blockVolume, makeBlob, VOLUME_MAX } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { Reserve } from '../disk/index.js';
import { type CompactionContext, compactVolume, dropVolume, holePercent, sealVolume } from './compaction.js';
import {
  blocksDirectory,
  createVolumeFiles,
  dataPath,
  IndexFile,
  indexPath,
  listVolumes,
  nameVolumeFiles,
  UNFINISHED,
} from './files.js';
import { IndexTable } from './index-table.js';
import { type RecoveredVolume, recoverVolume } from './recovery.js';
import { type Append, Volume } from './volume.js';

export interface StoreOptions extends Omit<CompactionContext, 'noSpace' | 'freeReserve' | 'space' | 'stopping'> {
  readonly thread: number;
  readonly threads: number;
}

/** A block to append; `BlockStore.write` decides where. */
export interface BlockWrite extends Append {
  key: number;
  /** The blob that it begins or continues; 0 for a new one, until `write` gave it an id. */
  blob: number;
  readonly data: Buffer;
}

export class BlockStore {
  readonly volumes = new Map<number, Volume>();
  private open: Volume[] = [];
  private readonly sealedOpen = new Set<Volume>();
  private highest = 0;
  private readonly context: CompactionContext;
  private readonly reserve: Reserve;
  private full = false;
  private noSpaceUntilUs = 0;
  private makingRoom = false;
  private readonly sealing = new Set<Promise<void>>();
  private compacting: Promise<void> | null = null;
  private endTimer: (() => void) | null = null;
  private closing = false;
  private failed = false;

  constructor(private readonly options: StoreOptions) {
    assert(options.volumeBytes <= limits.volumeBytes && options.volumeNeedles <= limits.volumeNeedles);
    assert(options.volumeBytes >= needleBytes(limits.blockBytes) + SUPERBLOCK_BYTES, 'a volume holds a block');
    assert(options.thread >= 0 && options.thread < options.threads && options.threads <= limits.threads);
    this.reserve = new Reserve(
      path.join(blocksDirectory(options.directory), `reserve-${options.thread}`),
      limits.blockReserveBytes,
      options.disk,
    );
    this.context = {
      ...options,
      fatal: (error) => {
        this.failed = true;
        options.fatal(error);
      },
      noSpace: () => this.refuseAppends(),
      space: () => {
        if (this.reserve.stands) this.full = false;
      },
      freeReserve: () => this.reserve.giveUp(),
      stopping: () => this.closing,
    };
  }

  /** Opens every volume of this thread and repairs what a crash left. */
  recover(): void {
    const { directory, thread, threads } = this.options;
    for (const { volume, data, index } of listVolumes(directory, this.options.disk)) {
      this.highest = Math.max(this.highest, volume);
      if (volume % threads !== thread) continue;
      if (data) this.recoverOne(volume);
      else if (index) this.lose(volume, `${dataPath(directory, volume)} is missing, its index is not; restore it`);
    }
    // What the last life named or removed may be known to the cache alone, and is built on from now on.
    this.options.disk.syncDirectorySync(blocksDirectory(directory));
    this.reserve.ensure();
    this.endTimer = this.options.clock.every(limits.compactIntervalMs, () => this.compactWorst());
  }

  private recoverOne(number: number): void {
    const { directory, disk, arena, warn } = this.context;
    let found: RecoveredVolume;
    try {
      found = recoverVolume(directory, number, disk, warn);
      disk.removeSync(dataPath(directory, number) + UNFINISHED);
    } catch (error) {
      // A sync that fails is no damage of the volume: nothing may be built on what it should have kept.
      const { code, syscall } = error as NodeJS.ErrnoException;
      const unreadable = error instanceof DecodeError || (code === 'EIO' && syscall === 'read');
      if (!unreadable) throw error;
      this.lose(number, `volume ${number} is not served: ${(error as Error).message}`);
      return;
    }
    const sealed = found.sealed || found.needles >= this.context.volumeNeedles;
    const cookie = found.superblock.cookie;
    const table = IndexTable.make(
      arena,
      sealed ? found.needles : this.context.volumeNeedles,
      cookie,
      sealed ? 'exact' : 'growing',
    );
    const volume = new Volume(this.context, { ...found, sealed, number, cookie, table }, arena.claim(number));
    found.forEach((line) => {
      if (line.kind === IndexKind.TOMBSTONE) volume.applyTombstone(line.key, line.blocks);
      // One that stands already is an image of it in the torn data of another: who keeps volumes in themselves writes such.
      else volume.load(line);
    });
    arena.publish(volume.entry, table.place);
    this.volumes.set(number, volume);
    if (!sealed) this.open.push(volume);
    else if (volume.mayClose) volume.closeFiles();
    else this.sealedOpen.add(volume);
  }

  private lose(volume: number, message: string): void {
    this.context.warn(message);
    this.context.arena.lose(volume);
  }

  /**
   * Queues a block. OK: `write.finish` will be called, and `write.blob` and `write.key` are set. Anything else: it was
   * refused, nothing will be called.
   */
  write(write: BlockWrite, index: number): Status {
    if (this.full && !this.retrySpace()) return Status.NOSPC;
    if (write.blob === 0) return this.begin(write);
    const volume = this.volumes.get(blockVolume(write.blob));
    if (volume === undefined || blobSequence(write.blob) >= volume.nextSequence) return Status.NOENT;
    write.key = blobSequence(write.blob) * BLOB_BLOCKS + index;
    if (volume.isPending(write.key)) return Status.BUSY;
    const slot = volume.table.find(write.key);
    if (slot !== -1) return slot === -2 ? Status.NOENT : Status.EXIST;
    if (volume.sealed || volume.sealing) return Status.SEALED;
    if (!volume.fits(write.data.length)) {
      this.seal(volume);
      return Status.SEALED;
    }
    volume.append(write);
    return Status.OK;
  }

  private begin(write: BlockWrite): Status {
    const volume = this.choose(write.data.length);
    if (volume === null) return Status.NOSPC;
    const sequence = volume.nextSequence++;
    write.blob = makeBlob(volume.number, sequence);
    write.key = sequence * BLOB_BLOCKS;
    volume.append(write);
    return Status.OK;
  }

  /** The open volume with the least to write, a new one where all are full. */
  private choose(length: number): Volume | null {
    let best: Volume | null = null;
    for (const volume of this.open) {
      if (!volume.fits(length) || volume.nextSequence > BLOB_SEQUENCE_MAX) this.seal(volume);
      else if (best === null || volume.queuedBytes < best.queuedBytes) best = volume;
    }
    // A second volume only while the first has a large batch on its way: many small ones share their fdatasyncs.
    const busy = best !== null && best.queuedBytes >= limits.appendSyncBytes;
    if (best !== null && (!busy || this.open.length >= limits.openVolumesPerThread)) return best;
    return this.create() ?? best;
  }

  private create(): Volume | null {
    const { directory, arena, disk } = this.context;
    const { thread, threads } = this.options;
    const above = this.highest + 1;
    const number = above + ((thread - (above % threads) + threads) % threads);
    if (number > VOLUME_MAX) return null;
    const cookie = this.context.newCookie();
    let table: IndexTable | null = null;
    try {
      table = IndexTable.make(arena, this.context.volumeNeedles, cookie, 'growing');
      const superblock = { volume: number, cookie, sealed: false, nextSequence: 0 };
      const { dataFd, indexFd } = createVolumeFiles(directory, superblock, disk);
      nameVolumeFiles(directory, number, disk);
      const index = new IndexFile(indexFd, INDEX_LINE_BYTES, cookie, disk);
      const state = { number, cookie, sealed: false, tail: SUPERBLOCK_BYTES, nextSequence: 0, needles: 0 };
      const volume = new Volume(this.context, { ...state, dataFd, index, table }, arena.claim(number));
      arena.publish(volume.entry, table.place);
      this.highest = number;
      this.volumes.set(number, volume);
      this.open.push(volume);
      return volume;
    } catch (error) {
      table?.free();
      this.refuseVolume(number, error as Error);
      return null;
    }
  }

  private refuseVolume(number: number, error: Error): void {
    const { directory, disk } = this.context;
    const code = (error as NodeJS.ErrnoException).code;
    const full = code === 'ENOSPC' || code === 'EDQUOT' || (error instanceof OfsError && error.status === Status.NOSPC);
    if (!full) {
      this.context.fatal(error);
      return;
    }
    disk.removeSync(dataPath(directory, number) + UNFINISHED);
    disk.removeSync(indexPath(directory, number) + UNFINISHED);
    this.context.noSpace();
  }

  private refuseAppends(): void {
    if (!this.full) this.context.warn('no space for blocks: appends are refused until there is');
    this.full = true;
    this.noSpaceUntilUs = this.context.clock.nowUs() + limits.noSpaceRetryMs * 1000;
  }

  /** Whether it is time to try an append again. */
  private retrySpace(): boolean {
    if (this.makingRoom || this.context.clock.nowUs() < this.noSpaceUntilUs) return false;
    this.noSpaceUntilUs = this.context.clock.nowUs() + limits.noSpaceRetryMs * 1000;
    return this.reserve.ensure();
  }

  private seal(volume: Volume): void {
    this.open = this.open.filter((other) => other !== volume);
    if (volume.sealing || volume.sealed) return;
    const sealing = this.sealOne(volume);
    this.sealing.add(sealing);
    sealing.then(
      () => this.sealing.delete(sealing),
      (error: Error) => this.context.fatal(error),
    );
  }

  private async sealOne(volume: Volume): Promise<void> {
    volume.pins++;
    try {
      await sealVolume(volume, this.context);
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      this.context.warn(`volume ${volume.number} keeps its growing table: ${error.message}`);
    } finally {
      volume.deleted = null;
      volume.pins--;
      this.keepOpen(volume);
    }
  }

  /**
   * Deletes blocks 0 to `blocks` of a blob. Returns false, and does nothing, when none of them lives; otherwise
   * `tombstone.finish` is called when it is on disk. Throws what opening a file throws.
   */
  delete(blob: number, blocks: number, tombstone: Append): boolean {
    const volume = this.volumes.get(blockVolume(blob));
    if (volume === undefined) return false;
    let lives = false;
    for (let index = 0; index < blocks && !lives; index++) lives = volume.table.find(tombstone.key + index) >= 0;
    if (!lives) return false;
    this.openForTombstone(volume);
    volume.append(tombstone);
    return true;
  }

  private openForTombstone(volume: Volume): void {
    if (volume.filesOpen) return;
    volume.openFiles();
    this.keepOpen(volume);
  }

  /** A sealed volume's files are open: those longest open are closed when there are too many. */
  private keepOpen(volume: Volume): void {
    this.sealedOpen.add(volume);
    for (const other of this.sealedOpen) {
      if (this.sealedOpen.size <= limits.volumeFilesPerThread) break;
      if (other === volume) continue;
      if (other.mayClose) other.closeFiles();
      if (!other.filesOpen) this.sealedOpen.delete(other);
    }
  }

  /** Compacts volumes with more holes than that, worst first; one that still grows is sealed for it. */
  async compact(percent: number): Promise<{ freedBytes: number; volumes: number }> {
    while (this.compacting !== null) await this.compacting;
    const work = this.compactAll(percent);
    this.compacting = this.settled(work);
    return work;
  }

  private async settled(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.context.warn(`compaction ended early: ${(error as Error).message}`);
    } finally {
      this.compacting = null;
    }
  }

  /** Growing volumes that may be sealed to give back their holes. */
  private holed(percent: number, holeBytes: number): Volume[] {
    return this.open.filter(
      (volume) => holePercent(volume) > percent && volume.tail - volume.liveBytes >= holeBytes && !volume.sealing,
    );
  }

  private async compactAll(percent: number): Promise<{ freedBytes: number; volumes: number }> {
    const result = { freedBytes: 0, volumes: 0 };
    // One that waited for another may find the store closing: its volumes are being closed.
    if (this.closing) return result;
    for (const volume of this.holed(percent, limits.compactOpenHoleBytes)) this.seal(volume);
    await Promise.all(this.sealing);
    for (const volume of this.candidates(percent)) {
      if (this.closing) break;
      const freed = await this.compactOne(volume);
      result.freedBytes += freed;
      if (freed > 0) result.volumes++;
    }
    return result;
  }

  private candidates(percent: number): Volume[] {
    return [...this.volumes.values()]
      .filter((volume) => volume.sealed && volume.pins === 0 && !volume.damaged && holePercent(volume) > percent)
      .sort((a, b) => holePercent(b) - holePercent(a));
  }

  private async compactOne(volume: Volume): Promise<number> {
    if (volume.liveNeedles > 0 || volume.number === this.highest) {
      this.keepOpen(volume);
      return compactVolume(volume, this.context);
    }
    await volume.hold();
    this.volumes.delete(volume.number);
    this.sealedOpen.delete(volume);
    try {
      dropVolume(volume, this.context);
    } catch (error) {
      // Half of its files may be gone, and who waits for it is not answered.
      this.context.fatal(error as Error);
      throw error;
    }
    return volume.tail;
  }

  private compactWorst(): void {
    if (this.compacting !== null || this.closing) return;
    const worst = this.candidates(limits.compactHolePercent)[0];
    if (this.full) this.compacting = this.settled(this.makeRoom());
    else if (worst !== undefined) this.compacting = this.settled(this.compactOne(worst));
  }

  /**
   * On a full disk deletions must give space back by themselves: volumes that grow are sealed for it too, the reserve
   * is lent to the copy, the volume that needs the least of it comes first, and appends wait until it is done.
   */
  private async makeRoom(): Promise<void> {
    const percent = limits.compactHolePercent;
    const holed = this.holed(percent, limits.blockBytes);
    if (holed.length === 0 && this.candidates(percent).length === 0) return;
    this.makingRoom = true;
    try {
      this.reserve.giveUp();
      for (const volume of holed) this.seal(volume);
      await Promise.all(this.sealing);
      const [least] = this.candidates(percent).sort((a, b) => a.liveBytes - b.liveBytes);
      if (least !== undefined && !this.closing) await this.compactOne(least);
    } finally {
      this.makingRoom = false;
    }
  }

  /** Bytes of the file system below the directory. */
  space(): { freeBytes: number; totalBytes: number } {
    return this.context.disk.spaceSync(this.options.directory);
  }

  /** Answers what is queued, ends a compaction at its next volume, closes all files synced. */
  async close(): Promise<void> {
    this.closing = true;
    this.endTimer?.();
    if (this.failed) return;
    if (this.compacting !== null) await this.compacting;
    await Promise.all(this.sealing);
    for (const volume of this.volumes.values()) {
      await volume.drain();
      volume.close();
    }
  }
}
