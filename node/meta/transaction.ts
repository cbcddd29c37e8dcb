// The state as it will be when everything proposed has been applied: the rows of LMDB, covered by the changes of
// proposals under way. Transactions run here one after another, on the owner thread, so that proposals need not wait
// for each other. Every version of a row knows the proposal it came with: what is applied sinks into LMDB, what is
// dropped or fails uncovers the version below it, exactly.

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import type { ByteString, Writer } from '../../proto/codec.js';
import { writeDelete, writePut } from '../../proto/meta/index.js';
import { SortedKeys } from './sorted-keys.js';
import type { Transaction, View } from './view.js';

/** Whoever waits until what it has read is certain: told once, in order. */
export interface Waiter {
  /** Nothing else is done until it is told. */
  readonly isPressing: boolean;
  settle(applied: boolean): void;
}

/** The changes of one transaction, from its first row until they are applied or dropped. */
export class Proposal {
  /** Of the log; 0 while the transaction runs. */
  index = 0;
  readonly keys: ByteString[] = [];
  readonly waiters: Waiter[] = [];
}

interface Version {
  /** Undefined: the row is deleted. */
  value: Buffer | undefined;
  readonly owner: Proposal;
  older: Version | undefined;
}

export class PendingState implements Transaction {
  private readonly newest = new Map<ByteString, Version>();
  private readonly sorted = new SortedKeys();
  private current: Proposal | null = null;

  constructor(private readonly base: View) {}

  /** Rows that are covered. */
  get size(): number {
    return this.newest.size;
  }

  begin(): Proposal {
    assert(this.current === null, 'one transaction at a time');
    this.current = new Proposal();
    return this.current;
  }

  /** Ends the running transaction and leaves its changes in place, to be `applied` or `dropped`. */
  keep(): void {
    assert(this.current !== null);
    this.current = null;
  }

  /** Ends the running transaction and takes its changes back. */
  rollback(): void {
    assert(this.current !== null);
    this.dropped(this.current);
    this.current = null;
  }

  get(key: ByteString): Buffer | undefined {
    const version = this.newest.get(key);
    return version === undefined ? this.base.get(key) : version.value;
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    const pending = this.sorted.from(start);
    if (pending.key === undefined || pending.key >= end) {
      this.base.scan(start, end, visit);
      return;
    }
    let going = true;
    /** Pending rows below `limit`, in order. */
    const emit = (limit: ByteString): void => {
      while (going && pending.key !== undefined && pending.key < limit) {
        const { key } = pending;
        const { value } = this.newest.get(key)!; // `sorted` holds the keys of `newest`
        pending.advance();
        if (value !== undefined) going = visit(key, value);
      }
    };
    this.base.scan(start, end, (key, value) => {
      emit(key);
      if (!going || pending.key === key) return going;
      going = visit(key, value);
      return going;
    });
    emit(end);
  }

  put(key: ByteString, value: Buffer): void {
    this.change(key, value);
  }

  delete(key: ByteString): void {
    this.change(key, undefined);
  }

  /** The write set of a proposal. Throws RangeError where the writer's limit is below it. */
  encode(proposal: Proposal, writer: Writer): void {
    for (const key of proposal.keys) {
      const version = this.newest.get(key);
      assert(version !== undefined && version.owner === proposal, 'encoded while it is the newest');
      if (version.value === undefined) writeDelete(writer, key);
      else writePut(writer, key, version.value);
    }
  }

  /** The proposal, the oldest that is left, stands in the rows below. */
  applied(proposal: Proposal): void {
    for (const key of proposal.keys) {
      let version = this.newest.get(key);
      assert(version !== undefined);
      if (version.owner === proposal) {
        this.newest.delete(key);
        this.sorted.remove(key);
        continue;
      }
      while (version.older !== undefined && version.older.owner !== proposal) version = version.older;
      assert(version.older?.owner === proposal && version.older.older === undefined, 'applied in order');
      version.older = undefined;
    }
  }

  /** The proposal, the newest that is left, will never be. */
  dropped(proposal: Proposal): void {
    for (const key of proposal.keys) {
      const version = this.newest.get(key);
      assert(version !== undefined && version.owner === proposal, 'dropped from the newest down');
      if (version.older !== undefined) {
        this.newest.set(key, version.older);
      } else {
        this.newest.delete(key);
        this.sorted.remove(key);
      }
    }
  }

  private change(key: ByteString, value: Buffer | undefined): void {
    const owner = this.current;
    assert(owner !== null, 'rows change within a transaction');
    const version = this.newest.get(key);
    if (version?.owner === owner) {
      version.value = value;
      return;
    }
    if (version === undefined) this.sorted.insert(key);
    this.newest.set(key, { value, owner, older: version });
    owner.keys.push(key);
  }
}
