// Space kept back on the disk, so that a full disk still takes the tombstones that will empty it: a file of zeros that is
// given up when a tombstone finds no space, and made again before the next append is let through.

import fs from 'node:fs';
import path from 'node:path';
import { limits } from '../../proto/limits.js';
import { blocksDirectory, isNoSpace, removeFile } from './files.js';

/** A small file system keeps back less: this share of it. */
const SHARE = 1 / 64;
const PIECE_BYTES = 1024 * 1024;

export class Reserve {
  private readonly file: string;
  held = false;

  constructor(directory: string, thread: number) {
    this.file = path.join(blocksDirectory(directory), `reserve-${thread}`);
  }

  /** Makes the reserve if it is not there; false when there is no space for it. */
  ensure(): boolean {
    if (this.held) return true;
    const stat = fs.statfsSync(path.dirname(this.file));
    const bytes = Math.min(limits.blockReserveBytes, Math.floor(stat.blocks * stat.bsize * SHARE));
    const fd = fs.openSync(this.file, 'a+');
    try {
      const zeros = Buffer.alloc(PIECE_BYTES);
      for (let size = fs.fstatSync(fd).size; size < bytes; ) {
        size += fs.writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - size));
      }
      fs.fsyncSync(fd);
      this.held = true;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      removeFile(this.file);
    } finally {
      fs.closeSync(fd);
    }
    return this.held;
  }

  /** Gives the reserve up; false when there was none. */
  giveUp(): boolean {
    if (!this.held) return false;
    this.held = false;
    removeFile(this.file);
    return true;
  }
}
