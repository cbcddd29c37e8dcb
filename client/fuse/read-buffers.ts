// Buffers for answers with data, each with room for the header in front. A bounded number of bytes is out at any time;
// who finds none waits in line, and can be called out of it.

import assert from 'node:assert';
import { limits } from '../../proto/limits.js';
import { HEADER } from './answerer.js';

const CLASSES = [4096, 32_768, 262_144, limits.fuseRequestBytes].map((bytes) => bytes + HEADER);
/** Spare buffers kept of each class. */
const SPARE = 64;

interface Waiter {
  readonly unique: number;
  readonly bytes: number;
  readonly resolve: (buffer: Buffer | null) => void;
}

export class ReadBuffers {
  private readonly spares: Buffer[][] = CLASSES.map(() => []);
  private outBytes = 0;
  private readonly waiters: Waiter[] = [];

  /** A buffer for `bytes` of data behind HEADER bytes, or null when the bound is reached: then `wait`. */
  take(bytes: number): Buffer | null {
    if (this.waiters.length > 0) return null;
    return this.takeNow(bytes);
  }

  /** Waits in line for a buffer. Null: request `unique` was called off. */
  wait(unique: number, bytes: number): Promise<Buffer | null> {
    return new Promise((resolve) => {
      this.waiters.push({ unique, bytes, resolve });
    });
  }

  /** Calls a request out of the line; false if it does not wait. */
  callOff(unique: number): boolean {
    const index = this.waiters.findIndex((waiter) => waiter.unique === unique);
    if (index < 0) return false;
    this.waiters.splice(index, 1)[0]!.resolve(null);
    this.serve();
    return true;
  }

  give(buffer: Buffer): void {
    const index = CLASSES.indexOf(buffer.length);
    assert(index >= 0, 'buffer of another pool');
    this.outBytes -= buffer.length;
    assert(this.outBytes >= 0, 'buffer given back twice');
    const spares = this.spares[index]!;
    if (spares.length < SPARE) spares.push(buffer);
    this.serve();
  }

  private takeNow(bytes: number): Buffer | null {
    const index = CLASSES.findIndex((size) => size >= bytes + HEADER);
    assert(index >= 0, 'answer over the largest request');
    const size = CLASSES[index]!;
    if (this.outBytes + size > limits.fuseReadBufferBytes) return null;
    this.outBytes += size;
    return this.spares[index]!.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  private serve(): void {
    for (let waiter = this.waiters[0]; waiter !== undefined; waiter = this.waiters[0]) {
      const buffer = this.takeNow(waiter.bytes);
      if (buffer === null) return;
      this.waiters.shift();
      waiter.resolve(buffer);
    }
  }
}
