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
import { type Arena, SLOT_BYTES, SLOT_WORDS, type VolumePlace } from './arena.js';

const DEAD = 0x4000_0000;
const WORD = 0x1_0000_0000;
/** A table full to this share finds a key in 2.2 probes and misses in 6. */
const EXACT_LOAD = 0.7;
const GROWING_LOAD = 0.8;

function isPrime(number: number): boolean {
  for (let divisor = 3; divisor * divisor <= number; divisor += 2) if (number % divisor === 0) return false;
  return number % 2 === 1;
}

/** Slots of a growing table: a prime, so that every step through it comes by every slot. */
function growingCapacity(needles: number): number {
  let capacity = Math.ceil(needles / GROWING_LOAD) | 1;
  while (!isPrime(capacity)) capacity += 2;
  return capacity;
}

function spread(key: number, over: number): number {
  return Math.floor(((Math.imul(key, 0x9e3779b1) >>> 0) * over) / WORD);
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
    this.words = arena.wordsAt(place.unit, place.capacity * SLOT_WORDS);
  }

  /**
   * A new table. A growing one keeps keys in order, so that the pages that nothing fills yet are not touched; an exact
   * one spreads them.
   */
  static make(arena: Arena, needles: number, cookie: number, kind: 'growing' | 'exact'): IndexTable {
    const capacity = kind === 'growing' ? growingCapacity(needles) : Math.ceil(needles / EXACT_LOAD) + 1;
    const unit = arena.allocate(capacity * SLOT_BYTES);
    return new IndexTable(arena, { unit, capacity, spread: kind === 'growing' ? 0 : 1, cookie });
  }

  free(): void {
    this.arena.free(this.place.unit, this.place.capacity * SLOT_BYTES);
  }

  get capacity(): number {
    return this.place.capacity;
  }

  /**
   * The first slot to look for `key` in. A growing table begins with order: blobs of one block, by far the most, fill
   * it from the front.
   */
  private home(key: number): number {
    if (this.place.spread === 1) return spread(key, this.place.capacity);
    return (blockIndex(key) === 0 ? blobSequence(key) : key) % this.place.capacity;
  }

  /** How far apart the slots lie that are looked at: in a growing table as the key says, since order makes long runs. */
  private step(key: number): number {
    return this.place.spread === 1 ? 1 : 1 + spread(key, this.place.capacity - 1);
  }

  /** The slot of a living block, as its first word; -1 when there is none, -2 when it is deleted. */
  find(key: number): number {
    const words = this.words;
    const capacity = this.place.capacity;
    let slot = this.home(key);
    let step = 0;
    for (let probes = 0; probes < capacity; probes++) {
      const at = slot * SLOT_WORDS;
      const word = Atomics.load(words, at);
      if (word === key + 1) return at;
      if (word === 0) return -1;
      if (word === ((key + 1) | DEAD)) return -2;
      if (step === 0) step = this.step(key);
      slot += step;
      if (slot >= capacity) slot -= capacity;
    }
    return -1;
  }

  /**
   * Enters a needle; false when its key is there already. `stamp` 0 says that it was not touched lately. There must be
   * room.
   */
  insert(key: number, needle: { offset: number; length: number; session: number; stamp: number }): boolean {
    const words = this.words;
    const step = this.step(key);
    let slot = this.home(key);
    while (words[slot * SLOT_WORDS] !== 0) {
      if ((words[slot * SLOT_WORDS]! & ~DEAD) === key + 1) return false;
      slot += step;
      if (slot >= this.place.capacity) slot -= this.place.capacity;
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
    return true;
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

  /** Calls with the first word of every living slot among `slots` from slot `from` on. */
  forEachLive(from: number, slots: number, visit: (at: number) => void): void {
    const end = Math.min(this.place.capacity, from + slots) * SLOT_WORDS;
    for (let at = from * SLOT_WORDS; at < end; at += SLOT_WORDS) {
      const word = this.words[at]!;
      if (word !== 0 && (word & DEAD) === 0) visit(at);
    }
  }
}
