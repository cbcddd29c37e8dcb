// The buffers that large reads of a thread go through: a fixed number, so that slow clients cannot take its memory.
// Whoever finds none waits in line; a reader whose client does not take what it has been sent gives its buffer back
// and reads again later (http streams in handlers/stream.ts).

import { Buffer } from 'node:buffer';
import { limits } from '../../../proto/limits.js';

export class ReadBuffers {
  private readonly free: Buffer[] = [];
  private made = 0;
  private readonly waiting: ((buffer: Buffer) => void)[] = [];

  /** A buffer of limits.s3ReadPieceBytes at once, or when one is free. */
  take(): Buffer | Promise<Buffer> {
    const free = this.free.pop();
    if (free !== undefined) return free;
    if (this.made < limits.s3ReadPieces) {
      this.made++;
      return Buffer.allocUnsafeSlow(limits.s3ReadPieceBytes);
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(buffer);
    else next(buffer);
  }

  /** Whether somebody waits. */
  get scarce(): boolean {
    return this.waiting.length > 0;
  }
}
