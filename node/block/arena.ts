// The shared memory that holds the needle index of a process: a directory of volumes and, behind it, their tables. It is
// one SharedArrayBuffer given to every thread at start, so that any thread finds any volume, also one made a moment
// ago, without a message. Pages that were never touched cost nothing. A volume's entry is written by the block thread
// that owns the volume; its generation word is odd while that thread changes the entry, and moves with every change.
//
//   0      words: units given out, epoch, KiB touched in this epoch, KiB that an epoch lasts
//   4096   directory: entries of 64 bytes, open addressing by volume number
//   behind, at multiples of a unit: tables of whole units; each thread reuses those that it freed
//
// A unit is whole pages and whole slots. So a slot's words lie at the same places in every table that memory was ever
// part of, and a reader that stamps a slot of a table freed a moment ago spoils nothing but a stamp.

import assert from 'node:assert';
import os from 'node:os';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';

const PAGE_BYTES = 4096;
export const SLOT_WORDS = 6;
export const SLOT_BYTES = SLOT_WORDS * 4;
const UNIT_BYTES = 3 * PAGE_BYTES;
const ENTRY_WORDS = 16;
const ENTRIES = limits.volumes;
const DIRECTORY_WORD = PAGE_BYTES / 4;
const HEAD_UNITS = Math.ceil((PAGE_BYTES + ENTRIES * ENTRY_WORDS * 4) / UNIT_BYTES);
assert(UNIT_BYTES % SLOT_BYTES === 0);

const Head = { UNITS: 0, EPOCH: 1, TOUCHED_KIB: 2, EPOCH_KIB: 3 } as const;
const FIRST_EPOCH = 2;
/** The part of memory that may be touched before an epoch ends; what was touched in the last two counts as cached. */
const EPOCH_SHARE = 1 / 8;

const Entry = { VOLUME: 0, GENERATION: 1, UNIT: 2, CAPACITY: 3, SPREAD: 4, COOKIE: 5 } as const;
const FREE = 0;
/** A volume that was dropped: its entry may be taken again. */
const GONE = -1;

/** In place of a spread: the volume's files are damaged or missing. */
const LOST = 2;

/** Where a volume's table lies, and the cookie that its needles carry. */
export interface VolumePlace {
  unit: number;
  /** Slots. */
  capacity: number;
  /** 1 when keys are spread by a hash, 0 when they lie in order (a table that fills). */
  spread: number;
  cookie: number;
}

/** Memory that this process may use, in bytes (Node answers 0 or a huge number where no cgroup bounds it). */
function memoryBytes(): number {
  const constrained = process.constrainedMemory() ?? 0;
  return constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem();
}

/**
 * The arena of a process: a quarter of its memory, at most limits.indexArenaBytes (34 to 48 bytes a needle). Reserved,
 * not used: pages become memory when a needle's slot is written.
 */
export function createArena(bytes = Math.min(limits.indexArenaBytes, memoryBytes() / 4)): SharedArrayBuffer {
  const units = Math.floor(Math.max(bytes, limits.indexArenaLeastBytes) / UNIT_BYTES);
  const buffer = new SharedArrayBuffer(units * UNIT_BYTES);
  const head = new Int32Array(buffer, 0, DIRECTORY_WORD);
  head[Head.UNITS] = HEAD_UNITS;
  head[Head.EPOCH] = FIRST_EPOCH;
  head[Head.EPOCH_KIB] = Math.min(0x7fffffff, Math.floor((memoryBytes() * EPOCH_SHARE) / 1024));
  return buffer;
}

/** One thread's view of the arena. */
export class Arena {
  private readonly words: Int32Array;
  private readonly units: number;
  private readonly freed: { unit: number; units: number }[] = [];

  constructor(readonly buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, (HEAD_UNITS * UNIT_BYTES) / 4);
    this.units = Math.floor(buffer.byteLength / UNIT_BYTES);
    assert(Atomics.load(this.words, Head.UNITS) >= HEAD_UNITS, 'the arena was not made by createArena');
  }

  /** The epoch that slots touched now are stamped with. */
  get epoch(): number {
    return Atomics.load(this.words, Head.EPOCH);
  }

  /** Counts bytes that came into the page cache; when an epoch's worth has come, the next begins. */
  touched(bytes: number): void {
    const kib = (bytes + 1023) >>> 10;
    const before = Atomics.add(this.words, Head.TOUCHED_KIB, kib);
    const limit = this.words[Head.EPOCH_KIB]!;
    if (before + kib < limit || before >= limit) return;
    Atomics.store(this.words, Head.TOUCHED_KIB, 0);
    Atomics.add(this.words, Head.EPOCH, 1);
  }

  /** The entry of a volume, or -1. An entry never moves; check `volumeAt` after a generation moved. */
  find(volume: number): number {
    let entry = volume % ENTRIES;
    for (let probes = 0; probes < ENTRIES; probes++) {
      const found = Atomics.load(this.words, DIRECTORY_WORD + entry * ENTRY_WORDS);
      if (found === volume) return entry;
      if (found === FREE) return -1;
      entry = entry + 1 === ENTRIES ? 0 : entry + 1;
    }
    return -1;
  }

  generation(entry: number): number {
    return Atomics.load(this.words, DIRECTORY_WORD + entry * ENTRY_WORDS + Entry.GENERATION);
  }

  volumeAt(entry: number): number {
    return Atomics.load(this.words, DIRECTORY_WORD + entry * ENTRY_WORDS);
  }

  /** Reads an entry; what it says holds if `generation` is even and the same before and after. */
  place(entry: number): VolumePlace {
    const at = DIRECTORY_WORD + entry * ENTRY_WORDS;
    return {
      unit: Atomics.load(this.words, at + Entry.UNIT),
      capacity: Atomics.load(this.words, at + Entry.CAPACITY),
      spread: Atomics.load(this.words, at + Entry.SPREAD),
      cookie: Atomics.load(this.words, at + Entry.COOKIE) >>> 0,
    };
  }

  /** Claims an entry for a volume of this thread, with its generation odd until `publish`. */
  claim(volume: number): number {
    let entry = volume % ENTRIES;
    for (let probes = 0; probes < ENTRIES; probes++) {
      const at = DIRECTORY_WORD + entry * ENTRY_WORDS;
      const found = Atomics.load(this.words, at);
      assert(found !== volume, `volume ${volume} is in the directory already`);
      if (found === FREE || found === GONE) {
        // Until the generation is odd a reader may find what stood here: no capacity, so no needle.
        if (Atomics.compareExchange(this.words, at, found, volume) === found) {
          this.change(entry);
          return entry;
        }
      }
      entry = entry + 1 === ENTRIES ? 0 : entry + 1;
    }
    throw new OfsError(Status.NOSPC, `the directory of volumes is full (${ENTRIES}); add another node`);
  }

  /** Begins a change of an entry. */
  change(entry: number): void {
    const at = DIRECTORY_WORD + entry * ENTRY_WORDS + Entry.GENERATION;
    if ((Atomics.load(this.words, at) & 1) === 0) Atomics.add(this.words, at, 1);
  }

  /** Ends a change: the entry says `place` from now on. */
  publish(entry: number, place: VolumePlace): void {
    const at = DIRECTORY_WORD + entry * ENTRY_WORDS;
    this.change(entry);
    Atomics.store(this.words, at + Entry.UNIT, place.unit);
    Atomics.store(this.words, at + Entry.CAPACITY, place.capacity);
    Atomics.store(this.words, at + Entry.SPREAD, place.spread);
    Atomics.store(this.words, at + Entry.COOKIE, place.cookie | 0);
    Atomics.add(this.words, at + Entry.GENERATION, 1);
  }

  /** Enters a volume that is there but cannot be served, so that its blocks are not taken for deleted. */
  lose(volume: number): void {
    this.publish(this.claim(volume), { unit: 0, capacity: 0, spread: LOST, cookie: 0 });
  }

  isLost(entry: number): boolean {
    return this.place(entry).spread === LOST;
  }

  /** Takes a volume out of the directory. */
  drop(entry: number): void {
    const at = DIRECTORY_WORD + entry * ENTRY_WORDS;
    this.change(entry);
    Atomics.store(this.words, at + Entry.CAPACITY, 0);
    Atomics.store(this.words, at + Entry.SPREAD, 0);
    Atomics.store(this.words, at, GONE);
    Atomics.add(this.words, at + Entry.GENERATION, 1);
  }

  /** Zeroed memory of at least `bytes`, as its first unit. Throws OfsError NOSPC when the arena is used up. */
  allocate(bytes: number): number {
    const units = Math.ceil(bytes / UNIT_BYTES);
    const index = this.freed.findIndex((region) => region.units >= units);
    if (index >= 0) {
      const region = this.freed[index]!;
      const unit = region.unit;
      region.unit += units;
      region.units -= units;
      if (region.units === 0) this.freed.splice(index, 1);
      this.wordsAt(unit, (units * UNIT_BYTES) / 4).fill(0);
      return unit;
    }
    const unit = Atomics.add(this.words, Head.UNITS, units);
    if (unit + units > this.units || unit < 0) {
      Atomics.sub(this.words, Head.UNITS, units);
      throw new OfsError(
        Status.NOSPC,
        `the needle index has no room for another volume (${this.buffer.byteLength} bytes); give the node more memory`,
      );
    }
    return unit;
  }

  /** Gives memory of `allocate` back, when no entry names it any more. Who still reads it checks the generation. */
  free(unit: number, bytes: number): void {
    const region = { unit, units: Math.ceil(bytes / UNIT_BYTES) };
    let index = this.freed.findIndex((other) => other.unit > unit);
    if (index < 0) index = this.freed.length;
    this.freed.splice(index, 0, region);
    const next = this.freed[index + 1];
    if (next !== undefined && region.unit + region.units === next.unit) {
      region.units += next.units;
      this.freed.splice(index + 1, 1);
    }
    const last = this.freed[index - 1];
    if (last !== undefined && last.unit + last.units === region.unit) {
      last.units += region.units;
      this.freed.splice(index, 1);
    }
  }

  wordsAt(unit: number, words: number): Int32Array {
    return new Int32Array(this.buffer, unit * UNIT_BYTES, words);
  }
}
