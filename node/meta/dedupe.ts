// Retries are answered, not run again: with the changes of a write by a session stands a row with its answer, in the
// same transaction. Which rows a session has is known here in memory, read from the table when the session is first
// met, so that a row is dropped, in a later write of the session, when the session says that it needs it no more.
// What failed or changed nothing leaves no row: running it again does no harm.

import assert from 'node:assert';
import { decode, encode } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { dedupeRowCodec, keyNumber, keys, Table } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Transaction, View } from './view.js';

export interface RequestIdentity {
  readonly session: number;
  readonly number: number;
  readonly window: number;
}

export interface KeptAnswer {
  status: number;
  body: Uint8Array;
}

interface SessionAnswers {
  /** Requests below it are refused: their answers may be gone. */
  floor: number;
  /** Numbers of the rows that stand, rising; those before `first` are gone. */
  numbers: number[];
  first: number;
}

const NUMBER_AT = 9;
const COMPACT_AT = 64;

export class Dedupe {
  private readonly sessions = new Map<number, SessionAnswers>();

  /** Forgets everything: proposals that it counted on were dropped. */
  clear(): void {
    this.sessions.clear();
  }

  forget(session: number): void {
    this.sessions.delete(session);
  }

  /** The answer kept for a request that was run before. Throws RETRY_TOO_OLD where none is kept any more. */
  find(view: View, identity: RequestIdentity): KeptAnswer | undefined {
    const row = view.get(keys.dedupe(identity.session, identity.number));
    if (row !== undefined) return decode(dedupeRowCodec, row);
    const { floor } = this.session(view, identity.session);
    if (identity.number >= floor) return undefined;
    throw new OfsError(
      Status.RETRY_TOO_OLD,
      `request ${identity.number} of session ${identity.session} is below ${floor}: its answer is no longer kept; ` +
        'look up what it did before doing it again',
    );
  }

  /** Puts the row of an answer, and drops those that the session needs no more, within the request's transaction. */
  keep(transaction: Transaction, identity: RequestIdentity, answer: KeptAnswer): void {
    const known = this.session(transaction, identity.session);
    const { floor, first } = next(known, identity);
    const row = { floor, status: answer.status, body: answer.body };
    for (let at = known.first; at < first; at++) {
      transaction.delete(keys.dedupe(identity.session, known.numbers[at]!));
    }
    transaction.put(keys.dedupe(identity.session, identity.number), encode(dedupeRowCodec, row));
  }

  /** The transaction of `keep` was proposed: what it did is so from now on. */
  kept(identity: RequestIdentity): void {
    const known = this.sessions.get(identity.session);
    assert(known !== undefined, 'kept follows keep');
    const { floor, first } = next(known, identity);
    const { numbers } = known;
    known.floor = floor;
    known.first = first;
    let at = numbers.length;
    while (at > first && numbers[at - 1]! > identity.number) at--;
    numbers.splice(at, 0, identity.number);
    if (known.first > COMPACT_AT && known.first * 2 > numbers.length) {
      numbers.splice(0, known.first);
      known.first = 0;
    }
  }

  private session(view: View, session: number): SessionAnswers {
    let known = this.sessions.get(session);
    if (known === undefined) {
      const read: SessionAnswers = { floor: 0, numbers: [], first: 0 };
      const prefix = keys.ofInode(Table.DEDUPE, session);
      view.scan(prefix, keys.afterInode(Table.DEDUPE, session), (key, value) => {
        read.numbers.push(keyNumber(key, NUMBER_AT));
        read.floor = Math.max(read.floor, decode(dedupeRowCodec, value).floor);
        return true;
      });
      this.sessions.set(session, read);
      known = read;
    }
    return known;
  }
}

/** The floor when the request's own row is added, and the first row that is kept. */
function next(known: SessionAnswers, identity: RequestIdentity): { floor: number; first: number } {
  const { numbers } = known;
  let floor = Math.max(known.floor, identity.number - identity.window);
  let first = known.first;
  while (first < numbers.length && numbers[first]! < floor) first++;
  if (numbers.length - first >= limits.dedupeRowsPerSession) {
    floor = numbers[first]! + 1;
    first++;
  }
  return { floor, first };
}

/** Deletes every row of a session. */
export function dropSessionAnswers(transaction: Transaction, session: number): void {
  const found: string[] = [];
  const prefix = keys.ofInode(Table.DEDUPE, session);
  transaction.scan(prefix, keys.afterInode(Table.DEDUPE, session), (key) => {
    found.push(key);
    return true;
  });
  for (const key of found) transaction.delete(key);
}
