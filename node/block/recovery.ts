// What a volume holds, found out when it is opened: its index as far as it can be trusted, then the data file from
// there. Every needle that verifies is kept; nothing that an index line names is lost in silence. Afterwards data and
// index are synced and agree, and appending may go on behind the last needle. Reads and repairs files; decides nothing
// about tables.

import {
  dataFits,
  emptyIndexLine,
  emptyNeedleHeader,
  INDEX_LINE_BYTES,
  INDEX_LINE_WORDS,
  IndexKind,
  type IndexLine,
  NEEDLE_ALIGN,
  NEEDLE_HEADER_BYTES,
  NEEDLE_MAGIC,
  needleBytes,
  parseIndexLine,
  readIndexLine,
  readNeedleHeader,
  readSuperblock,
  SUPERBLOCK_BYTES,
  type Superblock,
  trailerFits,
  VOLUME_KEYS,
} from '../../proto/block/index.js';
import { DecodeError } from '../../proto/codec.js';
import { blobSequence, blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { type Disk, readUpTo, writeAllSync } from './disk.js';
import { dataPath, IndexFile, indexPath, UNFINISHED } from './files.js';

export interface RecoveredVolume {
  superblock: Superblock;
  dataFd: number;
  index: IndexFile;
  /** End of the last needle. */
  tail: number;
  sealed: boolean;
  nextSequence: number;
  /** Needles and tombstones. */
  needles: number;
  /** Calls with each needle and tombstone in the order of writing. The line is reused. */
  forEach(visit: (line: IndexLine) => void): void;
}

/** Lines of an index file, still as words. */
interface Lines {
  words: Int32Array;
  /** Trusted lines, the head included; 0 when there is no index for this data file. */
  trusted: number;
  total: number;
}

/**
 * Opens and repairs a volume. `warn` hears of damage. Throws DecodeError when the data file is no volume of this
 * version and number.
 */
export function recoverVolume(
  directory: string,
  volume: number,
  disk: Disk,
  warn: (message: string) => void,
): RecoveredVolume {
  const dataFd = disk.openSync(dataPath(directory, volume), 'r+');
  try {
    const superblock = openSuperblock(directory, dataFd, { volume, disk, warn });
    finishSwap(directory, superblock, disk);
    const dataBytes = disk.sizeSync(dataFd);
    const { lines, summary } = readIndex(indexPath(directory, volume), superblock, dataBytes, disk);
    return repair(directory, dataFd, { superblock, lines, summary, dataBytes }, { disk, warn });
  } catch (error) {
    disk.closeSync(dataFd);
    throw error;
  }
}

function openSuperblock(
  directory: string,
  dataFd: number,
  { volume, disk, warn }: { volume: number; disk: Disk; warn: (message: string) => void },
): Superblock {
  const head = Buffer.alloc(SUPERBLOCK_BYTES);
  const bytes = readUpTo(disk, dataFd, head, { length: SUPERBLOCK_BYTES, position: 0 });
  try {
    const superblock = readSuperblock(head.subarray(0, bytes));
    if (superblock.volume !== volume) throw new DecodeError(`the superblock is that of volume ${superblock.volume}`);
    return superblock;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // The head of the index knows all of it that the needles need.
    const cookie = cookieOfIndex(indexPath(directory, volume), volume, disk);
    if (cookie === null) throw new DecodeError(`${dataPath(directory, volume)}: ${error.message}`);
    warn(`${dataPath(directory, volume)}: ${error.message}; taken from its index. Copy the volume to a sound disk.`);
    return { volume, cookie, sealed: true, nextSequence: 0 };
  }
}

function cookieOfIndex(file: string, volume: number, disk: Disk): number | null {
  if (!disk.existsSync(file)) return null;
  const words = readWords(file, INDEX_LINE_BYTES, disk);
  const head = emptyIndexLine();
  if (words.length < INDEX_LINE_WORDS || !readIndexLine(words, 0, head, 0)) return null;
  return head.kind === IndexKind.HEAD && head.key === volume ? head.length : null;
}

/** A swap (GC) renames the data, then the index: with the first done and not the second, the second is due. */
function finishSwap(directory: string, superblock: Superblock, disk: Disk): void {
  const index = indexPath(directory, superblock.volume);
  const unfinished = index + UNFINISHED;
  if (!disk.existsSync(unfinished)) return;
  if (cookieOfIndex(unfinished, superblock.volume, disk) === superblock.cookie) {
    disk.renameSync(unfinished, index);
    disk.syncDirectorySync(directoryOf(index));
  }
  disk.removeSync(unfinished);
}

function directoryOf(file: string): string {
  return file.slice(0, file.lastIndexOf('/'));
}

function readWords(file: string, most: number, disk: Disk): Int32Array {
  const fd = disk.openSync(file, 'r');
  try {
    const bytes = Math.min(most, disk.sizeSync(fd));
    const words = new Int32Array(Math.floor(bytes / INDEX_LINE_BYTES) * INDEX_LINE_WORDS);
    readUpTo(disk, fd, Buffer.from(words.buffer), { length: words.byteLength, position: 0 });
    return words;
  } finally {
    disk.closeSync(fd);
  }
}

/** The index up to its first line that does not verify, or that the data file cannot hold; and what that tells. */
function readIndex(
  file: string,
  superblock: Superblock,
  dataBytes: number,
  disk: Disk,
): { lines: Lines; summary: Summary } {
  const words = disk.existsSync(file) ? readWords(file, Number.MAX_SAFE_INTEGER, disk) : new Int32Array(0);
  const total = words.length / INDEX_LINE_WORDS;
  const summary: Summary = {
    tail: SUPERBLOCK_BYTES,
    sealed: superblock.sealed,
    nextSequence: superblock.nextSequence,
    needles: 0,
  };
  const line = emptyIndexLine();
  let trusted = 0;
  for (; trusted < total; trusted++) {
    if (!readIndexLine(words, trusted * INDEX_LINE_WORDS, line, superblock.cookie)) break;
    if ((trusted === 0) !== (line.kind === IndexKind.HEAD)) break;
    if (trusted === 0) {
      if (line.key !== superblock.volume || line.length !== superblock.cookie) break;
      continue;
    }
    if (line.kind !== IndexKind.SEAL) {
      if (line.offset < summary.tail || line.offset + needleBytes(line.length) > dataBytes) break;
    }
    advance(summary, line);
  }
  return { lines: { words, trusted, total }, summary };
}

function repair(
  directory: string,
  dataFd: number,
  known: { superblock: Superblock; lines: Lines; summary: Summary; dataBytes: number },
  { disk, warn }: { disk: Disk; warn: (message: string) => void },
): RecoveredVolume {
  const { superblock, lines, summary, dataBytes } = known;
  const scanned = scanNeedles(disk, dataFd, { from: summary.tail, to: dataBytes }, superblock);
  writeLastAgain(disk, dataFd, scanned);
  const damaged = findDamaged(directory, lines, scanned, superblock, warn);
  const inside = damaged.filter(({ offset, length }) => offset + needleBytes(length) <= dataBytes);
  const found = [...scanned, ...inside].sort((a, b) => a.offset - b.offset);
  // What was given out and is lost is not given out again.
  if (inside.length < damaged.length) found.push(sealLine(summary, damaged));
  for (const line of found) advance(summary, line);
  // What lies behind the last needle is a torn tail, or the zeros written ahead: cut, so that nothing of it returns.
  if (dataBytes > summary.tail) disk.ftruncateSync(dataFd, summary.tail);
  disk.fsyncSync(dataFd);
  const index = repairIndex(indexPath(directory, superblock.volume), superblock, { lines, found }, disk);
  return {
    superblock,
    dataFd,
    index,
    ...summary,
    forEach: (visit) => {
      const line = emptyIndexLine();
      for (let at = 1; at < lines.trusted; at++) {
        parseIndexLine(lines.words, at * INDEX_LINE_WORDS, line);
        if (line.kind !== IndexKind.SEAL) visit(line);
      }
      for (const later of found) if (later.kind !== IndexKind.SEAL) visit(later);
    },
  };
}

/**
 * If the last life ended by a sync that failed, the cache shows a batch that the disk lacks, and counts it as clean: a
 * sync alone would keep nothing of it. A batch has no index lines before it is synced, so it is among what was scanned.
 */
function writeLastAgain(disk: Disk, dataFd: number, scanned: readonly IndexLine[]): void {
  const last = scanned.at(-1);
  if (last === undefined) return;
  const tail = last.offset + needleBytes(last.length);
  const buffer = Buffer.allocUnsafeSlow(needleBytes(limits.blockBytes));
  for (let at = scanned.length - 1; at >= 0 && tail - scanned[at]!.offset <= 2 * limits.appendBatchBytes; at--) {
    const { offset, length } = scanned[at]!;
    const bytes = readUpTo(disk, dataFd, buffer, { length: needleBytes(length), position: offset });
    writeAllSync(disk, dataFd, [buffer.subarray(0, bytes)], { bytes, position: offset });
  }
}

interface Summary {
  tail: number;
  sealed: boolean;
  nextSequence: number;
  needles: number;
}

function advance(summary: Summary, line: IndexLine): void {
  if (line.kind === IndexKind.SEAL) {
    summary.sealed = true;
    summary.nextSequence = Math.max(summary.nextSequence, line.key);
    return;
  }
  summary.needles++;
  summary.tail = Math.max(summary.tail, line.offset + needleBytes(line.length));
  summary.nextSequence = Math.max(summary.nextSequence, blobSequence(line.key) + 1);
}

/**
 * Lines behind the first bad one name needles that were synced: those that the scan did not find are damaged. They are
 * kept, so that what of them is sound is served, and what is not is called damaged and not deleted.
 */
function findDamaged(
  directory: string,
  lines: Lines,
  scanned: readonly IndexLine[],
  superblock: Superblock,
  warn: (message: string) => void,
): IndexLine[] {
  const found = new Set(scanned.map((line) => line.offset));
  const damaged: IndexLine[] = [];
  const line = emptyIndexLine();
  for (let at = Math.max(1, lines.trusted); at < lines.total; at++) {
    if (!readIndexLine(lines.words, at * INDEX_LINE_WORDS, line, superblock.cookie)) continue;
    if (line.kind !== IndexKind.NEEDLE && line.kind !== IndexKind.TOMBSTONE) continue;
    if (found.has(line.offset)) continue;
    const block = superblock.volume * VOLUME_KEYS + line.key;
    warn(`${dataPath(directory, superblock.volume)}: block ${block} at ${line.offset} is damaged or lost; restore it`);
    damaged.push({ ...line });
  }
  return damaged;
}

/** Ends a volume of which something is lost. */
function sealLine({ nextSequence }: Summary, lost: readonly IndexLine[]): IndexLine {
  const key = lost.reduce((next, line) => Math.max(next, blobSequence(line.key) + 1), nextSequence);
  return { ...emptyIndexLine(), kind: IndexKind.SEAL, key };
}

/** Leaves an index of exactly the trusted lines and those found, synced. */
function repairIndex(
  file: string,
  superblock: Superblock,
  { lines, found }: { lines: Lines; found: readonly IndexLine[] },
  disk: Disk,
): IndexFile {
  const fd = disk.openSync(file, disk.existsSync(file) ? 'r+' : 'w+');
  try {
    const keep = lines.trusted * INDEX_LINE_BYTES;
    const index = new IndexFile(fd, keep, superblock.cookie, disk);
    if (lines.trusted === 0) {
      index.add({
        ...emptyIndexLine(),
        kind: IndexKind.HEAD,
        blocks: 1,
        key: superblock.volume,
        length: superblock.cookie,
      });
    }
    for (const line of found) index.add(line);
    // Over what stood there, which is cut only now: a start that ends here must leave the lines that name what is damaged.
    if (index.flush() && disk.sizeSync(fd) > index.end) disk.ftruncateSync(fd, index.end);
    disk.fsyncSync(fd);
    index.unsynced = 0;
    return index;
  } catch (error) {
    disk.closeSync(fd);
    throw error;
  }
}

/**
 * Every needle in [from, to) of a data file that verifies with its data, going on behind what does not at the next
 * header that fits. Reads each byte once where all is sound.
 */
export function scanNeedles(
  disk: Disk,
  fd: number,
  { from, to }: { from: number; to: number },
  superblock: Superblock,
): IndexLine[] {
  const found: IndexLine[] = [];
  const window = new Window(disk, fd, to);
  const header = emptyNeedleHeader();
  let position = from;
  for (;;) {
    position = window.nextMagic(position);
    if (position < 0) return found;
    const buffer = window.at(position, NEEDLE_HEADER_BYTES);
    if (buffer === null) return found;
    const ours =
      readNeedleHeader(buffer, window.offset, header) &&
      header.cookie === superblock.cookie &&
      blockVolume(header.id) === superblock.volume;
    const bytes = ours ? needleBytes(header.length) : 0;
    if (ours && needleVerifies(window.at(position, bytes), window.offset, header.length)) {
      found.push({
        kind: header.tombstone ? IndexKind.TOMBSTONE : IndexKind.NEEDLE,
        blocks: header.blocks,
        key: header.id % VOLUME_KEYS,
        offset: position,
        length: header.length,
        session: header.session,
      });
      position += bytes;
    } else position += NEEDLE_ALIGN;
  }
}

/** Whether the whole needle at `buffer[at]` fits its checksums. */
export function needleVerifies(buffer: Buffer | null, at: number, length: number): boolean {
  if (buffer === null) return false;
  const data = at + NEEDLE_HEADER_BYTES;
  if (!trailerFits(buffer, at, buffer, data + length)) return false;
  return length === 0 || dataFits(buffer.subarray(data, data + length), 0, buffer, data + length);
}

/** A part of a file in memory, moved forward as it is asked for. */
class Window {
  private readonly buffer = Buffer.allocUnsafeSlow(2 * needleBytes(limits.blockBytes));
  private start = 0;
  private bytes = 0;
  /** Where in the buffer the position of the last `at` lies. */
  offset = 0;

  constructor(
    private readonly disk: Disk,
    private readonly fd: number,
    private readonly end: number,
  ) {}

  /** A buffer with `length` bytes from `position` of the file at `offset`; null where the file ends before. */
  at(position: number, length: number): Buffer | null {
    if (position + length > this.end) return null;
    const inside = position >= this.start && position + length <= this.start + this.bytes;
    if (!inside) {
      this.start = position;
      const wanted = Math.min(this.buffer.length, this.end - position);
      this.bytes = readUpTo(this.disk, this.fd, this.buffer, { length: wanted, position });
      if (this.bytes < length) return null;
    }
    this.offset = position - this.start;
    return this.buffer.subarray(0, this.bytes);
  }

  /** The first aligned place from `position` on where a needle may begin; -1 when there is none. */
  nextMagic(position: number): number {
    let from = position;
    for (;;) {
      const buffer = this.at(from, NEEDLE_HEADER_BYTES);
      if (buffer === null) return -1;
      for (let at = this.offset; at + 4 <= buffer.length; at += NEEDLE_ALIGN) {
        if (buffer[at] === (NEEDLE_MAGIC & 0xff) && buffer.readUInt32LE(at) === NEEDLE_MAGIC) {
          return this.start + at;
        }
      }
      from = this.start + buffer.length - (buffer.length % NEEDLE_ALIGN);
      if (from + NEEDLE_HEADER_BYTES > this.end) return -1;
    }
  }
}
