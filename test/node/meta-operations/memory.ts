// An ordered store in memory that keeps the promises of a View, and no more: a value is gone with the next call, a visit
// must not call the view, a transaction that throws leaves nothing. And a small world around the handlers for tests.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { BlobLedger, type Finding, Findings, GroupChecker } from '../../../client/cli/fsck/index.js';
import { bootstrap, fold, readHandlers, reclaim, writeHandlers } from '../../../node/meta/operations/index.js';
import type { MetaAnswer, MetaRequest, Transaction, WriteContext } from '../../../node/meta/view.js';
import type { ByteString } from '../../../proto/codec.js';
import { decode, encode } from '../../../proto/codec.js';
import { blobSequence, makeBlob, rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import type { Chunk, MetaOperationName, Slice, Time } from '../../../proto/meta/index.js';
import { metaOperations } from '../../../proto/meta/index.js';
import { OfsError, Status, statusName } from '../../../proto/status.js';

/** Keys of a block at most: insertion costs the move of one block. */
const BLOCK = 512;

/** Strings in order. */
class OrderedKeys {
  private readonly blocks: ByteString[][] = [[]];

  /** Index of the last block that begins at or below the key. */
  private blockOf(key: ByteString): number {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.blocks[middle]![0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private static indexIn(block: readonly ByteString[], key: ByteString): number {
    let low = 0;
    let high = block.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (block[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(key: ByteString): void {
    const at = this.blockOf(key);
    const block = this.blocks[at]!;
    block.splice(OrderedKeys.indexIn(block, key), 0, key);
    if (block.length > BLOCK) this.blocks.splice(at + 1, 0, block.splice(BLOCK / 2));
  }

  remove(key: ByteString): void {
    const at = this.blockOf(key);
    const block = this.blocks[at]!;
    block.splice(OrderedKeys.indexIn(block, key), 1);
    if (block.length === 0 && this.blocks.length > 1) this.blocks.splice(at, 1);
  }

  *from(start: ByteString): Generator<ByteString> {
    let index = 0;
    for (let at = this.blockOf(start); at < this.blocks.length; at++) {
      const block = this.blocks[at]!;
      for (index = OrderedKeys.indexIn(block, start); index < block.length; index++) yield block[index]!;
    }
  }
}

export class MemoryStore implements Transaction {
  readonly rows = new Map<ByteString, Buffer>();
  private readonly order = new OrderedKeys();
  private undo: [ByteString, Buffer | undefined][] | null = null;
  private lent: Buffer[] = [];
  private visiting = false;
  /** Values are copied and spoilt when their time is over. Off for measurements. */
  strict = true;

  private called(): void {
    assert(!this.visiting, 'a visit called the view');
    for (const buffer of this.lent) buffer.fill(0xdd);
    this.lent = [];
  }

  private lend(value: Buffer): Buffer {
    if (!this.strict) return value;
    const copy = Buffer.from(value);
    this.lent.push(copy);
    return copy;
  }

  get(key: ByteString): Buffer | undefined {
    this.called();
    const value = this.rows.get(key);
    return value === undefined ? undefined : this.lend(value);
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    this.called();
    for (const key of this.order.from(start)) {
      if (key >= end) return;
      const value = this.lend(this.rows.get(key)!);
      this.visiting = true;
      let more: boolean;
      try {
        more = visit(key, value);
      } finally {
        this.visiting = false;
      }
      if (this.strict) value.fill(0xdd);
      if (!more) return;
    }
  }

  put(key: ByteString, value: Buffer): void {
    this.called();
    const before = this.rows.get(key);
    this.undo?.push([key, before]);
    if (before === undefined) this.order.insert(key);
    this.rows.set(key, value);
  }

  delete(key: ByteString): void {
    this.called();
    const before = this.rows.get(key);
    if (before === undefined) return;
    this.undo?.push([key, before]);
    this.order.remove(key);
    this.rows.delete(key);
  }

  transact<T>(run: () => T): T {
    assert(this.undo === null);
    const undo: [ByteString, Buffer | undefined][] = [];
    this.undo = undo;
    try {
      return run();
    } catch (error) {
      this.undo = null;
      for (const [key, value] of undo.reverse()) {
        if (value === undefined) this.delete(key);
        else this.put(key, value);
      }
      throw error;
    } finally {
      this.undo = null;
    }
  }

  /** All rows in order. */
  *all(): Generator<[ByteString, Buffer]> {
    for (const key of this.order.from('')) yield [key, this.rows.get(key)!];
  }
}

type Reads = typeof readHandlers;
type Writes = typeof writeHandlers;
type Handled = keyof Reads | keyof Writes;

/** A group: its store, the context of its operations, and a block store that only remembers which blobs live. */
/** What an open brings along of a block, if it is at hand. */
export function inlinedOf(block: number, bytes: Buffer | undefined, length: number) {
  const asked = bytes?.subarray(0, length);
  return asked === undefined ? null : { block, crc: crc32(asked), position: 0, until: 0, bytes: asked };
}

export class World {
  readonly store = new MemoryStore();
  readonly root: number;
  readonly held = new Set<number>();
  /** Blocks at hand without waiting. */
  readonly blocks = new Map<number, Buffer>();
  readonly endedSessions = new Set<number>();
  /** Blobs that were written and not deleted: length by id. */
  readonly blobs = new Map<number, number>();
  now: Time = { sec: 1_700_000_000, nsec: 0 };
  private tokens = 0;
  private sequence = 0;

  constructor(readonly partition = 1) {
    this.root = rootInode(partition);
    this.store.transact(() => bootstrap(this.store, this.context));
  }

  get context(): WriteContext {
    return {
      partition: this.partition,
      now: this.now,
      holds: (inode) => this.held.has(inode),
      blockBytes: (block, length) => inlinedOf(block, this.blocks.get(block), length),
      sessionAlive: (session) => !this.endedSessions.has(session),
      token: () => (++this.tokens).toString(16).padStart(32, '0'),
    };
  }

  tick(seconds = 1): void {
    this.now = { sec: this.now.sec + seconds, nsec: this.now.nsec };
  }

  /** Runs an operation as the service does, request and answer encoded and decoded on their way. */
  call<K extends Handled & MetaOperationName>(name: K, request: MetaRequest<K>): MetaAnswer<K> {
    const { request: asked, answer: answered } = metaOperations[name];
    const sent = decode(asked as never, encode(asked as never, request as never)) as MetaRequest<K>;
    const handlers: Record<string, unknown> = { ...readHandlers, ...writeHandlers };
    const handler = handlers[name] as (store: Transaction, request: MetaRequest<K>, context: WriteContext) => unknown;
    this.tick();
    const answer = this.store.transact(() => handler(this.store, sent, this.context));
    return decode(answered as never, encode(answered as never, answer as never)) as MetaAnswer<K>;
  }

  /** The status that an operation ends with. */
  status<K extends Handled & MetaOperationName>(name: K, request: MetaRequest<K>): string {
    try {
      this.call(name, request);
      return 'OK';
    } catch (error) {
      if (error instanceof OfsError) return statusName(error.status);
      throw error;
    }
  }

  /** A new blob of this length. */
  blob(length: number): number {
    const blob = makeBlob(1, ++this.sequence);
    this.blobs.set(blob, length);
    return blob;
  }

  /** Content of one new blob a chunk. */
  content(size: number): Chunk[] {
    const chunks: Chunk[] = [];
    for (let chunk = 0; chunk * limits.chunkBytes < size; chunk++) {
      const length = Math.min(limits.chunkBytes, size - chunk * limits.chunkBytes);
      chunks.push({ chunk, slices: [this.slice(0, length)] });
    }
    return chunks;
  }

  slice(offset: number, length: number): Slice {
    return { offset, length, blob: this.blob(length), blobOffset: 0, blobLength: length };
  }

  put(path: ByteString, size = 10, more: Partial<MetaRequest<'objectPut'>> = {}): MetaAnswer<'objectPut'>['attr'] {
    const request: MetaRequest<'objectPut'> = {
      path,
      session: 1,
      size,
      chunks: more.chunks ?? this.content(size),
      etag: `etag-of-${path.length}`,
      object: new Uint8Array(0),
      uid: 1000,
      gid: 1000,
      condition: { ifNoneMatch: '', ifMatch: '' },
      ...more,
    };
    return this.call('objectPut', request).attr;
  }

  delete(...paths: ByteString[]): number[] {
    return this.call('objectDelete', { paths, condition: { ifNoneMatch: '', ifMatch: '' } }).statuses;
  }

  exists(path: ByteString): boolean {
    return this.status('objectHead', { path }) === statusName(Status.OK);
  }

  mkdir(parent: number, name: ByteString, mode = 0o755): number {
    return this.call('mkdir', { parent, name, mode, uid: 1, gid: 2 }).attr.inode;
  }

  mknod(parent: number, name: ByteString, mode = 0o100644): number {
    return this.call('mknod', { parent, name, mode, uid: 1, gid: 2, rdev: 0, exclusive: true }).attr.inode;
  }

  /** Folds and reclaims whatever can be, as the service's background work does. */
  settle({ fold: folding = true, minAgeMs = 0 } = {}): void {
    while (folding && this.store.transact(() => fold.step(this.store, 100)));
    for (let round = 0; ; round++) {
      assert(round < 1000, 'reclaim does not come to an end');
      if (!this.reclaimOnce(minAgeMs)) return;
    }
  }

  reclaimOnce(minAgeMs: number): boolean {
    const nowMs = this.now.sec * 1000;
    const options = { nowMs, minAgeMs, from: 0, limit: 64, scan: 100_000 };
    const plan = reclaim.plan(this.store, this.context, options);
    for (const sequence of plan.steps) this.store.transact(() => reclaim.step(this.store, this.context, sequence));
    for (const { blobs } of plan.deletes) {
      for (const { blob, blocks } of blobs) {
        assert(this.blobs.has(blob), `blob ${blobSequence(blob)} is deleted twice`);
        assert(blocks === Math.ceil(this.blobs.get(blob)! / limits.blockBytes));
        this.blobs.delete(blob);
      }
    }
    this.store.transact(() => reclaim.finish(this.store, plan.deletes));
    return plan.steps.length + plan.deletes.length > 0;
  }
}

/** What fsck says of a world: nothing, if all is well. Blocks of blobs that were written and never named are garbage. */
export function check(world: World): Finding[] {
  const findings = new Findings();
  const ledger = new BlobLedger(findings);
  const checker = new GroupChecker('group', findings, ledger);
  for (const [key, value] of world.store.all()) checker.row(key, value);
  checker.finish();
  for (const [blob, length] of world.blobs) {
    for (let start = 0; start < length; start += limits.blockBytes)
      ledger.block(blob + start / limits.blockBytes, Math.min(limits.blockBytes, length - start));
  }
  ledger.finish();
  return findings.list;
}

export function assertClean(world: World): void {
  assert.deepEqual(check(world), []);
}
