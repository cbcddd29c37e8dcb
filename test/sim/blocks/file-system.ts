// A file system of one directory, with what is in the page cache and what is on the platter kept apart. Bytes and sizes
// are on the platter when the file was synced, names when the directory was. What was not is lost, whole or in part and
// in any order, when the power fails; a process that is killed takes nothing with it. Besides: a full disk; a sync that
// fails, after which the cache shows what the platter lacks and counts as clean; rot; sectors that show what an older
// file had there.

import type { Random } from '../random.js';

export const SECTOR_BYTES = 512;
const GRAVES = 8;

export interface LossOfPower {
  /** What is torn is torn within sectors. */
  readonly tornBytes: boolean;
  /** A sector that was given to a file and never written may show what an older file had there. */
  readonly stale: boolean;
  /** Changes of names are kept or lost each for itself; in order otherwise. */
  readonly anyNames: boolean;
}

export class Inode {
  cache = Buffer.alloc(4096);
  size = 0;
  platter = Buffer.alloc(4096);
  platterSize = 0;
  /** Sectors of the cache that were written and not synced. */
  readonly dirty = new Set<number>();
  /** Sectors that the platter lacks though the cache counts as clean: their write-back failed. */
  readonly lying = new Set<number>();
  readonly allocated = new Set<number>();
  /** The least size since the last sync. */
  private truncatedTo = Number.POSITIVE_INFINITY;

  private grow(bytes: number): void {
    if (bytes <= this.cache.length) return;
    const cache = Buffer.alloc(Math.max(bytes, this.cache.length * 2));
    this.cache.copy(cache);
    this.cache = cache;
  }

  private growPlatter(bytes: number): void {
    if (bytes <= this.platter.length) return;
    const platter = Buffer.alloc(Math.max(bytes, this.platter.length * 2));
    this.platter.copy(platter);
    this.platter = platter;
  }

  put(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    this.grow(end);
    this.cache.set(bytes, position);
    this.size = Math.max(this.size, end);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.dirty.add(sector);
      this.lying.delete(sector);
      this.allocated.add(sector);
    }
  }

  truncate(size: number): void {
    this.grow(size);
    if (size < this.size) {
      this.cache.fill(0, size, this.size);
      for (const set of [this.dirty, this.lying, this.allocated]) {
        for (const sector of set) if (sector * SECTOR_BYTES >= size) set.delete(sector);
      }
      if (size % SECTOR_BYTES !== 0) this.dirty.add(Math.floor(size / SECTOR_BYTES));
      this.truncatedTo = Math.min(this.truncatedTo, size);
    }
    this.size = size;
  }

  private settleTruncation(): void {
    if (this.truncatedTo < this.platterSize) this.platter.fill(0, this.truncatedTo, this.platterSize);
    this.truncatedTo = Number.POSITIVE_INFINITY;
  }

  private settle(sector: number): void {
    const start = sector * SECTOR_BYTES;
    this.growPlatter(start + SECTOR_BYTES);
    this.platter.fill(0, start, start + SECTOR_BYTES);
    const end = Math.min(this.cache.length, start + SECTOR_BYTES);
    if (end > start) this.cache.copy(this.platter, start, start, end);
  }

  sync(): void {
    this.settleTruncation();
    this.growPlatter(this.size);
    for (const sector of this.dirty) this.settle(sector);
    this.dirty.clear();
    this.platterSize = this.size;
  }

  /** What a failed write-back leaves. */
  failSync(random: Random): void {
    const settled = random.pick([0, 0.5, 0.9]);
    if (random.chance(0.5)) {
      this.settleTruncation();
      this.growPlatter(this.size);
      this.platterSize = this.size;
    }
    for (const sector of this.dirty) {
      if (sector * SECTOR_BYTES < this.platterSize && random.chance(settled)) this.settle(sector);
      else this.lying.add(sector);
    }
    this.dirty.clear();
  }

  /** Pages that count as clean leave the cache, and come back from the platter. */
  evict(): void {
    for (const sector of this.lying) {
      const start = sector * SECTOR_BYTES;
      this.cache.fill(0, start, Math.min(this.cache.length, start + SECTOR_BYTES));
      const end = Math.min(this.platterSize, start + SECTOR_BYTES);
      if (end > start) this.platter.copy(this.cache, start, start, end);
    }
    this.lying.clear();
  }

  losePower(random: Random, how: LossOfPower, older: Inode | undefined): void {
    if (this.dirty.size > 0 || this.size !== this.platterSize) this.loseSome(random, how, older);
    this.growPlatter(this.platterSize);
    this.cache = Buffer.from(this.platter);
    this.size = this.platterSize;
    this.cache.fill(0, this.size);
    this.dirty.clear();
    this.lying.clear();
    this.truncatedTo = Number.POSITIVE_INFINITY;
    for (const sector of this.allocated) if (sector * SECTOR_BYTES >= this.size) this.allocated.delete(sector);
  }

  private loseSome(random: Random, how: LossOfPower, older: Inode | undefined): void {
    const known = this.platterSize;
    if (this.truncatedTo === Number.POSITIVE_INFINITY || random.chance(0.5)) {
      this.settleTruncation();
      this.growPlatter(this.size);
      // A size that grew may have come to the disk in part.
      const some = this.size > known ? known + random.below(this.size - known + 1) : this.size;
      this.platterSize = random.pick([this.size, this.size, some, Math.min(known, this.size)]);
    }
    const settled = random.pick([0, 0.2, 0.5, 0.8, 1]);
    for (const sector of this.dirty) {
      const start = sector * SECTOR_BYTES;
      if (start >= this.platterSize) continue;
      if (random.chance(settled)) this.settle(sector);
      else if (how.tornBytes && random.chance(0.5)) this.tear(start, random);
      else if (how.stale && start >= known && older !== undefined) {
        this.growPlatter(start + SECTOR_BYTES);
        const end = Math.min(older.platterSize, start + SECTOR_BYTES);
        if (end > start) older.platter.copy(this.platter, start, start, end);
      }
    }
  }

  /** A part of a sector arrives, from its beginning or up to its end. */
  private tear(start: number, random: Random): void {
    const at = start + random.below(SECTOR_BYTES);
    const end = Math.min(this.cache.length, start + SECTOR_BYTES);
    this.growPlatter(start + SECTOR_BYTES);
    if (random.chance(0.5)) this.cache.copy(this.platter, start, start, Math.min(at, end));
    else if (at < end) this.cache.copy(this.platter, at, at, end);
  }

  clone(): Inode {
    const copy = new Inode();
    copy.put(this.cache.subarray(0, this.size), 0);
    copy.sync();
    return copy;
  }
}

type Change =
  | { readonly kind: 'create' | 'remove'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly name: string; readonly target: string; readonly inode: Inode };

function apply(names: Map<string, Inode>, change: Change): void {
  if (change.kind === 'create') names.set(change.name, change.inode);
  else if (names.get(change.name) === change.inode) names.delete(change.name);
  if (change.kind === 'rename') names.set(change.target, change.inode);
}

export class FileSystem {
  readonly names = new Map<string, Inode>();
  private platterNames = new Map<string, Inode>();
  private changes: Change[] = [];
  private readonly graves: { readonly name: string; readonly inode: Inode }[] = [];
  /** Files that are open; they take space also without a name. */
  readonly open = new Set<Inode>();
  capacityBytes = Number.POSITIVE_INFINITY;

  get usedBytes(): number {
    let sectors = 0;
    for (const inode of new Set([...this.names.values(), ...this.open])) sectors += inode.allocated.size;
    return sectors * SECTOR_BYTES;
  }

  /** How much of a write from `position` on finds space. */
  roomFor(inode: Inode, position: number, length: number): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return length;
    let free = Math.floor((this.capacityBytes - this.usedBytes) / SECTOR_BYTES);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < position + length; sector++) {
      if (inode.allocated.has(sector)) continue;
      if (--free < 0) return Math.max(0, sector * SECTOR_BYTES - position);
    }
    return length;
  }

  private change(change: Change): void {
    apply(this.names, change);
    this.changes.push(change);
  }

  create(name: string): Inode {
    const inode = new Inode();
    this.change({ kind: 'create', name, inode });
    return inode;
  }

  rename(name: string, target: string): void {
    const inode = this.names.get(name)!; // callers have looked
    const before = this.names.get(target);
    if (before !== undefined) this.bury(target, before);
    this.change({ kind: 'rename', name, target, inode });
  }

  remove(name: string): void {
    const inode = this.names.get(name);
    if (inode === undefined) return;
    this.bury(name, inode);
    this.change({ kind: 'remove', name, inode });
  }

  private bury(name: string, inode: Inode): void {
    this.graves.push({ name, inode });
    if (this.graves.length > GRAVES) this.graves.shift();
  }

  syncNames(): void {
    this.platterNames = new Map(this.names);
    this.changes = [];
  }

  /** The file that has a name on the platter. */
  onPlatter(name: string): Inode | undefined {
    return this.platterNames.get(name);
  }

  losePower(random: Random, how: LossOfPower): void {
    const names = this.platterNames;
    const kept = random.below(this.changes.length + 1);
    this.changes.forEach((change, at) => {
      if (how.anyNames ? random.chance(0.5) : at < kept) apply(names, change);
    });
    this.names.clear();
    for (const [name, inode] of names) this.names.set(name, inode);
    this.open.clear();
    for (const [name, inode] of names) {
      // What the file had before it was replaced lies near it, as likely as not.
      const older = this.graves.filter((grave) => grave.name === name);
      const graves = older.length > 0 ? older : this.graves;
      inode.losePower(random, how, graves.length > 0 ? random.pick(graves).inode : undefined);
    }
    this.syncNames();
  }

  /** What of the cache is not on the platter and counts as clean may go. */
  evict(): void {
    for (const inode of this.names.values()) inode.evict();
  }

  /** A file system of its own that has copies of these files. */
  copyOf(names: readonly string[]): FileSystem {
    const copy = new FileSystem();
    for (const name of names) {
      const inode = this.names.get(name);
      if (inode !== undefined) copy.names.set(name, inode.clone());
    }
    copy.syncNames();
    return copy;
  }
}
