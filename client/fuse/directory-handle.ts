// An open directory. Entries have numbers, in the order in which they were read, for as long as the handle lives: number
// n is what follows offset n+2 (`.` and `..` stand before). Pages are kept up to limits.fuseDirectoryEntries, so that a
// reader may step back; of older ones only the cursor is kept, and they are read again by it. Offset 0 begins anew.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import type { DirectoryEntry, Vfs } from '../vfs/interface.js';
import type { NodeTable } from './nodes.js';

interface Page {
  /** Number of its first entry. */
  readonly first: number;
  readonly count: number;
  /** What `readdir` is given to read it again. */
  readonly after: ByteString;
  readonly cursor: ByteString;
  readonly end: boolean;
  entries: DirectoryEntry[] | null;
  /** The clock of changes, and the time, when it was read. */
  clock: number;
  readAtMs: number;
}

export interface Found {
  readonly number: number;
  readonly entry: DirectoryEntry;
  readonly clock: number;
  readonly readAtMs: number;
}

export class DirectoryHandle {
  private pages: Page[] = [];
  private keptEntries = 0;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    readonly inode: number,
    private readonly vfs: Vfs,
    private readonly nodes: NodeTable,
  ) {}

  /** One reader at a time: numbers are given in the order of reading. */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    const result = this.turn.then(action, action);
    this.turn = result.catch(() => undefined);
    return result;
  }

  /** Forgets all pages; for a reader that begins from the start. */
  rewind(): void {
    this.pages = [];
    this.keptEntries = 0;
  }

  /** Entry `number` if it is at hand. */
  peek(number: number): Found | undefined {
    const page = this.pageOf(number);
    const entry = page?.entries?.[number - page.first];
    return entry && { number, entry, clock: page!.clock, readAtMs: page!.readAtMs };
  }

  /** Reads until entry `from` is at hand, or the first behind it if that is gone; undefined when there is none. */
  async load(from: number): Promise<Found | undefined> {
    let number = from;
    for (;;) {
      const found = this.peek(number);
      if (found !== undefined) return found;
      const dropped = this.pageOf(number);
      if (dropped !== undefined) {
        if (dropped.entries === null) await this.reload(dropped);
        if (number - dropped.first >= dropped.entries!.length) number = dropped.first + dropped.count;
        continue;
      }
      const last = this.pages.at(-1);
      if (last?.end) return undefined;
      await this.append(last === undefined ? '' : last.cursor, last === undefined ? 0 : last.first + last.count);
    }
  }

  private pageOf(number: number): Page | undefined {
    return this.pages.findLast((page) => page.first <= number && number < page.first + page.count);
  }

  private async append(after: ByteString, first: number): Promise<void> {
    const clock = this.nodes.now;
    const readAtMs = performance.now();
    const { entries, cursor, end } = await this.vfs.readdir(this.inode, after, limits.fuseDirectoryPageEntries);
    this.pages.push({ first, count: entries.length, after, cursor, end, entries, clock, readAtMs });
    this.keptEntries += entries.length;
    for (let index = 0; this.keptEntries > limits.fuseDirectoryEntries && index < this.pages.length - 1; index++) {
      this.drop(this.pages[index]!);
    }
  }

  private drop(page: Page): void {
    if (page.entries === null) return;
    this.keptEntries -= page.entries.length;
    page.entries = null;
  }

  /** Reads a dropped page again; it may be shorter now. */
  private async reload(page: Page): Promise<void> {
    page.clock = this.nodes.now;
    page.readAtMs = performance.now();
    const { entries } = await this.vfs.readdir(this.inode, page.after, page.count);
    page.entries = entries;
    this.keptEntries += entries.length;
    for (const other of this.pages) {
      if (this.keptEntries <= limits.fuseDirectoryEntries) break;
      if (other !== page) this.drop(other);
    }
  }
}
