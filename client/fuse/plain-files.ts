// Files open for writing that are known to have no extended attributes, in memory that the device threads share. Before
// the first write after each look at a file's attributes the kernel asks whether it has capabilities to be dropped; the
// thread that reads the question answers it for these files. A table without chains: what finds its place taken is left
// to the engine, as is everything that is not here.
//
//   two words a place: the low half of the node's number; its high half + 1, 0 while the place says nothing
//
// The engine alone writes. A reader that sees the same high half before and after the low half has read a node that was
// there when it read the low half.

import { limits } from '../../proto/limits.js';

const HALF = 0x1_0000_0000;
const PLACES = limits.fusePlainFiles;

function placeOf(low: number): number {
  return 2 * ((Math.imul(low, 0x9e3779b1) >>> 0) % PLACES);
}

export class PlainFiles {
  readonly shared = new SharedArrayBuffer(PLACES * 8);
  private readonly words = new Int32Array(this.shared);

  /** From now on the file of this node has no attributes, until `clear` is called. */
  mark(node: number): void {
    const low = (node % HALF) | 0;
    const place = placeOf(low);
    if (Atomics.load(this.words, place + 1) !== 0) return;
    Atomics.store(this.words, place, low);
    Atomics.store(this.words, place + 1, Math.floor(node / HALF) + 1);
  }

  /** The file may have attributes, or is open for writing no more. */
  clear(node: number): void {
    const low = (node % HALF) | 0;
    const place = placeOf(low);
    const { words } = this;
    const isHere = Atomics.load(words, place) === low && Atomics.load(words, place + 1) === Math.floor(node / HALF) + 1;
    if (isHere) Atomics.store(words, place + 1, 0);
  }
}

/** Whether a node, given by its halves as the kernel sends them, is marked; for device threads. */
export function isPlain(words: Int32Array, low: number, high: number): boolean {
  const place = placeOf(low);
  const before = Atomics.load(words, place + 1);
  if (before !== high + 1) return false;
  return Atomics.load(words, place) === low && Atomics.load(words, place + 1) === before;
}
