// Which files a FLUSH has anything to say of. A file open for writing has a word in memory that the device threads share:
// SETTLED while everything that this mount wrote to it is flushed, and then the thread that reads a FLUSH answers it; in
// all other cases the engine does. A handle names its file's word in its upper half (0: none, the engine answers).
//
// Why a FLUSH that a thread answers is one that the engine would have found nothing to do for:
// - The word is the file's, not the handle's: the kernel writes pages back through any handle that is open for writing,
//   whoever made them dirty, and dup gives one handle to several.
// - WRITEs alone leave something to flush or to tell of (everything else that changes a file is done when it is
//   answered, or has failed). The word says OWING before the WRITE is begun, so before it is answered; and a close, also
//   one that has dirty pages, sends its FLUSH after all its WRITEs were answered. A WRITE beside it has no order with it.
// - It says SETTLED again only when a flush has succeeded during which no WRITE was begun, under way or ended; also a
//   WRITE that failed counts, as it may have left bytes. Errors of writes that were dropped come out of that flush, or of
//   one before it, which left the file owing.
// - What is still owing when the last handle goes (pages of a mapping that outlived its descriptor, a close that failed)
//   is remembered, so the next open begins with OWING. If there is too much to remember, nobody is believed settled.
// - A word is used again only after RELEASE of the last handle that names it, which the kernel sends when each FLUSH of
//   the handle was answered.

import assert from 'node:assert';
import { limits } from '../../proto/limits.js';
import { FlushWord } from './shared.js';

export interface Account {
  /** 0 where all words are taken. */
  readonly word: number;
  /** Handles open for writing. */
  handles: number;
  /** WRITEs begun or ended, ever; and those under way. */
  moves: number;
  underWay: number;
  settled: boolean;
}

export class FlushAccounts {
  readonly shared = new SharedArrayBuffer(limits.fuseFlushWords * 4);
  private readonly words = new Int32Array(this.shared);
  private readonly spare: number[] = [];
  private readonly accounts = new Map<number, Account>();
  /** Inodes closed while they owed a flush. */
  private readonly owing = new Set<number>();
  private overflowed = false;

  constructor() {
    for (let word = limits.fuseFlushWords - 1; word > 0; word--) this.spare.push(word);
  }

  /** One more handle is open for writing. Answers the file's word. */
  open(inode: number): number {
    let account = this.accounts.get(inode);
    if (account === undefined) {
      const settled = !this.overflowed && !this.owing.delete(inode);
      account = { word: this.spare.pop() ?? 0, handles: 0, moves: 0, underWay: 0, settled };
      this.accounts.set(inode, account);
      this.show(account, settled);
    }
    account.handles++;
    return account.word;
  }

  close(inode: number): void {
    const account = this.account(inode);
    if (--account.handles > 0) return;
    assert(account.underWay === 0, 'a write outlives its handle');
    this.accounts.delete(inode);
    if (!account.settled) this.remember(inode);
    if (account.word !== 0) this.spare.push(account.word);
  }

  /** Before the bytes of a WRITE are handed on. */
  beginWrite(inode: number): Account {
    const account = this.account(inode);
    account.moves++;
    account.underWay++;
    if (account.settled) this.show(account, false);
    return account;
  }

  /** Before the WRITE is answered, whatever came of it. */
  endWrite(account: Account): void {
    account.moves++;
    account.underWay--;
  }

  /** Before a flush, also one through a handle open for reading: what `flushed` is to be given if it succeeds. */
  beginFlush(inode: number): number {
    return this.accounts.get(inode)?.moves ?? 0;
  }

  /** The flush that began at `moves` has succeeded. */
  flushed(inode: number, moves: number): void {
    const account = this.accounts.get(inode);
    if (account === undefined || account.settled || account.underWay > 0 || account.moves !== moves) return;
    this.show(account, true);
  }

  private account(inode: number): Account {
    const account = this.accounts.get(inode);
    assert(account !== undefined, 'a file is written through a handle open for writing');
    return account;
  }

  private show(account: Account, settled: boolean): void {
    account.settled = settled;
    if (account.word !== 0) Atomics.store(this.words, account.word, settled ? FlushWord.SETTLED : FlushWord.OWING);
  }

  private remember(inode: number): void {
    if (this.owing.size < limits.fuseOwingFiles) this.owing.add(inode);
    else this.overflowed = true;
  }
}
