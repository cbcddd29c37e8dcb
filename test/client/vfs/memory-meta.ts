// A metadata service in memory for tests of its clients: the service's own operations over rows in a map, one
// transaction at a time, with sessions that can be ended and answers that can be lost.

import assert from 'node:assert';
import { crc32 } from 'node:zlib';
import type { MetaChannel } from '../../../client/channel/index.js';
import { bootstrap, readHandlers, writeHandlers } from '../../../node/meta/operations/index.js';
import type { MetaAnswer, MetaRequest, Transaction, WriteContext } from '../../../node/meta/view.js';
import type { ByteString } from '../../../proto/codec.js';
import { decode, encode } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { type MetaOperationName, metaOperations, type Time } from '../../../proto/meta/index.js';
import type { Operation } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';
import { inlinedOf } from '../../node/meta-operations/memory.js';

type Handler = (transaction: Transaction, request: unknown, context: WriteContext) => unknown;

/** What befalls one request: fails before it is done, or is done and its answer lost. */
export type Mishap = { before?: OfsError; after?: OfsError };

export class MemoryMetaService {
  readonly partition = 1;
  readonly root = rootInode(1);
  readonly held = new Map<number, number>();
  readonly ended = new Set<number>();
  /** Blocks that the service has at hand. */
  blocks: Map<number, Buffer> | null = null;
  /** Writes bytes that come with their commit, and answers their blob. */
  writeBlock: ((data: Buffer) => number) | null = null;
  private rows = new Map<ByteString, Buffer>();
  private order: ByteString[] = [];
  private tokens = 0;

  constructor() {
    this.transact((transaction) => bootstrap(transaction, this.context()));
  }

  run(name: MetaOperationName, request: unknown): unknown {
    if (name === 'sessionOpen') return { lifetimeMs: 1000 };
    const read = (readHandlers as unknown as Record<string, Handler | undefined>)[name];
    if (read !== undefined) return read(this.view(new Map()), request, this.context());
    const write = (writeHandlers as unknown as Record<string, Handler | undefined>)[name];
    assert(write !== undefined, `no handler of ${name}`);
    return this.transact((transaction) => write(transaction, request, this.context()));
  }

  hold(inode: number, change: number): void {
    const count = (this.held.get(inode) ?? 0) + change;
    assert(count >= 0, `inode ${inode} let go more often than held`);
    if (count === 0) this.held.delete(inode);
    else this.held.set(inode, count);
  }

  private context(): WriteContext {
    const ms = Date.now();
    const now: Time = { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
    return {
      partition: this.partition,
      now,
      holds: (inode) => this.held.has(inode),
      blockBytes: (block, length) => inlinedOf(block, this.blocks?.get(block), length),
      sessionAlive: (session) => !this.ended.has(session),
      token: () => (++this.tokens).toString(16).padStart(32, '0'),
    };
  }

  private transact<T>(work: (transaction: Transaction) => T): T {
    const changes = new Map<ByteString, Buffer | null>();
    const result = work(this.view(changes));
    for (const [key, value] of changes) {
      if (value === null) this.rows.delete(key);
      else this.rows.set(key, value);
    }
    this.order = [...this.rows.keys()].sort();
    return result;
  }

  private view(changes: Map<ByteString, Buffer | null>): Transaction {
    const get = (key: ByteString): Buffer | undefined =>
      changes.has(key) ? (changes.get(key) ?? undefined) : this.rows.get(key);
    return {
      get,
      scan: (start, end, visit) => {
        const keys = changes.size === 0 ? this.order : [...new Set([...this.order, ...changes.keys()])].sort();
        for (const key of keys) {
          if (key < start || key >= end) continue;
          const value = get(key);
          if (value !== undefined && !visit(key, value)) return;
        }
      },
      put: (key, value) => void changes.set(key, value),
      delete: (key) => void changes.set(key, null),
    };
  }
}

export class MemoryMeta implements MetaChannel {
  readonly calls: MetaOperationName[] = [];
  sessionNumber = 1;
  /** Asked before every request that goes to the service. */
  mishap: ((name: MetaOperationName, request: unknown) => Mishap | null) | null = null;
  local = false;
  /** Keeps an answer back, which the service has given already. */
  late: ((name: MetaOperationName) => Promise<void> | null) | null = null;
  /** May change an answer on its way. */
  onAnswer: ((answer: unknown) => void) | null = null;
  private readonly held = new Map<number, number>();

  constructor(readonly service: MemoryMetaService) {}

  async call<K extends MetaOperationName>(
    name: K,
    _group: number,
    request: MetaRequest<K>,
    payload?: Buffer,
  ): Promise<MetaAnswer<K>> {
    this.calls.push(name);
    await new Promise((resolve) => setImmediate(resolve));
    const mishap = this.mishap?.(name, request) ?? null;
    if (mishap?.before !== undefined) throw mishap.before;
    const answer = payload === undefined ? this.answer(name, request) : this.writeCommit(request, payload);
    await (this.late?.(name) ?? new Promise((resolve) => setImmediate(resolve)));
    if (mishap?.after !== undefined) throw mishap.after;
    this.onAnswer?.(answer);
    return answer;
  }

  readLocal<K extends MetaOperationName>(name: K, _group: number, request: MetaRequest<K>): MetaAnswer<K> | undefined {
    return this.local ? this.answer(name, request) : undefined;
  }

  async session(_group: number): Promise<number> {
    return this.sessionNumber;
  }

  hold(_group: number, inode: number): void {
    this.held.set(inode, (this.held.get(inode) ?? 0) + 1);
    this.service.hold(inode, 1);
  }

  unhold(_group: number, inode: number): void {
    const count = this.held.get(inode) ?? 0;
    assert(count > 0, `inode ${inode} let go more often than held`);
    this.held.set(inode, count - 1);
    this.service.hold(inode, -1);
  }

  async close(): Promise<void> {
    for (const [inode, count] of this.held) assert.strictEqual(count, 0, `inode ${inode} is still held`);
    this.service.ended.add(this.sessionNumber);
  }

  private writeCommit<K extends MetaOperationName>(asked: MetaRequest<K>, data: Buffer): MetaAnswer<K> {
    const { offset, crc, ...request } = asked as unknown as MetaRequest<'writeCommit'>;
    assert.strictEqual(crc32(data), crc);
    const { writeBlock } = this.service;
    if (writeBlock === null) throw new OfsError(Status.OPNOTSUPP, 'no blocks here');
    const blob = writeBlock(data);
    const within = offset % limits.chunkBytes;
    const slice = { offset: within, length: data.length, blob, blobOffset: 0, blobLength: data.length };
    const chunks = [{ chunk: Math.floor(offset / limits.chunkBytes), slices: [slice] }];
    return { ...this.answer('chunkCommit', { ...request, chunks }), blob } as unknown as MetaAnswer<K>;
  }

  /** Through the codecs, both ways, as over the wire. */
  private answer<K extends MetaOperationName>(name: K, request: MetaRequest<K>): MetaAnswer<K> {
    const operation = metaOperations[name] as unknown as Operation<MetaRequest<K>, MetaAnswer<K>>;
    const decoded = decode(operation.request, encode(operation.request, request));
    const answer = this.service.run(name, decoded) as MetaAnswer<K>;
    return decode(operation.answer, encode(operation.answer, answer));
  }
}

export const lost = (): OfsError => new OfsError(Status.TIMEOUT, 'no answer came in time');
