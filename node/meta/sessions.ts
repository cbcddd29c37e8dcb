// The client sessions of a group. That a session is open stands in a row; which inodes it holds and when it was last
// heard of is known only here, on the leader, and told again with every renewal. After a start, or a change of leader,
// each living session has one lifetime to tell; until then nothing may be taken as unheld (`settled`). What a session
// held that was not closed but lost stays held for a while: its client may only have stood still, and comes back.

import { decode, encode } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { keyNumber, keys, sessionRowCodec, Table } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { dropSessionAnswers } from './dedupe.js';
import type { MetaAnswer, MetaRequest, Transaction, View } from './view.js';

interface Session {
  /** Whether a row says that it is open; otherwise it is known only for its retries. */
  readonly opened: boolean;
  deadlineMs: number;
  held: readonly number[];
  /** A renewal in several requests, so far. */
  telling: number[];
}

interface LostHolds {
  readonly held: readonly number[];
  readonly untilMs: number;
}

/** Milliseconds of a clock that only goes forward. */
export type Monotonic = () => number;

export class Sessions {
  private readonly sessions = new Map<number, Session>();
  /** How many sessions hold an inode. */
  private readonly holders = new Map<number, number>();
  /** Of expired sessions, oldest first. */
  private lost: LostHolds[] = [];
  private lostInodes = 0;
  private settledMs = Number.POSITIVE_INFINITY;

  constructor(private readonly monotonic: Monotonic) {}

  get size(): number {
    return this.sessions.size;
  }

  /** Reads which sessions there are; every one of them may still hold anything. */
  load(view: View): void {
    this.sessions.clear();
    this.holders.clear();
    this.lost = [];
    this.lostInodes = 0;
    const deadlineMs = this.monotonic() + limits.sessionLifetimeMs;
    this.settledMs = deadlineMs;
    view.scan(Table.SESSION, `${Table.SESSION}\xff`, (key, value) => {
      if (decode(sessionRowCodec, value).endedMs === 0) this.add(keyNumber(key), { opened: true, deadlineMs });
      return true;
    });
    for (const session of sessionsWithAnswers(view)) {
      if (!this.sessions.has(session)) this.add(session, { opened: false, deadlineMs: this.retryDeadline() });
    }
  }

  alive(session: number): boolean {
    return session === 0 || this.sessions.get(session)?.opened === true;
  }

  holds(inode: number): boolean {
    return this.holders.has(inode);
  }

  /** Whether every session that lived before this leader has told what it holds, or has expired. */
  get settled(): boolean {
    return this.monotonic() >= this.settledMs;
  }

  /** A write came from a session: it is remembered for its retries even where it was never opened. */
  seen(session: number): void {
    const known = this.sessions.get(session);
    if (known === undefined) this.add(session, { opened: false, deadlineMs: this.retryDeadline() });
    else if (!known.opened) known.deadlineMs = this.retryDeadline();
  }

  /**
   * Whether a session's writes are taken. Throws SESSION_ENDED, since the answers that a retry would need are gone with
   * the session, or BUSY where there are too many to remember one more.
   */
  admit(view: View, session: number): void {
    const known = this.sessions.get(session);
    if (known?.opened) return;
    if (known === undefined && this.sessions.size >= limits.sessions) throw tooMany();
    const row = view.get(keys.session(session));
    if (row !== undefined && decode(sessionRowCodec, row).endedMs !== 0) throw ended(session);
  }

  /** Handler of sessionOpen; `opened` follows when it is proposed. */
  open(transaction: Transaction, request: MetaRequest<'sessionOpen'>, nowMs: number): MetaAnswer<'sessionOpen'> {
    const { session, client } = request;
    if (session === 0) throw new OfsError(Status.INVAL, 'session 0 is the service itself; choose another number');
    const key = keys.session(session);
    const row = transaction.get(key);
    if (row !== undefined && decode(sessionRowCodec, row).endedMs !== 0) {
      throw ended(session);
    }
    if (row === undefined) {
      if (this.sessions.size >= limits.sessions) {
        throw tooMany();
      }
      transaction.put(key, encode(sessionRowCodec, { client, openedMs: nowMs, endedMs: 0 }));
    }
    return { lifetimeMs: limits.sessionLifetimeMs };
  }

  opened(session: number): void {
    if (this.sessions.get(session)?.opened) return;
    this.add(session, { opened: true, deadlineMs: this.monotonic() + limits.sessionLifetimeMs });
  }

  /** Handler of sessionRenew. */
  renew(request: MetaRequest<'sessionRenew'>): MetaAnswer<'sessionRenew'> {
    const session = this.sessions.get(request.session);
    if (session === undefined || !session.opened) return { known: false };
    session.deadlineMs = this.monotonic() + limits.sessionLifetimeMs;
    if (session.telling.length + request.held.length > limits.heldInodesPerSession) {
      throw new OfsError(
        Status.BUSY,
        `session ${request.session} holds more than ${limits.heldInodesPerSession} inodes; close some files`,
      );
    }
    for (const inode of request.held) session.telling.push(inode);
    if (request.more) {
      // What was told before stays held until the whole is told.
      return { known: true };
    }
    for (const inode of session.telling) this.holders.set(inode, (this.holders.get(inode) ?? 0) + 1);
    this.letGo(session.held);
    session.held = session.telling;
    session.telling = [];
    return { known: true };
  }

  /** Handler of sessionClose, and what the service does to an expired session; `closed` or `lose` follows when it is proposed. */
  end(transaction: Transaction, session: number, nowMs: number): void {
    const key = keys.session(session);
    const row = transaction.get(key);
    if (row !== undefined) {
      const before = decode(sessionRowCodec, row);
      if (before.endedMs === 0) transaction.put(key, encode(sessionRowCodec, { ...before, endedMs: nowMs }));
    }
    dropSessionAnswers(transaction, session);
  }

  closed(session: number): void {
    const known = this.sessions.get(session);
    if (known === undefined) return;
    this.letGo(known.held);
    this.sessions.delete(session);
  }

  /** In place of `closed` for a session that has expired. */
  lose(session: number): void {
    const known = this.sessions.get(session);
    if (known === undefined) return;
    this.sessions.delete(session);
    if (known.held.length === 0) return;
    this.lost.push({ held: known.held, untilMs: this.monotonic() + limits.lostHoldMs });
    this.lostInodes += known.held.length;
    this.releaseLost();
  }

  /** Sessions not heard of for their lifetime. To be asked regularly: holds of lost sessions end here. */
  expired(): number[] {
    const nowMs = this.monotonic();
    this.releaseLost();
    const found: number[] = [];
    for (const [number, session] of this.sessions) if (session.deadlineMs <= nowMs) found.push(number);
    return found;
  }

  isExpired(session: number): boolean {
    const known = this.sessions.get(session);
    return known !== undefined && known.deadlineMs <= this.monotonic();
  }

  private add(session: number, state: Pick<Session, 'opened' | 'deadlineMs'>): void {
    this.sessions.set(session, { ...state, held: [], telling: [] });
  }

  private releaseLost(): void {
    const nowMs = this.monotonic();
    let count = 0;
    for (const { held, untilMs } of this.lost) {
      if (untilMs > nowMs && this.lostInodes <= limits.lostHolds) break;
      this.letGo(held);
      this.lostInodes -= held.length;
      count++;
    }
    if (count > 0) this.lost.splice(0, count);
  }

  private letGo(held: readonly number[]): void {
    for (const inode of held) {
      const count = this.holders.get(inode)!; // counted when it was told
      if (count === 1) this.holders.delete(inode);
      else this.holders.set(inode, count - 1);
    }
  }

  /** A retry comes at most this late. */
  private retryDeadline(): number {
    return this.monotonic() + 2 * limits.requestTimeoutMs;
  }
}

function tooMany(): OfsError {
  return new OfsError(Status.BUSY, `the group has ${limits.sessions} sessions, its limit; try again later`);
}

function ended(session: number): OfsError {
  return new OfsError(Status.SESSION_ENDED, `session ${session} has ended; open another one`);
}

/** Ended sessions' rows that nobody asks for any more, `limit` at most. */
export function forgettableSessions(view: View, nowMs: number, limit: number): number[] {
  const found: number[] = [];
  view.scan(Table.SESSION, `${Table.SESSION}\xff`, (key, value) => {
    const { endedMs } = decode(sessionRowCodec, value);
    if (endedMs !== 0 && endedMs + limits.sessionEndedKeepMs <= nowMs) found.push(keyNumber(key));
    return found.length < limit;
  });
  return found;
}

function sessionsWithAnswers(view: View): number[] {
  const found: number[] = [];
  for (let next = 0; ; ) {
    let session = -1;
    view.scan(keys.ofInode(Table.DEDUPE, next), `${Table.DEDUPE}\xff`, (key) => {
      session = keyNumber(key);
      return false;
    });
    if (session < 0) return found;
    found.push(session);
    next = session + 1;
  }
}
