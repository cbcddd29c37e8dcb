// Giving back the holes of deleted needles. A sealed volume's living needles are copied into a new pair of files while
// the old pair serves reads and takes tombstones; then, for a moment in which the volume's writer is held, what was
// deleted meanwhile is entered, the new pair renamed over the old and the table published. A crash at any point leaves
// the old pair or the new one. A volume in which damage is found is left as it is, so that it can be repaired.

import {
  emptyNeedleHeader,
  INDEX_LINE_BYTES,
  IndexKind,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  readNeedleHeader,
  SUPERBLOCK_BYTES,
  trailerBytes,
  VOLUME_KEYS,
  writeNeedleFrame,
} from '../../proto/block/index.js';
import { crc32c } from '../../proto/crc32c.js';
import { blobSequence } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { readUpToAsync, sleep, turn, writeAll, writeAllSync } from './disk.js';
import {
  blocksDirectory,
  createVolumeFiles,
  dataPath,
  IndexFile,
  indexPath,
  nameVolumeFiles,
  UNFINISHED,
} from './files.js';
import { IndexTable } from './index-table.js';
import { needleVerifies } from './recovery.js';
import type { Volume, VolumeContext } from './volume.js';

/** Slots copied between two turns of the event loop. */
const SLOTS_PER_TURN = 16_384;

export interface CompactionContext extends VolumeContext {
  /** Bytes per second; Infinity for no limit. */
  readonly compactBytesPerSecond: number;
  /** Of 32 bits, never foreseen: what another file left on the disk must not verify. */
  newCookie(): number;
  /** Whether the store is closing, so that a compaction ends before it is done. */
  stopping(): boolean;
  /** Told of each step, for tests that stop there. */
  step(name: string): void;
}

/** Ends the growth of a volume: the seal is recorded and its table rebuilt to its exact size. */
export async function sealVolume(volume: Volume, context: CompactionContext): Promise<void> {
  volume.sealing = true;
  await volume.drainNeedles();
  await volume.hold();
  if (volume.sealed) {
    volume.release();
    return;
  }
  context.step('seal');
  await volume.sealFiles();
  const deleted: number[] = [];
  volume.deleted = deleted;
  volume.release();
  const table = await copyTable(volume, context);
  for (const key of deleted) kill(table, key);
  volume.deleted = null;
  volume.replaceTable(table);
}

async function copyTable(volume: Volume, context: CompactionContext): Promise<IndexTable> {
  const old = volume.table;
  const table = IndexTable.make(context.arena, volume.liveNeedles, volume.cookie, 'exact');
  for (let from = 0; from < old.capacity; from += SLOTS_PER_TURN) {
    old.forEachLive(from, SLOTS_PER_TURN, (at) => table.insert(old.key(at), facts(old, at, old.offset(at))));
    await turn(context.clock);
  }
  return table;
}

function facts(table: IndexTable, at: number, offset: number) {
  return { offset, length: table.length(at), session: table.session(at), stamp: table.stamp(at) };
}

function kill(table: IndexTable, key: number): void {
  const at = table.find(key);
  if (at >= 0) table.markDead(at);
}

/** Share of a volume's file that living needles do not use, in percent. */
export function holePercent(volume: Volume): number {
  const used = volume.liveBytes + volume.liveNeedles * needleBytes(0) + SUPERBLOCK_BYTES;
  return volume.tail <= SUPERBLOCK_BYTES ? 0 : Math.max(0, 100 * (1 - used / volume.tail));
}

/** The new pair of files as it grows. */
interface Copy {
  cookie: number;
  dataFd: number;
  index: IndexFile;
  table: IndexTable;
  tail: number;
  needles: number;
}

/** Compacts a sealed volume; answers the bytes freed, 0 when it was found damaged or ended early. Throws where the disk fails. */
export async function compactVolume(volume: Volume, context: CompactionContext): Promise<number> {
  volume.pins++;
  const deleted: number[] = [];
  let copy: Copy | null = null;
  let swapping = false;
  try {
    volume.openFiles();
    volume.deleted = deleted;
    copy = beginCopy(volume, context);
    if (!(await copyNeedles(volume, copy, context))) return 0;
    context.step('copied');
    await context.disk.fdatasync(copy.index.fd);
    await volume.hold();
    try {
      await finishCopy(volume, copy, deleted, context);
      swapping = true;
      const before = volume.tail;
      swap(volume, copy, context);
      copy = null;
      return before - volume.tail;
    } finally {
      volume.release();
    }
  } catch (error) {
    if (swapping) context.fatal(error as Error);
    throw error;
  } finally {
    volume.deleted = null;
    volume.pins--;
    if (copy !== null && !swapping) discard(volume, copy, context);
  }
}

function beginCopy(volume: Volume, context: CompactionContext): Copy {
  const cookie = context.newCookie();
  const table = IndexTable.make(context.arena, volume.liveNeedles, cookie, 'exact');
  const superblock = { volume: volume.number, cookie, sealed: true, nextSequence: volume.nextSequence };
  try {
    const { dataFd, indexFd } = createVolumeFiles(context.directory, superblock, context.disk);
    const index = new IndexFile(indexFd, INDEX_LINE_BYTES, cookie, context.disk);
    context.step('created');
    return { cookie, dataFd, index, table, tail: SUPERBLOCK_BYTES, needles: 0 };
  } catch (error) {
    table.free();
    throw error;
  }
}

function discard(volume: Volume, copy: Copy, context: CompactionContext): void {
  context.disk.closeSync(copy.dataFd);
  context.disk.closeSync(copy.index.fd);
  copy.table.free();
  context.disk.removeSync(dataPath(context.directory, volume.number) + UNFINISHED);
  context.disk.removeSync(indexPath(context.directory, volume.number) + UNFINISHED);
}

/** Offsets of the living needles in order; read again from their headers, so a number each is all that is kept. */
async function livingOffsets(volume: Volume, context: CompactionContext): Promise<Float64Array> {
  const table = volume.table;
  const offsets = new Float64Array(volume.liveNeedles);
  let count = 0;
  for (let from = 0; from < table.capacity; from += SLOTS_PER_TURN) {
    table.forEachLive(from, SLOTS_PER_TURN, (at) => {
      offsets[count++] = table.offset(at);
    });
    await turn(context.clock);
  }
  return offsets.subarray(0, count).sort();
}

/** Copies, throttled, what lived when it began; false when it ended before that. */
async function copyNeedles(volume: Volume, copy: Copy, context: CompactionContext): Promise<boolean> {
  const offsets = await livingOffsets(volume, context);
  const window = Buffer.allocUnsafeSlow(limits.compactStepBytes + needleBytes(limits.blockBytes));
  let next = 0;
  while (next < offsets.length) {
    if (context.stopping()) return false;
    const startedUs = context.clock.nowUs();
    const start = offsets[next]!;
    const length = Math.min(window.length, volume.tail - start);
    const bytes = await readUpToAsync(context.disk, volume.fd, window, { length, position: start });
    const step = moveWindow(volume, copy, { window: window.subarray(0, bytes), start, offsets, next });
    if (step === null) {
      volume.damaged = true;
      context.warn(
        `volume ${volume.number} has a damaged needle near ${start}; it is not compacted. Restore the block.`,
      );
      return false;
    }
    await writeAll(context.disk, copy.dataFd, step.buffers, { bytes: step.bytes, position: copy.tail });
    await context.disk.fdatasync(copy.dataFd);
    copy.tail += step.bytes;
    copy.index.flush();
    next = step.next;
    context.step('copying');
    const dueMs = (1000 * (bytes + step.bytes)) / context.compactBytesPerSecond;
    const restMs = dueMs - (context.clock.nowUs() - startedUs) / 1000;
    if (restMs >= 1 && next < offsets.length) await sleep(context.clock, restMs);
  }
  return true;
}

interface WindowOfNeedles {
  window: Buffer;
  /** Of the window, in the old file. */
  start: number;
  offsets: Float64Array;
  /** The first needle that is not copied. */
  next: number;
}

/** Gives the needles that lie wholly in the window the new file's cookie and places; null when one does not verify. */
function moveWindow(volume: Volume, copy: Copy, from: WindowOfNeedles) {
  const { window, start, offsets } = from;
  const header = emptyNeedleHeader();
  const buffers: Buffer[] = [];
  let next = from.next;
  let bytes = 0;
  for (; next < offsets.length; next++) {
    const at = offsets[next]! - start;
    if (at + NEEDLE_HEADER_BYTES > window.length) break;
    if (!readNeedleHeader(window, at, header) || header.cookie !== volume.cookie) return null;
    const length = needleBytes(header.length);
    if (at + length > window.length) break;
    const key = header.id % VOLUME_KEYS;
    const slot = volume.table.find(key);
    if (slot === -2) continue;
    const ours =
      slot >= 0 && volume.table.offset(slot) === offsets[next] && volume.table.length(slot) === header.length;
    if (!ours || !needleVerifies(window, at, header.length)) return null;
    recook(window, at, header.length, copy.cookie);
    const offset = copy.tail + bytes;
    copy.table.insert(key, facts(volume.table, slot, offset));
    copy.index.add({ kind: IndexKind.NEEDLE, blocks: 0, key, offset, length: header.length, session: header.session });
    copy.needles++;
    buffers.push(window.subarray(at, at + length));
    bytes += length;
  }
  // The window holds at least one whole needle, so no progress means that the file ends inside one.
  return next === from.next ? null : { buffers, bytes, next };
}

/** Writes another cookie into a needle, and the CRC of its header that follows from it. */
function recook(buffer: Buffer, at: number, length: number, cookie: number): void {
  buffer.writeUInt32LE(cookie, at + 16);
  const trailer = at + NEEDLE_HEADER_BYTES + length;
  const checksums = buffer.subarray(trailer, trailer + Math.ceil(length / limits.checksumPieceBytes) * 4);
  const crc = crc32c(buffer.subarray(at, at + NEEDLE_HEADER_BYTES), checksums);
  buffer.writeUInt32LE(crc, trailer + checksums.length);
}

/**
 * Marks keys dead that were deleted meanwhile, and answers them as what tombstones delete: with no more tombstones than
 * there were, so that a copy is never larger than what it is of.
 */
function killRuns(table: IndexTable, deleted: readonly number[]): { key: number; blocks: number }[] {
  const runs: { key: number; blocks: number }[] = [];
  for (const key of deleted) {
    const at = table.find(key);
    if (at < 0) continue;
    table.markDead(at);
    const last = runs.at(-1);
    const next = last !== undefined && key > last.key && blobSequence(key) === blobSequence(last.key);
    if (next && !livesBetween(table, last.key + last.blocks, key)) last.blocks = key + 1 - last.key;
    else runs.push({ key, blocks: 1 });
  }
  return runs;
}

function livesBetween(table: IndexTable, from: number, to: number): boolean {
  for (let key = from; key < to; key++) if (table.find(key) >= 0) return true;
  return false;
}

/** Enters what was deleted since the copy began, and syncs both files. The volume is held. */
async function finishCopy(
  volume: Volume,
  copy: Copy,
  deleted: readonly number[],
  context: CompactionContext,
): Promise<void> {
  copy.index.add({ kind: IndexKind.SEAL, blocks: 0, key: volume.nextSequence, offset: 0, length: 0, session: 0 });
  const runs = killRuns(copy.table, deleted);
  const each = NEEDLE_HEADER_BYTES + trailerBytes(0);
  const tombstones = Buffer.alloc(runs.length * each);
  let bytes = 0;
  for (const { key, blocks } of runs) {
    const id = volume.number * VOLUME_KEYS + key;
    const header = { tombstone: true, blocks, id, cookie: copy.cookie, length: 0, session: 0 };
    writeNeedleFrame(tombstones, bytes, header, []);
    copy.index.add({ kind: IndexKind.TOMBSTONE, blocks, key, offset: copy.tail + bytes, length: 0, session: 0 });
    copy.needles++;
    bytes += each;
  }
  if (bytes > 0) {
    writeAllSync(context.disk, copy.dataFd, [tombstones.subarray(0, bytes)], { bytes, position: copy.tail });
  }
  copy.tail += bytes;
  await context.disk.fdatasync(copy.dataFd);
  copy.index.flush();
  copy.index.unsynced = 0;
  await context.disk.fdatasync(copy.index.fd);
  context.step('synced');
}

/** Puts the new pair in place of the old, for this thread, for readers and for good. The volume is held. */
function swap(volume: Volume, copy: Copy, context: CompactionContext): void {
  context.arena.change(volume.entry);
  nameVolumeFiles(context.directory, volume.number, context.disk, () => context.step('renamed'));
  volume.replaceFiles({ ...copy, number: volume.number, sealed: true, nextSequence: volume.nextSequence });
  context.step('swapped');
}

/** Removes a sealed volume in which nothing lives; held. Its number is never used again. */
export function dropVolume(volume: Volume, context: CompactionContext): void {
  context.arena.drop(volume.entry);
  volume.table.free();
  volume.closeFiles();
  // An index without data would tell of a loss; data without index is read, and found to hold nothing.
  context.disk.removeSync(indexPath(context.directory, volume.number));
  context.disk.syncDirectorySync(blocksDirectory(context.directory));
  context.step('dropping');
  context.disk.removeSync(dataPath(context.directory, volume.number));
  context.disk.syncDirectorySync(blocksDirectory(context.directory));
  volume.abandon();
}
