// Space kept back on a disk, so that a full one still takes what must be written: a file of zeros that is given up when
// that finds no space, and made again before anything else is let through.

import fs from 'node:fs';
import path from 'node:path';

/** A small file system keeps back less: this share of it. */
const SHARE = 1 / 64;
const PIECE_BYTES = 1024 * 1024;
const NO_SPACE: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

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
  ) {}

  get stands(): boolean {
    return this.held;
  }

  /** Whether the reserve stands; made, and synced, if it can be. */
  ensure(): boolean {
    if (this.held) return true;
    const directory = path.dirname(this.file);
    fs.mkdirSync(directory, { recursive: true });
    const stat = fs.statfsSync(directory);
    const bytes = Math.min(this.bytes, Math.floor(stat.blocks * stat.bsize * SHARE));
    const fd = fs.openSync(this.file, 'a');
    try {
      const zeros = Buffer.alloc(PIECE_BYTES);
      for (let size = fs.fstatSync(fd).size; size < bytes; ) {
        size += fs.writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - size));
      }
      fs.fsyncSync(fd);
      this.held = true;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      fs.rmSync(this.file, { force: true });
    } finally {
      fs.closeSync(fd);
    }
    return this.held;
  }

  /** Gives the reserve up; false when there was none. */
  giveUp(): boolean {
    if (!this.held) return false;
    this.held = false;
    fs.rmSync(this.file, { force: true });
    return true;
  }
}
