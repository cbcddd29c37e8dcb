// What a lookup has brought along: entries that lie behind the name in the order of keys. A program that goes through a
// directory asks for those next, and is answered from here, without a request, for as long as the kernel itself might
// believe such an answer. What this mount changes is known here at once; what others change is seen when the time is
// over. That a name is not there is never answered from here: somebody may have made it and closed it, and an open that
// comes after sees it. Memory is bounded: the directories asked longest ago go first.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { type Attr, isEscaped } from '../../proto/meta/index.js';
import type { Neighbourhood } from '../vfs/interface.js';
import type { NodeTable } from './nodes.js';

/** An answer at hand. */
export interface Known {
  readonly attr: Attr;
  /** How old what it says is. */
  readonly ageMs: number;
}

interface Entry {
  readonly attr: Attr;
  readonly clock: number;
  readonly readAtMs: number;
}

/** What one answer has brought along. */
interface Page {
  readonly entries: Map<ByteString, Entry>;
  hits: number;
}

interface Directory {
  /** The newest first. */
  readonly pages: Page[];
  /** Entries that the next request asks for. */
  wanted: number;
  /** Requests since nothing is asked for. */
  without: number;
  /** Requests under way. */
  asking: number;
  /** Names changed while requests were under way, with the clock of the change. */
  readonly changes: { readonly name: ByteString; readonly clock: number }[];
}

/** A request under way. */
export interface Asking {
  readonly wanted: number;
  readonly clock: number;
  readonly atMs: number;
}

const FIRST_WANTED = 16;
const PAGES = 4;
/** After so many requests without neighbours a directory is tried again. */
const TRIED_AGAIN = 64;

export class Neighbours {
  private readonly directories = new Map<number, Directory>();
  private entries = 0;

  constructor(
    private readonly nodes: NodeTable,
    /** How old an answer may be; 0: nothing is kept. */
    private readonly lifeMs: number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get size(): number {
    return this.entries;
  }

  /** Undefined: it has to be asked. */
  find(parent: number, name: ByteString): Known | undefined {
    const directory = this.directories.get(parent);
    if (directory === undefined) return undefined;
    for (const page of directory.pages) {
      const entry = page.entries.get(name);
      if (entry === undefined) continue;
      const ageMs = this.nowMs() - entry.readAtMs;
      if (ageMs >= this.lifeMs || !this.isCurrent(entry)) return undefined;
      page.hits++;
      return { attr: entry.attr, ageMs };
    }
    return undefined;
  }

  /** Null: the name is asked for by itself. Otherwise to be followed by `learn` or `failed`. */
  ask(parent: number, name: ByteString): Asking | null {
    if (this.lifeMs === 0 || isEscaped(name)) return null;
    let directory = this.directories.get(parent);
    if (directory === undefined) {
      directory = { pages: [], wanted: FIRST_WANTED, without: 0, asking: 0, changes: [] };
      this.directories.set(parent, directory);
      this.shrink();
    }
    // What is known and not current any more was asked for by itself: its neighbours are here.
    const known = directory.pages.some(({ entries }) => entries.has(name));
    if (known || directory.changes.length >= limits.fuseRequestsInFlight) return null;
    adapt(directory);
    if (directory.wanted === 0) return null;
    directory.asking++;
    return { wanted: directory.wanted, clock: this.nodes.now, atMs: this.nowMs() };
  }

  failed(parent: number): void {
    const directory = this.directories.get(parent);
    if (directory !== undefined) asked(directory);
  }

  /** The entries that came along; that of the name itself the kernel is told. */
  learn(parent: number, asking: Asking, found: Neighbourhood): void {
    const directory = this.directories.get(parent);
    if (directory === undefined) return;
    const { clock, atMs: readAtMs } = asking;
    const entries = new Map<ByteString, Entry>();
    for (const { name, attr } of found.entries) entries.set(name, { attr, clock, readAtMs });
    for (const change of directory.changes) if (change.clock > clock) entries.delete(change.name);
    asked(directory);
    this.entries += entries.size;
    directory.pages.unshift({ entries, hits: 0 });
    if (directory.pages.length > PAGES) this.drop(directory.pages.pop()!); // more than none
    // Asked last goes last.
    this.directories.delete(parent);
    this.directories.set(parent, directory);
    this.shrink();
  }

  /** This mount has changed what a name stands for: `NodeTable.change` has been told of it. */
  changed(parent: number, name: ByteString): void {
    const directory = this.directories.get(parent);
    if (directory === undefined) return;
    // What is on its way may be older.
    if (directory.asking > 0) directory.changes.push({ name, clock: this.nodes.now });
    for (const { entries } of directory.pages) if (entries.delete(name)) this.entries--;
  }

  /** Something known here has turned out to be old. */
  clear(): void {
    for (const directory of this.directories.values()) {
      for (const page of directory.pages.splice(0)) this.drop(page);
    }
  }

  private isCurrent({ attr, clock }: Entry): boolean {
    return this.nodes.isCurrent(attr.inode, clock) && this.nodes.isNewest(attr);
  }

  private shrink(): void {
    for (const [inode, directory] of this.directories) {
      const crowded = this.entries > limits.fuseNeighbours || this.directories.size > limits.fuseNeighbours;
      if (!crowded) return;
      for (const page of directory.pages.splice(0)) this.drop(page);
      if (directory.asking === 0) this.directories.delete(inode);
    }
  }

  private drop(page: Page): void {
    this.entries -= page.entries.size;
    assert(this.entries >= 0);
  }
}

function asked(directory: Directory): void {
  directory.asking--;
  if (directory.asking === 0) directory.changes.length = 0;
}

/** More of what is used, less of what is not, down to nothing. */
function adapt(directory: Directory): void {
  if (directory.wanted === 0) {
    directory.without++;
    if (directory.without < TRIED_AGAIN) return;
    directory.without = 0;
    directory.wanted = FIRST_WANTED;
    return;
  }
  const last = directory.pages[0];
  if (last === undefined) return;
  if (last.hits * 2 >= directory.wanted) directory.wanted = Math.min(directory.wanted * 4, limits.neighbours);
  else if (last.hits === 0) directory.wanted >>= 2;
}
