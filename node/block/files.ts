// The files of a volume and how they are named, made, written and synced. A file gets its name only when what it holds
// is on disk. Leaves errors to the caller, except that an index may wait for space.

import path from 'node:path';
import {
  headLine,
  INDEX_LINE_BYTES,
  INDEX_LINE_WORDS,
  type IndexLine,
  SUPERBLOCK_BYTES,
  type Superblock,
  writeIndexLine,
  writeSuperblock,
} from '../../proto/block/index.js';
import { limits } from '../../proto/limits.js';
import { isNoSpace } from '../disk/index.js';
import { type Disk, writeAllSync } from './disk.js';

const DATA = '.needles';
const INDEX = '.index';
/** A file that is being made, or was when the process ended. */
export const UNFINISHED = '.new';

export function blocksDirectory(directory: string): string {
  return path.join(directory, 'blocks');
}

function name(volume: number): string {
  return volume.toString(16).padStart(8, '0');
}

export function dataPath(directory: string, volume: number): string {
  return path.join(blocksDirectory(directory), name(volume) + DATA);
}

export function indexPath(directory: string, volume: number): string {
  return path.join(blocksDirectory(directory), name(volume) + INDEX);
}

/** Makes the directory of volumes, and answers the numbers of all that have a file in it. */
export function listVolumes(directory: string, disk: Disk): { volume: number; data: boolean; index: boolean }[] {
  const blocks = blocksDirectory(directory);
  if (disk.makeDirectorySync(blocks)) disk.syncDirectorySync(directory);
  const found = new Map<number, { volume: number; data: boolean; index: boolean }>();
  for (const file of disk.listSync(blocks)) {
    const match = /^([0-9a-f]{8})\.(needles|index)$/.exec(file);
    if (match === null) continue;
    const volume = Number.parseInt(match[1]!, 16);
    const entry = found.get(volume) ?? { volume, data: false, index: false };
    entry[match[2] === 'needles' ? 'data' : 'index'] = true;
    found.set(volume, entry);
  }
  return [...found.values()].sort((a, b) => a.volume - b.volume);
}

/** Makes both files of a volume under their unfinished names, synced; open for reading and writing. Or none. */
export function createVolumeFiles(
  directory: string,
  superblock: Superblock,
  disk: Disk,
): { dataFd: number; indexFd: number } {
  const head = Buffer.alloc(SUPERBLOCK_BYTES);
  writeSuperblock(head, superblock);
  const words = new Int32Array(INDEX_LINE_WORDS);
  writeIndexLine(words, 0, headLine(superblock.volume, superblock.cookie), superblock.cookie);
  const index = indexPath(directory, superblock.volume) + UNFINISHED;
  const indexFd = createFile(index, new Uint8Array(words.buffer), disk);
  try {
    return { dataFd: createFile(dataPath(directory, superblock.volume) + UNFINISHED, head, disk), indexFd };
  } catch (error) {
    disk.closeSync(indexFd);
    disk.removeSync(index);
    throw error;
  }
}

/**
 * Gives new files their names for good: the data's first, and on the disk, since an index without data would tell of a
 * loss.
 */
export function nameVolumeFiles(directory: string, volume: number, disk: Disk, renamed = (): void => {}): void {
  disk.renameSync(dataPath(directory, volume) + UNFINISHED, dataPath(directory, volume));
  renamed();
  disk.syncDirectorySync(blocksDirectory(directory));
  disk.renameSync(indexPath(directory, volume) + UNFINISHED, indexPath(directory, volume));
  renamed();
  disk.syncDirectorySync(blocksDirectory(directory));
}

function createFile(file: string, content: Uint8Array, disk: Disk): number {
  const fd = disk.openSync(file, 'w+');
  try {
    writeAllSync(disk, fd, [content], { bytes: content.length, position: 0 });
    disk.fsyncSync(fd);
  } catch (error) {
    disk.closeSync(fd);
    disk.removeSync(file);
    throw error;
  }
  return fd;
}

/** The index file of a volume: lines appended at `tail`, and those that found no space yet. */
export class IndexFile {
  private words = new Int32Array(64 * INDEX_LINE_WORDS);
  private bytes = Buffer.from(this.words.buffer);
  private lines = 0;
  private behind = false;
  /** Lines written since the file was last synced. */
  unsynced = 0;

  constructor(
    readonly fd: number,
    private tail: number,
    private readonly cookie: number,
    private readonly disk: Disk,
  ) {}

  /** Where the next line goes. */
  get end(): number {
    return this.tail;
  }

  /** Adds a line, of what is on disk already, for `flush`. */
  add(line: IndexLine): void {
    if (this.behind) return;
    if (this.lines >= limits.indexBacklogLines && !this.flush()) {
      // The disk is full for so long that the lines are given up: a start finds their needles by reading the data.
      this.behind = true;
      this.lines = 0;
      return;
    }
    if ((this.lines + 1) * INDEX_LINE_WORDS > this.words.length) {
      const grown = new Int32Array(this.words.length * 2);
      grown.set(this.words);
      this.words = grown;
      this.bytes = Buffer.from(grown.buffer);
    }
    writeIndexLine(this.words, this.lines * INDEX_LINE_WORDS, line, this.cookie);
    this.lines++;
  }

  /** Whether lines are missing in the file: then only this object knows where the next belongs. */
  get incomplete(): boolean {
    return this.behind || this.lines > 0;
  }

  /** Writes the lines added. Without space they are kept, and written with the next; false then. */
  flush(): boolean {
    const bytes = this.lines * INDEX_LINE_BYTES;
    let done = 0;
    try {
      while (done < bytes) {
        done += this.disk.writeSync(this.fd, this.bytes, done, bytes - done, this.tail + done);
      }
    } catch (error) {
      if (isNoSpace(error)) return false;
      throw error;
    }
    this.tail += bytes;
    this.unsynced += this.lines;
    this.lines = 0;
    return true;
  }
}
