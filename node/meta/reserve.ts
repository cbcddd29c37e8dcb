// Space kept back on the disk for the databases: a file of zeros. What is committed in the log must be applied, also on
// a full disk: the file is given up when an apply finds no space, and from then on only what frees space is taken,
// until the file could be made again.

import fs from 'node:fs';
import { limits } from '../../proto/limits.js';

/** A small file system keeps back less: this share of it. */
const SHARE = 1 / 64;
const PIECE_BYTES = 1024 * 1024;
const NO_SPACE: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

export function isNoSpace(error: unknown): boolean {
  return NO_SPACE.includes((error as NodeJS.ErrnoException).code);
}

export class Reserve {
  private held = false;

  constructor(
    private readonly directory: string,
    private readonly file: string,
  ) {}

  /** Whether the reserve stands; made if it can be. */
  ensure(): boolean {
    if (this.held) return true;
    fs.mkdirSync(this.directory, { recursive: true });
    const stat = fs.statfsSync(this.directory);
    const bytes = Math.min(limits.metaReserveBytes, Math.floor(stat.blocks * stat.bsize * SHARE));
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
      fs.rmSync(this.file);
    } finally {
      fs.closeSync(fd);
    }
    return this.held;
  }

  get stands(): boolean {
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
