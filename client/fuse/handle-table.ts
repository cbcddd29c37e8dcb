// Handles that the kernel holds: small numbers, used again when they are released. The upper half of a handle is free for
// a mark that comes back with it and means nothing here.

import { Errno } from '../../proto/status.js';
import { ErrnoError } from './errors.js';

/** What lies above the number, in the 64 bits that the kernel keeps. */
const HALF = 0x1_0000_0000;

export class HandleTable<T> {
  private readonly items = new Map<number, T>();
  private readonly spare: number[] = [];
  private next = 1;

  get size(): number {
    return this.items.size;
  }

  /** `mark` is below 2^21. */
  add(item: T, mark = 0): number {
    const number = this.spare.pop() ?? this.next++;
    this.items.set(number, item);
    return mark * HALF + number;
  }

  /** Throws EBADF for a handle that is not there. */
  get(fh: number): T {
    const item = this.items.get(fh % HALF);
    if (item === undefined) throw new ErrnoError(Errno.EBADF);
    return item;
  }

  remove(fh: number): T {
    const item = this.get(fh);
    this.items.delete(fh % HALF);
    this.spare.push(fh % HALF);
    return item;
  }

  values(): T[] {
    return [...this.items.values()];
  }

  clear(): void {
    this.items.clear();
  }
}
