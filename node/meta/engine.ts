// A group's rows in LMDB: one environment, one unnamed database, keys written as the bytes of a ByteString. Commits
// never sync, for the log is what lasts (design.md, section 4): this file survives a crash of the process, and a crash
// of the machine only through checkpoint.ts. The owner thread alone writes; every thread of the process may read.
// Values handed out lie in a buffer that the thread's next read writes over (view.ts).

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { type Transaction as LmdbTransaction, open, type RootDatabase } from 'lmdb';
import { type ByteString, decode, encode, Reader } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { appliedRowCodec, keys, partitionRowCodec, readWriteSet } from '../../proto/meta/index.js';
import type { CommittedEntry } from '../raft/interface.js';
import type { Transaction, View } from './view.js';

const APPLIED_KEY = keys.state('applied');
/** lmdb's flag for a transaction that commits before it returns, and cannot be nested or aborted for its own sake. */
const SYNCHRONOUS_COMMIT = 2;

const keyEncoder = {
  writeKey: (key: ByteString, target: Buffer, start: number): number => start + target.latin1Write(key, start),
  readKey: (target: Buffer, start: number, end: number): ByteString => target.latin1Slice(start, end),
};

/** lmdb reads into one buffer again and again, and says its length beside it. */
const valueEncoder = {
  encode: (value: Buffer): Buffer => value,
  decode: (value: Buffer, length = value.length): Buffer => value.subarray(0, length),
};

/** lmdb takes the options of `get` here too, and does not say so in its types. */
type Database = RootDatabase<Buffer, ByteString> & {
  getBinaryFast(key: ByteString, options?: { transaction: LmdbTransaction }): Buffer | undefined;
};

/** Address space for a database that another process makes longer. */
const OUTSIDE_MAP_BYTES = 2 ** 40;

function openEnvironment(path: string, outside: boolean): Database {
  return open<Buffer, ByteString>(path, {
    noSubdir: true,
    noSync: true,
    encoding: 'binary',
    encoder: valueEncoder,
    keyEncoder,
    maxReaders: limits.metaReaders,
    readOnly: outside,
    // The map grows by itself where it is written; there the first size only spares the first steps.
    mapSize: outside ? OUTSIDE_MAP_BYTES : limits.metaMapBytes,
  });
}

/** What a database says of itself: how far in the log it is, and a hash that two copies at one place share. */
export interface AppliedState {
  index: number;
  term: number;
  logHash: number;
}

/** What a group's state machine needs of an engine: LMDB here, an ordered map in the simulation. */
export interface GroupEngine extends View {
  applied(): AppliedState;
  apply(entries: readonly CommittedEntry[], from: AppliedState): AppliedState;
  /** The rows as they are now, until it is released. */
  snapshot(): View & { release(): void };
}

const PARTITION_KEY = keys.state('partition');

/** The partition whose inodes a group makes; undefined before its first rows stand. */
export function partitionOf(view: View): number | undefined {
  const row = view.get(PARTITION_KEY);
  return row === undefined ? undefined : decode(partitionRowCodec, row).partition;
}

export function setPartition(transaction: Transaction, partition: number): void {
  transaction.put(PARTITION_KEY, encode(partitionRowCodec, { partition }));
}

function appliedState(view: View): AppliedState {
  const row = view.get(APPLIED_KEY);
  return row === undefined ? { index: 0, term: 0, logHash: 0 } : decode(appliedRowCodec, row);
}

/** Rows as any thread reads them. Each thread opens an Engine of its own on a path; lmdb shares the map among them. */
export class Engine implements GroupEngine {
  private readonly database: Database;
  private readonly reader = new Reader();
  /** What entries that are applied together leave of each row: counters and directories change with every one of them. */
  private readonly rows = new Map<ByteString, Buffer | undefined>();
  private readonly change = (key: ByteString, value: Buffer | undefined): void => void this.rows.set(key, value);
  readonly pageSize: number;

  /** `outside`: another process writes it. */
  constructor(path: string, outside = false) {
    this.database = openEnvironment(path, outside);
    this.pageSize = (this.database.getStats() as { pageSize: number }).pageSize;
  }

  get(key: ByteString): Buffer | undefined {
    const value = this.database.getBinaryFast(key);
    return value === undefined ? undefined : value.subarray(0, value.length);
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    for (const { key, value } of this.database.getRange({ start, end })) if (!visit(key, value)) return;
  }

  /** Lets go what processes that are no more were reading. */
  forgetDeadReaders(): void {
    this.database.readerCheck();
  }

  /** Ends the snapshot that reads are made from: the next read sees every commit made before it, by any thread. */
  refresh(): void {
    this.database.resetReadTxn();
  }

  applied(): AppliedState {
    return appliedState(this);
  }

  /** Applies entries in order, in one commit together with their index and term; answers where the database is then. */
  apply(entries: readonly CommittedEntry[], from: AppliedState): AppliedState {
    const state = { ...from };
    const { database, reader, rows } = this;
    for (const entry of entries) {
      assert.strictEqual(entry.index, state.index + 1, 'entries are applied one after another');
      state.index = entry.index;
      state.term = entry.term;
      if (entry.payload.length === 0) continue;
      state.logHash = crc32(entry.payload, state.logHash);
      readWriteSet(reader.reset(entry.payload), this.change);
    }
    try {
      database.transactionSync(() => {
        for (const [key, value] of rows) {
          if (value === undefined) database.remove(key);
          else database.put(key, value);
        }
        database.put(APPLIED_KEY, encode(appliedRowCodec, state));
      }, SYNCHRONOUS_COMMIT);
    } finally {
      rows.clear();
    }
    return state;
  }

  /** The rows as they are now, for as long as it is not released; space of what is deleted meanwhile stays taken. */
  snapshot(): EngineSnapshot {
    return new EngineSnapshot(this.database);
  }

  close(): Promise<void> {
    return this.database.close();
  }
}

export class EngineSnapshot implements View {
  private readonly transaction: LmdbTransaction;

  constructor(private readonly database: Database) {
    this.transaction = database.useReadTransaction();
  }

  get(key: ByteString): Buffer | undefined {
    const value = this.database.getBinaryFast(key, { transaction: this.transaction });
    return value === undefined ? undefined : value.subarray(0, value.length);
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    const rows = this.database.getRange({ start, end, transaction: this.transaction });
    for (const { key, value } of rows) if (!visit(key, value)) return;
  }

  applied(): AppliedState {
    return appliedState(this);
  }

  release(): void {
    this.transaction.done();
  }
}
