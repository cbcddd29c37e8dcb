// Handles that the kernel holds: small numbers, used again when they are released.

import { Errno } from '../../proto/status.js';
import { ErrnoError } from './errors.js';

export class HandleTable<T> {
  private readonly items = new Map<number, T>();
  private readonly spare: number[] = [];
  private next = 1;

  get size(): number {
    return this.items.size;
  }

  add(item: T): number {
    const fh = this.spare.pop() ?? this.next++;
    this.items.set(fh, item);
    return fh;
  }

  /** Throws EBADF for a handle that is not there. */
  get(fh: number): T {
    const item = this.items.get(fh);
    if (item === undefined) throw new ErrnoError(Errno.EBADF);
    return item;
  }

  remove(fh: number): T {
    const item = this.get(fh);
    this.items.delete(fh);
    this.spare.push(fh);
    return item;
  }

  values(): T[] {
    return [...this.items.values()];
  }

  clear(): void {
    this.items.clear();
  }
}
