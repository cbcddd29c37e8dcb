// What the block store asks of the world around it: files, time, and a cookie now and then. All that it does to files
// goes through `Disk`, all that it waits for through `Clock`, so that it runs unchanged on a simulated disk in simulated
// time. `systemDisk` and `systemClock` are the real ones: each call is the system's, with nothing kept or added.

import fs from 'node:fs';
import { promisify } from 'node:util';

/** r: to read; r+: to read and write; w+: new, or emptied; a: to append, made where it is not. */
export type OpenMode = 'r' | 'r+' | 'w+' | 'a';

/**
 * Files, by path and descriptor. Every call throws (or rejects with) what node:fs does, told by its code. Reads and
 * writes may do less than asked, and say how much.
 */
export interface Disk {
  openSync(file: string, mode: OpenMode): number;
  closeSync(fd: number): void;
  readSync(fd: number, target: Uint8Array, offset: number, length: number, position: number): number;
  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  readvSync(fd: number, buffers: readonly Uint8Array[], position: number): number;
  readv(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  writeSync(fd: number, source: Uint8Array, offset: number, length: number, position: number): number;
  writevSync(fd: number, buffers: readonly Uint8Array[], position: number): number;
  writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  ftruncateSync(fd: number, bytes: number): void;
  fdatasyncSync(fd: number): void;
  fdatasync(fd: number): Promise<void>;
  fsyncSync(fd: number): void;
  fsync(fd: number): Promise<void>;
  sizeSync(fd: number): number;
  existsSync(file: string): boolean;
  renameSync(source: string, target: string): void;
  /** Nothing happens where there is no such file. */
  removeSync(file: string): void;
  listSync(directory: string): string[];
  /** Makes a directory and those above it; false when it was there. */
  makeDirectorySync(directory: string): boolean;
  syncDirectorySync(directory: string): void;
  /** Of the file system below a directory; free is what may be used without privileges. */
  spaceSync(directory: string): { freeBytes: number; totalBytes: number };
}

/** Time, and a later turn of the event loop. */
export interface Clock {
  /** Since some moment; never goes back. */
  nowUs(): number;
  /** Runs when what has come in has been handled. */
  soon(run: () => void): void;
  after(ms: number, run: () => void): void;
  /** Does not keep the process alive. Returns what ends it. */
  every(ms: number, run: () => void): () => void;
}

const read = promisify(fs.read);
const readv = promisify(fs.readv);
const writev = promisify(fs.writev);

export const systemDisk: Disk = {
  openSync: (file, mode) => fs.openSync(file, mode),
  closeSync: (fd) => fs.closeSync(fd),
  readSync: (fd, target, offset, length, position) => fs.readSync(fd, target, offset, length, position),
  read: async (fd, target, offset, length, position) => (await read(fd, target, offset, length, position)).bytesRead,
  readvSync: (fd, buffers, position) => fs.readvSync(fd, buffers, position),
  readv: async (fd, buffers, position) => (await readv(fd, buffers, position)).bytesRead,
  writeSync: (fd, source, offset, length, position) => fs.writeSync(fd, source, offset, length, position),
  writevSync: (fd, buffers, position) => fs.writevSync(fd, buffers, position),
  writev: async (fd, buffers, position) => (await writev(fd, buffers, position)).bytesWritten,
  ftruncateSync: (fd, bytes) => fs.ftruncateSync(fd, bytes),
  fdatasyncSync: (fd) => fs.fdatasyncSync(fd),
  fdatasync: promisify(fs.fdatasync),
  fsyncSync: (fd) => fs.fsyncSync(fd),
  fsync: promisify(fs.fsync),
  sizeSync: (fd) => fs.fstatSync(fd).size,
  existsSync: (file) => fs.existsSync(file),
  renameSync: (source, target) => fs.renameSync(source, target),
  removeSync: (file) => fs.rmSync(file, { force: true }),
  listSync: (directory) => fs.readdirSync(directory),
  makeDirectorySync: (directory) => fs.mkdirSync(directory, { recursive: true }) !== undefined,
  syncDirectorySync: (directory) => {
    const fd = fs.openSync(directory, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  spaceSync: (directory) => {
    const stat = fs.statfsSync(directory);
    return { freeBytes: stat.bavail * stat.bsize, totalBytes: stat.blocks * stat.bsize };
  },
};

export const systemClock: Clock = {
  nowUs: () => performance.now() * 1000,
  soon: (run) => {
    setImmediate(run);
  },
  after: (ms, run) => {
    setTimeout(run, ms);
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Another turn of the event loop. */
export function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** Reads up to `length` bytes; fewer only where the file ends. */
export function readUpTo(
  disk: Disk,
  fd: number,
  target: Buffer,
  { length, position }: { length: number; position: number },
): number {
  let done = 0;
  while (done < length) {
    const bytes = disk.readSync(fd, target, done, length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}

/** The same, waiting. */
export async function readUpToAsync(
  disk: Disk,
  fd: number,
  target: Buffer,
  { length, position }: { length: number; position: number },
): Promise<number> {
  let done = 0;
  while (done < length) {
    const bytes = await disk.read(fd, target, done, length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
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
  { bytes, position }: { bytes: number; position: number },
): void {
  let written = disk.writevSync(fd, buffers, position);
  while (written < bytes) written += disk.writevSync(fd, rest(buffers, written), position + written);
}

export async function writeAll(
  disk: Disk,
  fd: number,
  buffers: readonly Uint8Array[],
  { bytes, position }: { bytes: number; position: number },
): Promise<void> {
  let written = await disk.writev(fd, buffers, position);
  while (written < bytes) written += await disk.writev(fd, rest(buffers, written), position + written);
}
