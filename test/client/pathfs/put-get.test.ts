// PathFS: content through the writer into blocks and back, over a block store in memory.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type BlockPart, partsOf, readParts } from '../../../client/blocks/index.js';
import { createPathFs, type ObjectWriter, type PathFs } from '../../../client/pathfs/index.js';
import { limits } from '../../../proto/limits.js';
import type { Chunk } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { MemoryStore, type MemoryStoreOptions } from '../blocks/memory-store.js';

const MIB = 1024 * 1024;

function pathfsOver(options: MemoryStoreOptions = {}): { store: MemoryStore; pathfs: PathFs } {
  const store = new MemoryStore(options);
  return { store, pathfs: createPathFs({ meta: null as never, blocks: store, group: 1 }) };
}

async function feed(writer: ObjectWriter, data: Buffer, pieceBytes: number): Promise<void> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    const room = writer.write(data.subarray(at, at + pieceBytes));
    if (!room) await new Promise<void>((resolve) => writer.onDrain(resolve));
  }
}

async function readBack(store: MemoryStore, chunks: readonly Chunk[], size: number): Promise<Buffer> {
  const target = Buffer.alloc(size, 0xee);
  for (let at = 0; at < size; at += limits.chunkBytes) {
    const slices = chunks.find(({ chunk }) => chunk === at / limits.chunkBytes)?.slices ?? [];
    const parts: BlockPart[] = [];
    partsOf(slices, 0, target.subarray(at, at + limits.chunkBytes), parts);
    await readParts(store, parts);
  }
  return target;
}

for (const [title, bytes, hint, pieceBytes] of [
  ['a body of 1 byte', 1, 1, 1],
  ['a body of 4 KiB', 4096, 4096, 4096],
  ['a body of unknown length in odd pieces', 9 * MIB + 77, -1, 77_777],
  ['a body of exactly one block', 4 * MIB, 4 * MIB, 512 * 1024],
  ['a body over the bound of a chunk', 66 * MIB + 1, 66 * MIB + 1, 1 * MIB],
  ['a body longer than its hint', 5 * MIB, 100, 65_536],
] as const) {
  test(`${title} is read back as it was written, and all memory comes back`, async () => {
    const { store, pathfs } = pathfsOver();
    const data = randomBytes(bytes);
    const writer = pathfs.createWriter(hint);
    await feed(writer, data, pieceBytes);
    const chunks = await writer.finish();
    assert.strictEqual(writer.size, bytes);
    assert.ok((await readBack(store, chunks, bytes)).equals(data));
    assert.strictEqual(store.usedBytes, 0);
  });
}

test('an empty body has no chunks', async () => {
  const { store, pathfs } = pathfsOver();
  assert.deepStrictEqual(await pathfs.createWriter(0).finish(), []);
  assert.strictEqual(store.writes.length, 0);
});

test('a small body takes memory for its size, not a block', () => {
  const { store, pathfs } = pathfsOver();
  const writer = pathfs.createWriter(4096);
  writer.write(Buffer.alloc(4096));
  assert.strictEqual(store.usedBytes, limits.slabMinBytes);
  writer.abort();
});

test('a long body is one blob a chunk, with blocks of full length', async () => {
  const { store, pathfs } = pathfsOver();
  const writer = pathfs.createWriter(70 * MIB);
  await feed(writer, Buffer.alloc(70 * MIB), 1 * MIB);
  const chunks = await writer.finish();
  assert.deepStrictEqual(
    chunks.map(({ chunk, slices }) => [chunk, slices.map(({ offset, length }) => [offset, length])]),
    [
      [0, [[0, 64 * MIB]]],
      [1, [[0, 6 * MIB]]],
    ],
  );
  assert.strictEqual(store.writes.filter(({ length }) => length !== 4 * MIB).length, 1);
});

test('a volume that takes no more in the middle of a blob makes the rest a new blob, without loss', async () => {
  let writes = 0;
  const { store, pathfs } = pathfsOver({
    failWrite: ({ index }) => (index === 2 && writes++ < 2 ? new OfsError(Status.SEALED, 'volume is full') : null),
  });
  const data = randomBytes(20 * MIB);
  const writer = pathfs.createWriter(data.length);
  await feed(writer, data, 300_000);
  const chunks = await writer.finish();
  assert.strictEqual(chunks[0]!.slices.length, 3);
  assert.ok((await readBack(store, chunks, data.length)).equals(data));
  assert.strictEqual(store.usedBytes, 0);
});

test('a write that fails is thrown by finish, and abort gives all memory back', async () => {
  const { store, pathfs } = pathfsOver({ failWrite: () => new OfsError(Status.NOSPC, 'disk is full') });
  const writer = pathfs.createWriter(20 * MIB);
  await feed(writer, Buffer.alloc(20 * MIB), 1 * MIB);
  await assert.rejects(writer.finish(), (error) => error instanceof OfsError && error.status === Status.NOSPC);
  writer.abort();
  assert.strictEqual(store.usedBytes, 0);
});

test('an upload given up in the middle gives its memory back when its writes have ended', async () => {
  const { store, pathfs } = pathfsOver();
  const writer = pathfs.createWriter(20 * MIB);
  for (let at = 0; at < 10; at++) writer.write(Buffer.alloc(MIB));
  writer.abort();
  assert.ok(store.usedBytes > 0);
  for (let turn = 0; turn < 100 && store.usedBytes > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.strictEqual(store.usedBytes, 0);
});
