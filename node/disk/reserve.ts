// Space kept back on a disk, so that a full one still takes what must be written: a file of zeros that is given up when
// that finds no space, and made again before anything else is let through.

import fs from 'node:fs';
import path from 'node:path';

/** A small file system keeps back less: this share of it. */
const SHARE = 1 / 64;
const PIECE_BYTES = 1024 * 1024;
const NO_SPACE: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** What a reserve asks of a disk; `node:fs` where nothing else is given. */
export interface ReserveDisk {
  makeDirectorySync(directory: string): void;
  spaceSync(directory: string): { totalBytes: number };
  openSync(file: string, mode: 'a'): number;
  closeSync(fd: number): void;
  sizeSync(fd: number): number;
  writeSync(fd: number, source: Uint8Array, offset: number, length: number, position: number): number;
  fsyncSync(fd: number): void;
  removeSync(file: string): void;
}

const systemDisk: ReserveDisk = {
  makeDirectorySync: (directory) => {
    fs.mkdirSync(directory, { recursive: true });
  },
  spaceSync: (directory) => {
    const stat = fs.statfsSync(directory);
    return { totalBytes: stat.blocks * stat.bsize };
  },
  openSync: fs.openSync,
  closeSync: fs.closeSync,
  sizeSync: (fd) => fs.fstatSync(fd).size,
  writeSync: fs.writeSync,
  fsyncSync: fs.fsyncSync,
  removeSync: (file) => fs.rmSync(file, { force: true }),
};

/** Whether an error of the system says that the disk, or its quota, is full. */
export function isNoSpace(error: unknown): boolean {
  return NO_SPACE.includes((error as NodeJS.ErrnoException).code);
}

export class Reserve {
  private held = false;

  /** `bytes` at most are kept back, in `file`. */
  constructor(
    private readonly file: string,
    private readonly bytes: number,
    private readonly disk: ReserveDisk = systemDisk,
  ) {}

  get stands(): boolean {
    return this.held;
  }

  /** Whether the reserve stands; made, and synced, if it can be. */
  ensure(): boolean {
    if (this.held) return true;
    const { disk } = this;
    const directory = path.dirname(this.file);
    disk.makeDirectorySync(directory);
    const bytes = Math.min(this.bytes, Math.floor(disk.spaceSync(directory).totalBytes * SHARE));
    const fd = disk.openSync(this.file, 'a');
    try {
      const zeros = Buffer.alloc(PIECE_BYTES);
      for (let size = disk.sizeSync(fd); size < bytes; ) {
        size += disk.writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - size), size);
      }
      disk.fsyncSync(fd);
      this.held = true;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      disk.removeSync(this.file);
    } finally {
      disk.closeSync(fd);
    }
    return this.held;
  }

  /** Gives the reserve up; false when there was none. */
  giveUp(): boolean {
    if (!this.held) return false;
    this.held = false;
    this.disk.removeSync(this.file);
    return true;
  }
}
