// Buffers for writers where no slab is needed (blocks go out over TCP): bounded, and recycled, since fresh memory costs
// more than the copy into it.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { limits } from '../../proto/limits.js';

/** Smaller buffers are cheap to make. */
const RECYCLED_FROM_BYTES = 64 * 1024;

export class HeapBuffers {
  private usedBytes = 0;
  private readonly spare = new Map<number, Buffer[]>();
  private spareBytes = 0;
  private waiters: (() => void)[] = [];
  /** Memory that a socket may still be sending though the request has ended: never recycled. */
  private readonly tainted = new WeakSet<ArrayBufferLike>();

  constructor(private readonly boundBytes: number) {}

  allocate(bytes: number): Buffer | null {
    assert(bytes > 0 && bytes <= limits.blockBytes);
    if (this.usedBytes + bytes > this.boundBytes) return null;
    this.usedBytes += bytes;
    const spare = this.spare.get(bytes)?.pop();
    if (spare === undefined) return Buffer.allocUnsafeSlow(bytes);
    this.spareBytes -= bytes;
    return spare;
  }

  release(buffer: Buffer): void {
    const bytes = buffer.length;
    this.usedBytes -= bytes;
    assert(this.usedBytes >= 0, 'released more than was allocated');
    if (this.waiters.length > 0) setImmediate(this.wake);
    if (bytes < RECYCLED_FROM_BYTES || this.tainted.has(buffer.buffer)) return;
    if (this.spareBytes + bytes > this.boundBytes / 2) return;
    let list = this.spare.get(bytes);
    if (list === undefined) {
      list = [];
      this.spare.set(bytes, list);
    }
    list.push(buffer);
    this.spareBytes += bytes;
  }

  taint(view: Buffer): void {
    this.tainted.add(view.buffer);
  }

  onSpace(callback: () => void): void {
    this.waiters.push(callback);
  }

  private readonly wake = (): void => {
    const { waiters } = this;
    this.waiters = [];
    for (const callback of waiters) callback();
  };
}
