// What clients remember: never more than the bound, never other bytes than were read.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { BlockCache, ChunkCache } from '../../../client/cache/index.js';
import { limits } from '../../../proto/limits.js';
import type { Slice } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { MemoryStore } from '../blocks/memory-store.js';

const PIECE = limits.checksumPieceBytes;

function storeWith(lengths: readonly number[]): MemoryStore {
  const store = new MemoryStore();
  for (const [block, length] of lengths.entries()) store.blocks.set(block, randomBytes(length));
  return store;
}

const slice = (offset: number): Slice => ({ offset, length: 10, blob: 16, blobOffset: 0, blobLength: 10 });

test('a piece that was read once is read from memory, across pieces too', async () => {
  const store = storeWith([3 * PIECE + 100]);
  const cache = new BlockCache(store, 10 * PIECE);
  const block = store.blocks.get(0)!;
  for (const [offset, length] of [
    [10, 20],
    [PIECE - 5, 10],
    [3 * PIECE + 50, 50],
    [0, block.length],
  ] as const) {
    const target = Buffer.alloc(length);
    await cache.read(0, offset, target, block.length);
    assert.ok(target.equals(block.subarray(offset, offset + length)));
    assert.ok(cache.readSync(0, offset, target.fill(0)));
    assert.ok(target.equals(block.subarray(offset, offset + length)));
  }
  assert.strictEqual(store.reads, 4);
  assert.ok(!cache.readSync(1, 0, Buffer.alloc(1)));
});

test('reads of one piece that meet share one request', async () => {
  const store = storeWith([PIECE]);
  const cache = new BlockCache(store, PIECE * 4);
  await Promise.all(Array.from({ length: 10 }, () => cache.read(0, 5, Buffer.alloc(7), PIECE)));
  assert.strictEqual(store.reads, 1);
});

test('the cache stays within its bound, and what is used again outlives what is not', async () => {
  const store = storeWith(Array.from({ length: 100 }, () => PIECE));
  const cache = new BlockCache(store, 10 * PIECE);
  const target = Buffer.alloc(10);
  for (let block = 0; block < 100; block++) {
    await cache.read(block, 0, target, PIECE);
    cache.readSync(0, 0, target);
    assert.ok(cache.bytes <= 10 * PIECE);
  }
  assert.ok(cache.readSync(0, 0, target), 'the block that is read all the time is still here');
  assert.ok(!cache.readSync(50, 0, target));
});

test('a read that failed leaves nothing behind and is tried again', async () => {
  const store = storeWith([]);
  const cache = new BlockCache(store, PIECE);
  const lost = (error: unknown): boolean => error instanceof OfsError && error.status === Status.NOENT;
  await assert.rejects(cache.read(7, 0, Buffer.alloc(1), PIECE), lost);
  assert.strictEqual(cache.bytes, 0);
  store.blocks.set(7, Buffer.alloc(PIECE, 9));
  const target = Buffer.alloc(1);
  await cache.read(7, 0, target, PIECE);
  assert.strictEqual(target[0], 9);
});

test('slices of another version are forgotten, those of the next are added', () => {
  const cache = new ChunkCache();
  cache.setVersion(5);
  cache.setPage(0, 2, [{ chunk: 1, slices: [slice(0)] }]);
  assert.deepStrictEqual(cache.get(0), []);
  cache.append(6, [{ chunk: 1, slices: [slice(10)] }], 100);
  assert.deepStrictEqual(cache.get(1), [slice(0), slice(10)]);
  cache.setVersion(6);
  assert.strictEqual(cache.get(1)?.length, 2);
  cache.setVersion(8);
  assert.strictEqual(cache.get(1), undefined);
});

test('a commit to a chunk that is not cached caches it only where nothing was before', () => {
  const cache = new ChunkCache();
  cache.setVersion(1);
  cache.append(2, [{ chunk: 3, slices: [slice(0)] }], 10);
  assert.strictEqual(cache.get(3), undefined);
  cache.append(3, [{ chunk: 10, slices: [slice(0)] }], 10);
  assert.deepStrictEqual(cache.get(10), [slice(0)]);
});

test('a list that keeps growing is asked for again, and the number of chunks is bounded', () => {
  const cache = new ChunkCache();
  cache.setVersion(0);
  cache.setPage(0, 1, []);
  let version = 0;
  while (cache.get(0) !== undefined) {
    version++;
    cache.append(version, [{ chunk: 0, slices: [slice(version)] }], 1);
    assert.ok(version < 1000, 'the list grows for ever');
  }
  for (let page = 0; page < 1000; page++) cache.setPage(page * 32, 32, []);
  const held = Array.from({ length: 32_000 }, (_, chunk) => chunk).filter((chunk) => cache.get(chunk) !== undefined);
  assert.ok(held.length <= limits.chunksCachedPerFile);
});
