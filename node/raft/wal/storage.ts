// The disk as the log sees it: a directory of files of fixed size. Small on purpose, so that a simulation can stand in
// for it; everything the log promises rests on what is said here.

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { limits } from '../../../proto/limits.js';

export type OnWritten = (error: Error | null) => void;

export interface WalFile {
  readonly sizeBytes: number;
  /** Writes all of `buffer` at `position`. When `onWritten` is called without an error, it is on disk. */
  write(buffer: Uint8Array, position: number, onWritten: OnWritten): void;
  /** Fills `target` from `position`; returns how many bytes there were. */
  read(target: Uint8Array, position: number): number;
  /** All that the file holds, also what another process wrote, is on disk when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface WalStorage {
  /** The names are on disk when it resolves: a process that was killed may have renamed files and not synced that. */
  list(): Promise<string[]>;
  open(name: string): Promise<WalFile>;
  /** A new empty file; one of this name is replaced. */
  create(name: string): Promise<WalFile>;
  /** Both on disk when they resolve. */
  rename(source: string, target: string): Promise<void>;
  remove(name: string): Promise<void>;
}

// O_DSYNC makes write and fdatasync one system call and one hop through the thread pool: 140 µs for 4 KiB where
// write, then fdatasync took 200 (both asynchronous), with nothing else to choose between them.
const FLAGS = fs.constants.O_RDWR | fs.constants.O_DSYNC;
/** Of a log, between writes that do not press. */
const REST_MS = 0.1;
/** Over how many writes their time is averaged. */
const PACE_WRITES = 8;

/**
 * Whether this thread writes itself. To hand a write to a thread of the pool and to be woken by it takes 60 to 100 µs, more
 * than half of what the write takes; but what came meanwhile waits. So it does where little comes: the write before has
 * ended a while ago, this one is small, and the disk has been quick lately.
 */
class Pace {
  private endedMs = 0;
  /** What a write takes, lately. */
  private tookMs = 0;

  writesItself(bytes: number): boolean {
    const quick = this.tookMs < limits.walOwnWriteMs && bytes <= limits.walOwnWriteBytes;
    return quick && performance.now() - this.endedMs > REST_MS;
  }

  ended(begunMs: number): void {
    this.endedMs = performance.now();
    this.tookMs += (this.endedMs - begunMs - this.tookMs) / PACE_WRITES;
  }
}

class DiskFile implements WalFile {
  constructor(
    private readonly fd: number,
    readonly sizeBytes: number,
    private readonly pace: Pace,
  ) {}

  write(buffer: Uint8Array, position: number, onWritten: OnWritten): void {
    const begunMs = performance.now();
    const ended = (error: Error | null, written: number): void => {
      this.pace.ended(begunMs);
      if (error !== null) onWritten(error);
      else if (written === buffer.length) onWritten(null);
      else if (written === 0) onWritten(new Error(`write of ${buffer.length} bytes at ${position} wrote nothing`));
      else this.write(buffer.subarray(written), position + written, onWritten);
    };
    if (!this.pace.writesItself(buffer.length)) {
      fs.write(this.fd, buffer, 0, buffer.length, position, ended);
      return;
    }
    let error: Error | null = null;
    let written = 0;
    try {
      written = fs.writeSync(this.fd, buffer, 0, buffer.length, position);
    } catch (failure) {
      error = failure as Error;
    }
    queueMicrotask(() => ended(error, written));
  }

  read(target: Uint8Array, position: number): number {
    let done = 0;
    while (done < target.length) {
      const count = fs.readSync(this.fd, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fsync(this.fd, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.fd, (error) => (error == null ? resolve() : reject(error)));
    });
  }
}

function openDescriptor(file: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(file, flags, 0o600, (error, fd) => (error === null ? resolve(fd) : reject(error)));
  });
}

class DiskStorage implements WalStorage {
  private readonly pace = new Pace();

  constructor(private readonly directory: string) {}

  async list(): Promise<string[]> {
    await this.syncDirectory();
    return fsp.readdir(this.directory);
  }

  async open(name: string): Promise<WalFile> {
    const file = path.join(this.directory, name);
    const { size } = await fsp.stat(file);
    return new DiskFile(await openDescriptor(file, FLAGS), size, this.pace);
  }

  async create(name: string): Promise<WalFile> {
    const flags = FLAGS | fs.constants.O_CREAT | fs.constants.O_TRUNC;
    return new DiskFile(await openDescriptor(path.join(this.directory, name), flags), 0, this.pace);
  }

  async rename(source: string, target: string): Promise<void> {
    await fsp.rename(path.join(this.directory, source), path.join(this.directory, target));
    await this.syncDirectory();
  }

  async remove(name: string): Promise<void> {
    await fsp.rm(path.join(this.directory, name), { force: true });
    await this.syncDirectory();
  }

  async syncDirectory(): Promise<void> {
    const handle = await fsp.open(this.directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** The directory on the file system of this machine; made if it is not there, which is on disk when it resolves. */
export async function openDisk(directory: string): Promise<WalStorage> {
  const made = await fsp.mkdir(directory, { recursive: true });
  if (made !== undefined) {
    for (let at = directory; ; at = path.dirname(at)) {
      const handle = await fsp.open(path.dirname(at), 'r');
      await handle.sync().finally(() => handle.close());
      if (path.resolve(at) === path.resolve(made)) break;
    }
  }
  return new DiskStorage(directory);
}
