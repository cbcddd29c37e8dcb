// What a lookup has brought along: entries that lie behind the name in the order of keys, and that there are no others
// between them. Programs that go through a directory ask for those next, or make files where there were none; they are
// answered from here, without a request, for as long as the kernel itself might believe such an answer. What this mount
// changes is known here at once; what others change is seen when the time is over. Memory is bounded: the directories
// asked longest ago go first.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { type Attr, isDirectory, isEscaped } from '../../proto/meta/index.js';
import type { Neighbourhood } from '../vfs/interface.js';
import type { NodeTable } from './nodes.js';

/** An answer at hand; `attr` null: there is no such entry. */
export interface Known {
  readonly attr: Attr | null;
  /** How old what it says is. */
  readonly ageMs: number;
}

interface Entry {
  readonly attr: Attr;
  readonly clock: number;
  readonly readAtMs: number;
}

/** Keys from `from` to `to`, of which all that stand are in `entries`. Null there: it has to be asked. */
interface Stretch {
  readonly from: ByteString;
  readonly to: ByteString;
  /** Nothing lies behind `from` but `entries`; `to` says nothing. */
  readonly end: boolean;
  readonly readAtMs: number;
  readonly entries: Map<ByteString, Entry | null>;
  hits: number;
}

interface Directory {
  readonly stretches: Stretch[];
  /** Entries that the next request asks for. */
  wanted: number;
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
const STRETCHES = 4;

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
    const now = this.nowMs();
    for (const stretch of directory.stretches) {
      const ageMs = now - stretch.readAtMs;
      if (ageMs >= this.lifeMs || !covers(stretch, name)) continue;
      const entry = stretch.entries.get(name);
      if (entry === undefined) {
        stretch.hits++;
        return { attr: null, ageMs };
      }
      if (entry === null || now - entry.readAtMs >= this.lifeMs) return undefined;
      if (!this.nodes.isCurrent(entry.attr.inode, entry.clock)) return undefined;
      stretch.hits++;
      return { attr: entry.attr, ageMs: now - entry.readAtMs };
    }
    return undefined;
  }

  /** Null: the name is asked for by itself. Otherwise to be followed by `learn` or `failed`. */
  ask(parent: number, name: ByteString): Asking | null {
    if (this.lifeMs === 0 || isEscaped(name)) return null;
    let directory = this.directories.get(parent);
    if (directory === undefined) {
      directory = { stretches: [], wanted: FIRST_WANTED, asking: 0, changes: [] };
      this.directories.set(parent, directory);
    }
    const atMs = this.nowMs();
    const known = directory.stretches.some((stretch) => atMs - stretch.readAtMs < this.lifeMs && covers(stretch, name));
    if (known || directory.changes.length >= limits.fuseRequestsInFlight) return null;
    adapt(directory);
    directory.asking++;
    return { wanted: directory.wanted, clock: this.nodes.now, atMs };
  }

  failed(parent: number): void {
    const directory = this.directories.get(parent);
    if (directory !== undefined) this.asked(directory);
  }

  learn(parent: number, name: ByteString, asking: Asking, found: Neighbourhood): void {
    const directory = this.directories.get(parent);
    if (directory === undefined) return;
    const { clock, atMs: readAtMs } = asking;
    const { end, cursor: to } = found;
    const entries = new Map<ByteString, Entry | null>();
    if (found.attr !== null) entries.set(name, { attr: found.attr, clock, readAtMs });
    for (const entry of found.entries) {
      if (entry.name !== name) entries.set(entry.name, { attr: entry.attr, clock, readAtMs });
    }
    const stretch = { from: name, to, end, readAtMs, entries, hits: 0 };
    for (const change of directory.changes) {
      if (change.clock > clock && covers(stretch, change.name)) entries.set(change.name, null);
    }
    this.asked(directory);
    this.entries += entries.size;
    directory.stretches.unshift(stretch);
    if (directory.stretches.length > STRETCHES) this.drop(directory.stretches.pop()!); // more than none
    // Asked last goes last.
    this.directories.delete(parent);
    this.directories.set(parent, directory);
    this.shrink();
  }

  /** This mount has made an entry: `NodeTable.change` has been told of it. */
  made(parent: number, name: ByteString, attr: Attr): void {
    this.change(parent, name, { attr, clock: this.nodes.now, readAtMs: this.nowMs() });
  }

  /** This mount has taken an entry away. A file may come to light where a directory was (proto/meta/names.ts). */
  gone(parent: number, name: ByteString): void {
    const directory = this.directories.get(parent);
    if (directory === undefined) return;
    note(directory, name, this.nodes.now);
    for (const { entries } of directory.stretches) {
      const entry = entries.get(name);
      if (entry === undefined) continue;
      if (entry === null || isDirectory(entry.attr)) {
        entries.set(name, null);
      } else {
        entries.delete(name);
        this.entries--;
      }
    }
  }

  /** What a name stands for has changed, and has to be asked. */
  unsure(parent: number, name: ByteString): void {
    this.change(parent, name, null);
  }

  /** Something known here has turned out to be old. */
  clear(): void {
    for (const directory of this.directories.values()) {
      for (const stretch of directory.stretches.splice(0)) this.drop(stretch);
    }
  }

  private change(parent: number, name: ByteString, entry: Entry | null): void {
    const directory = this.directories.get(parent);
    if (directory === undefined) return;
    note(directory, name, this.nodes.now);
    for (const stretch of directory.stretches) {
      if (!covers(stretch, name)) continue;
      if (!stretch.entries.has(name)) this.entries++;
      stretch.entries.set(name, entry);
    }
    this.shrink();
  }

  private asked(directory: Directory): void {
    directory.asking--;
    if (directory.asking === 0) directory.changes.length = 0;
  }

  private shrink(): void {
    for (const [inode, directory] of this.directories) {
      const crowded = this.entries > limits.fuseNeighbours || this.directories.size > limits.fuseNeighbours;
      if (!crowded) return;
      for (const stretch of directory.stretches.splice(0)) this.drop(stretch);
      if (directory.asking === 0) this.directories.delete(inode);
    }
  }

  private drop(stretch: Stretch): void {
    this.entries -= stretch.entries.size;
    assert(this.entries >= 0);
  }
}

/** What is on its way may be older. */
function note({ asking, changes }: Directory, name: ByteString, clock: number): void {
  if (asking > 0) changes.push({ name, clock });
}

/** Whether all is known of a name: of a file's key, and of a directory's, which has a `/` behind it. */
function covers({ from, to, end }: Stretch, name: ByteString): boolean {
  return name >= from && (end || name === from || `${name}/` <= to);
}

/** More of what is used, less of what is not. */
function adapt(directory: Directory): void {
  const last = directory.stretches[0];
  if (last === undefined) return;
  const { hits } = last;
  if (hits * 2 >= directory.wanted) directory.wanted = Math.min(directory.wanted * 4, limits.neighbours);
  else if (hits === 0) directory.wanted = Math.max(1, directory.wanted >> 2);
}
