// The needle index of one volume: an open-addressing table of fixed capacity in shared memory. One thread writes, any
// thread reads. A slot is published by its id word, which is written last; nothing in it changes after that but the
// stamp and the mark of a deletion, and no slot is used twice. What a reader finds holds if the volume's generation is
// the same after as before.
//
//   word 0   key of the block + 1; bit 30 when it is deleted; 0 when the slot is empty
//   word 1   offset of the needle in units of 8 bytes
//   word 2   length of its data
//   word 3   stamp: the epoch in which it was last touched
//   word 4   session of its writer, 53 bits

import assert from 'node:assert';
import { NEEDLE_ALIGN } from '../../proto/block/index.js';
import { blobSequence, blockIndex } from '../../proto/ids.js';
import type { Arena, VolumePlace } from './arena.js';

export const SLOT_BYTES = 24;
const SLOT_WORDS = 6;
const DEAD = 0x4000_0000;
const WORD = 0x1_0000_0000;
/** A full table of this share finds a key in 2.2 probes and misses in 6. */
const LOAD = 0.7;
const INDEXES = 16;

/** Slots of a table that takes up to `needles` in order of id; a power of two. */
export function growingCapacity(needles: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(needles * 1.25, INDEXES)));
}

/** Slots of a table for exactly `needles`. */
export function exactCapacity(needles: number): number {
  return Math.ceil(needles / LOAD) + 1;
}

export class IndexTable {
  private readonly words: Int32Array;
  readonly place: VolumePlace;
  used = 0;

  /** The table that an entry of the directory names. */
  constructor(
    private readonly arena: Arena,
    place: VolumePlace,
  ) {
    this.place = place;
    this.words = arena.wordsAt(place.page, place.capacity * SLOT_WORDS);
  }

  /**
   * A new table. A growing one keeps keys in order, so that the pages that nothing fills yet are not touched; an exact
   * one spreads them.
   */
  static make(arena: Arena, needles: number, cookie: number, kind: 'growing' | 'exact'): IndexTable {
    const capacity = kind === 'growing' ? growingCapacity(needles) : exactCapacity(needles);
    const page = arena.allocate(capacity * SLOT_BYTES);
    return new IndexTable(arena, { page, capacity, spread: kind === 'growing' ? 0 : 1, cookie });
  }

  free(): void {
    this.arena.free(this.place.page, this.place.capacity * SLOT_BYTES);
  }

  get capacity(): number {
    return this.place.capacity;
  }

  /** The first slot to look for `key` in. Index 0 of each blob in order of sequence, the others far from them. */
  private home(key: number): number {
    const capacity = this.place.capacity;
    if (this.place.spread === 1) return Math.floor(((Math.imul(key, 0x9e3779b1) >>> 0) * capacity) / WORD);
    return (blobSequence(key) + blockIndex(key) * (capacity / INDEXES)) % capacity;
  }

  /** The slot of a living block, as its first word; -1 when there is none, -2 when it is deleted. */
  find(key: number): number {
    const words = this.words;
    let slot = this.home(key);
    for (let probes = 0; probes < this.place.capacity; probes++) {
      const at = slot * SLOT_WORDS;
      const word = Atomics.load(words, at);
      if (word === key + 1) return at;
      if (word === 0) return -1;
      if (word === ((key + 1) | DEAD)) return -2;
      if (++slot === this.place.capacity) slot = 0;
    }
    return -1;
  }

  /** Enters a needle; its key must not be there. `stamp` 0 says that it was not touched lately. */
  insert(key: number, needle: { offset: number; length: number; session: number; stamp: number }): void {
    const words = this.words;
    let slot = this.home(key);
    while (words[slot * SLOT_WORDS] !== 0) {
      assert((words[slot * SLOT_WORDS]! & ~DEAD) !== key + 1, `key ${key} is in the table already`);
      if (++slot === this.place.capacity) slot = 0;
    }
    this.used++;
    assert(this.used < this.place.capacity, 'a table is never full');
    const at = slot * SLOT_WORDS;
    words[at + 1] = needle.offset / NEEDLE_ALIGN;
    words[at + 2] = needle.length;
    words[at + 3] = needle.stamp;
    words[at + 4] = needle.session % WORD;
    words[at + 5] = Math.floor(needle.session / WORD);
    Atomics.store(words, at, key + 1);
  }

  /** Marks the needle at `at` (of `find`) deleted. */
  markDead(at: number): void {
    Atomics.or(this.words, at, DEAD);
  }

  isLive(at: number): boolean {
    const word = Atomics.load(this.words, at);
    return word !== 0 && (word & DEAD) === 0;
  }

  key(at: number): number {
    return (Atomics.load(this.words, at) & ~DEAD) - 1;
  }

  /** Of the needle, in bytes. */
  offset(at: number): number {
    return (Atomics.load(this.words, at + 1) >>> 0) * NEEDLE_ALIGN;
  }

  length(at: number): number {
    return Atomics.load(this.words, at + 2);
  }

  session(at: number): number {
    return (Atomics.load(this.words, at + 4) >>> 0) + (Atomics.load(this.words, at + 5) >>> 0) * WORD;
  }

  /** Whether the needle was written or read lately, so that its bytes are likely in memory. */
  isWarm(at: number): boolean {
    return this.arena.epoch - Atomics.load(this.words, at + 3) <= 1;
  }

  /** Notes that the needle was read. */
  touch(at: number): void {
    const epoch = this.arena.epoch;
    if (Atomics.load(this.words, at + 3) === epoch) return;
    Atomics.store(this.words, at + 3, epoch);
    this.arena.touched(this.length(at));
  }

  stamp(at: number): number {
    return Atomics.load(this.words, at + 3);
  }

  /** The first words of all slots in use, living or not, from slot `from` on, at most `slots` looked at. */
  *slots(from = 0, slots = this.place.capacity): Generator<number> {
    const end = Math.min(this.place.capacity, from + slots);
    for (let slot = from; slot < end; slot++) if (this.words[slot * SLOT_WORDS] !== 0) yield slot * SLOT_WORDS;
  }
}
