// The files of a volume and how they are named, made, written and synced. A file gets its name only when what it holds
// is on disk. Leaves errors to the caller, except that short writes and reads are gone on with.

import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
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

/** The calls whose failures and order tests decide. */
export interface Disk {
  writevSync(fd: number, buffers: readonly Uint8Array[], position: number): number;
  writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  fdatasyncSync(fd: number): void;
  fdatasync(fd: number): Promise<void>;
  renameSync(source: string, target: string): void;
}

const writevAsync = promisify(fs.writev);
const fdatasyncAsync = promisify(fs.fdatasync);

export const systemDisk: Disk = {
  writevSync: (fd, buffers, position) => fs.writevSync(fd, buffers, position),
  writev: async (fd, buffers, position) => (await writevAsync(fd, buffers, position)).bytesWritten,
  fdatasyncSync: (fd) => fs.fdatasyncSync(fd),
  fdatasync: (fd) => fdatasyncAsync(fd),
  renameSync: (source, target) => fs.renameSync(source, target),
};

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
export function listVolumes(directory: string): { volume: number; data: boolean; index: boolean }[] {
  const blocks = blocksDirectory(directory);
  if (fs.mkdirSync(blocks, { recursive: true }) !== undefined) syncDirectory(directory);
  const found = new Map<number, { volume: number; data: boolean; index: boolean }>();
  for (const file of fs.readdirSync(blocks)) {
    const match = /^([0-9a-f]{8})\.(needles|index)$/.exec(file);
    if (match === null) continue;
    const volume = Number.parseInt(match[1]!, 16);
    const entry = found.get(volume) ?? { volume, data: false, index: false };
    entry[match[2] === 'needles' ? 'data' : 'index'] = true;
    found.set(volume, entry);
  }
  return [...found.values()].sort((a, b) => a.volume - b.volume);
}

export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes both files of a volume under `suffix`ed names, synced; open for reading and writing. */
export function createVolumeFiles(
  directory: string,
  superblock: Superblock,
  suffix: string,
): { dataFd: number; indexFd: number } {
  const head = Buffer.alloc(SUPERBLOCK_BYTES);
  writeSuperblock(head, superblock);
  const words = new Int32Array(INDEX_LINE_WORDS);
  writeIndexLine(words, 0, headLine(superblock.volume, superblock.cookie), superblock.cookie);
  const indexFd = createFile(indexPath(directory, superblock.volume) + suffix, new Uint8Array(words.buffer));
  try {
    return { dataFd: createFile(dataPath(directory, superblock.volume) + suffix, head), indexFd };
  } catch (error) {
    fs.closeSync(indexFd);
    throw error;
  }
}

/** Gives new files their names for good: the data's first, since an index without data would tell of a loss. */
export function nameVolumeFiles(directory: string, volume: number, disk: Disk): void {
  disk.renameSync(dataPath(directory, volume) + UNFINISHED, dataPath(directory, volume));
  disk.renameSync(indexPath(directory, volume) + UNFINISHED, indexPath(directory, volume));
}

function createFile(file: string, content: Uint8Array): number {
  const fd = fs.openSync(file, 'w+');
  try {
    fs.writeSync(fd, content, 0, content.length, 0);
    fs.fsyncSync(fd);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return fd;
}

/** Removes a file if it is there. */
export function removeFile(file: string): void {
  fs.rmSync(file, { force: true });
}

/** Reads up to `length` bytes; fewer only where the file ends. */
export function readUpTo(fd: number, target: Buffer, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const bytes = fs.readSync(fd, target, done, length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}

const readAsync = promisify(fs.read);

/** The same, waiting. */
export async function readUpToAsync(fd: number, target: Buffer, length: number, position: number): Promise<number> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await readAsync(fd, target, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** What of `buffers` is left when their first `bytes` are written. */
function rest(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = bytes;
  for (const buffer of buffers) {
    if (skip >= buffer.length) skip -= buffer.length;
    else {
      left.push(skip === 0 ? buffer : buffer.subarray(skip));
      skip = 0;
    }
  }
  return left;
}

/** Writes all of `buffers`, `bytes` long together, at `position`. */
export function writeAllSync(
  disk: Disk,
  fd: number,
  buffers: readonly Uint8Array[],
  bytes: number,
  position: number,
): void {
  let written = disk.writevSync(fd, buffers, position);
  while (written < bytes) written += disk.writevSync(fd, rest(buffers, written), position + written);
}

export async function writeAll(
  disk: Disk,
  fd: number,
  buffers: readonly Uint8Array[],
  bytes: number,
  position: number,
): Promise<void> {
  let written = await disk.writev(fd, buffers, position);
  while (written < bytes) written += await disk.writev(fd, rest(buffers, written), position + written);
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
  ) {}

  /** Where the next line goes. */
  get end(): number {
    return this.tail;
  }

  /** Adds a line for `flush`. */
  add(line: IndexLine): void {
    if (this.behind) return;
    if (this.lines === limits.indexBacklogLines) {
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
      while (done < bytes) done += fs.writeSync(this.fd, this.bytes, done, bytes - done, this.tail + done);
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
