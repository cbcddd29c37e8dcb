// An open directory. Entries have numbers, in the order in which they were read, for as long as the handle lives: number
// n is what follows offset n+2 (`.` and `..` stand before). Pages are kept up to limits.fuseDirectoryEntries, so that a
// reader may step back; of older ones only the cursor is kept, and they are read again by it. Offset 0 begins anew.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import type { DirectoryEntry, NameEntry, Vfs } from '../vfs/interface.js';
import type { NodeTable } from './nodes.js';

/** What was read at once. */
export interface EntryPage {
  /** Number of its first entry. */
  readonly first: number;
  /** Numbers given to its entries. */
  readonly count: number;
  /** With attributes, or names alone. Null: dropped, and read again when it is asked for. */
  entries: readonly DirectoryEntry[] | readonly NameEntry[] | null;
  /** The clock of changes, and the time, when it was read. */
  clock: number;
  readAtMs: number;
}

interface Page extends EntryPage {
  /** What `readdir` is given to read it again. */
  readonly after: ByteString;
  readonly cursor: ByteString;
  readonly end: boolean;
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

  /** The page of entry `number`, if it is at hand. */
  peek(number: number): EntryPage | undefined {
    const page = this.pageOf(number);
    return page !== undefined && number - page.first < (page.entries?.length ?? 0) ? page : undefined;
  }

  /**
   * Reads until entry `from` is at hand, or the first behind it if that is gone, with or without attributes; answers its
   * page, undefined when there is none.
   */
  async load(from: number, attributes: boolean): Promise<EntryPage | undefined> {
    let number = from;
    for (;;) {
      const found = this.peek(number);
      if (found !== undefined) return found;
      const dropped = this.pageOf(number);
      if (dropped !== undefined) {
        if (dropped.entries === null) await this.reload(dropped, attributes);
        if (number - dropped.first >= dropped.entries!.length) number = dropped.first + dropped.count;
        continue;
      }
      const last = this.pages.at(-1);
      if (last?.end) return undefined;
      const [after, first] = last === undefined ? ['', 0] : [last.cursor, last.first + last.count];
      await this.append(after, first, attributes);
    }
  }

  private pageOf(number: number): Page | undefined {
    return this.pages.findLast((page) => page.first <= number && number < page.first + page.count);
  }

  private read(after: ByteString, limit: number, attributes: boolean) {
    return attributes ? this.vfs.readdir(this.inode, after, limit) : this.vfs.readNames(this.inode, after, limit);
  }

  private async append(after: ByteString, first: number, attributes: boolean): Promise<void> {
    const clock = this.nodes.now;
    const readAtMs = performance.now();
    const { entries, cursor, end } = await this.read(after, limits.fuseDirectoryPageEntries, attributes);
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
  private async reload(page: Page, attributes: boolean): Promise<void> {
    page.clock = this.nodes.now;
    page.readAtMs = performance.now();
    const { entries } = await this.read(page.after, page.count, attributes);
    page.entries = entries;
    this.keptEntries += entries.length;
    for (const other of this.pages) {
      if (this.keptEntries <= limits.fuseDirectoryEntries) break;
      if (other !== page) this.drop(other);
    }
  }
}
