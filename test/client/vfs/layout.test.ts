// The rules of writing (R2.2) and compaction (R2.4), seen in the slices that metadata keeps.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import type { Slice } from '../../../proto/meta/index.js';
import { type Client, closeFile, create, newClient, openByName, readAll } from './fixture.js';

const MIB = 1024 * 1024;
const { chunkBytes, blockBytes } = limits;

async function slicesOf(client: Client, inode: number, chunk = 0): Promise<Slice[]> {
  const { chunks } = await client.meta.call('chunkRead', 1, { inode, first: chunk, count: 1 });
  return chunks[0]?.slices ?? [];
}

const shape = (slices: Slice[]): number[][] => slices.map(({ offset, length }) => [offset, length]);

test('writes in a row make one blob, whatever their size', async () => {
  const client = newClient();
  const { vfs, store } = client;
  const handle = await create(vfs, 'row');
  const model = randomBytes(5 * MIB);
  for (let at = 0; at < model.length; at += 10_000) await vfs.write(handle, at, model.subarray(at, at + 10_000));
  await vfs.flush(handle);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode)), [[0, 5 * MIB]]);
  assert.deepStrictEqual(
    store.writes.map(({ length }) => length),
    [4 * MIB, MIB],
  );
  assert.ok((await readAll(vfs, handle)).equals(model));
});

test('a full block leaves at once, before anybody flushes', async () => {
  const { vfs, store } = newClient();
  const handle = await create(vfs, 'full');
  await vfs.write(handle, 0, Buffer.alloc(blockBytes + 1));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepStrictEqual(
    store.writes.map(({ length }) => length),
    [blockBytes],
  );
});

test('a write over bytes already written begins a new blob', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'over');
  await client.vfs.write(handle, 0, Buffer.alloc(1000, 1));
  await client.vfs.write(handle, 500, Buffer.alloc(1000, 2));
  await client.vfs.flush(handle);
  const slices = await slicesOf(client, handle.inode);
  assert.strictEqual(new Set(slices.map(({ blob }) => blob)).size, 2);
  const content = await readAll(client.vfs, handle);
  assert.ok(content.equals(Buffer.concat([Buffer.alloc(500, 1), Buffer.alloc(1000, 2)])));
});

test('a write in the middle of a block that nothing precedes begins a new blob', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'middle');
  await client.vfs.write(handle, 0, Buffer.alloc(100, 1));
  await client.vfs.write(handle, 200, Buffer.alloc(100, 2));
  await client.vfs.flush(handle);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode)), [
    [0, 100],
    [200, 100],
  ]);
});

test('two streams into one file each have a blob of their own', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'streams');
  for (let step = 0; step < 10; step++) {
    await client.vfs.write(handle, step * 1000, Buffer.alloc(1000, 1));
    await client.vfs.write(handle, MIB + step * 1000, Buffer.alloc(1000, 2));
  }
  await client.vfs.flush(handle);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode)), [
    [0, 10_000],
    [MIB, 10_000],
  ]);
});

test('a stream that runs into newer bytes goes on in a new blob, on top of them', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'into');
  await client.vfs.write(handle, 0, Buffer.alloc(1000, 1));
  await client.vfs.write(handle, 1500, Buffer.alloc(1000, 2));
  await client.vfs.write(handle, 1000, Buffer.alloc(1000, 3));
  await client.vfs.flush(handle);
  const expected = Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(1000, 3), Buffer.alloc(500, 2)]);
  assert.ok((await readAll(client.vfs, handle)).equals(expected));
  assert.strictEqual((await slicesOf(client, handle.inode)).length, 3);
});

test('a block that was sent is never filled up: after a flush the next bytes begin a new blob', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'after');
  await client.vfs.write(handle, 0, Buffer.alloc(100, 1));
  await client.vfs.flush(handle);
  await client.vfs.write(handle, 100, Buffer.alloc(100, 2));
  await client.vfs.flush(handle);
  const slices = await slicesOf(client, handle.inode);
  assert.notStrictEqual(slices[0]!.blob, slices[1]!.blob);
});

test('a write over the bound of a chunk is cut there', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'bound');
  const data = randomBytes(3000);
  await client.vfs.write(handle, chunkBytes - 1000, data);
  await client.vfs.flush(handle);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode, 0)), [[chunkBytes - 1000, 1000]]);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode, 1)), [[0, 2000]]);
  const target = Buffer.alloc(3000);
  await client.vfs.read(handle, chunkBytes - 1000, target);
  assert.ok(target.equals(data));
});

test('writing a chunk and more in order makes one blob a chunk', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'chunks');
  for (let at = 0; at < chunkBytes + 8 * MIB; at += MIB)
    await client.vfs.write(handle, at, Buffer.alloc(MIB, at / MIB));
  await client.vfs.flush(handle);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode, 0)), [[0, chunkBytes]]);
  assert.deepStrictEqual(shape(await slicesOf(client, handle.inode, 1)), [[0, 8 * MIB]]);
});

test('many writes make one commit, not one each', async () => {
  const client = newClient();
  const handle = await create(client.vfs, 'many');
  for (let index = 0; index < 200; index++) await client.vfs.write(handle, index * 8192, Buffer.alloc(4096, index));
  await client.vfs.flush(handle);
  assert.strictEqual(client.meta.calls.filter((name) => name === 'chunkCommit').length, 1);
  assert.strictEqual((await slicesOf(client, handle.inode)).length, 200);
});

test('a crowded chunk is compacted to the same bytes in few slices, and its readers go on', async () => {
  const client = newClient();
  const { vfs } = client;
  const handle = await create(vfs, 'crowded');
  const model = randomBytes(300_000);
  await vfs.write(handle, 0, model);
  for (let round = 0; round < limits.slicesPerChunkBeforeCompaction + 3; round++) {
    const at = (round * 79_191) % 250_000;
    const patch = randomBytes(9000);
    patch.copy(model, at);
    await vfs.write(handle, at, patch);
    await vfs.flush(handle);
  }
  await vfs.compacted();
  assert.ok(client.meta.calls.includes('chunkCompact'));
  const slices = await slicesOf(client, handle.inode);
  // One, and those of the commits that came after it.
  assert.ok(slices.length <= 8, `${slices.length} slices are left`);
  assert.ok((await readAll(vfs, handle)).equals(model));
  await closeFile(vfs, handle);
  assert.ok((await readAll(vfs, await openByName(vfs, 'crowded'))).equals(model));
});

test('compaction keeps a large blob as it is and joins only the small ones behind it', async () => {
  const client = newClient();
  const { vfs, store } = client;
  const handle = await create(vfs, 'log');
  const model = [randomBytes(8 * MIB)];
  await vfs.write(handle, 0, model[0]!);
  await vfs.flush(handle);
  const large = (await slicesOf(client, handle.inode))[0]!.blob;
  let end = 8 * MIB;
  for (let line = 0; line < limits.slicesPerChunkBeforeCompaction; line++) {
    const text = randomBytes(100);
    model.push(text);
    await vfs.write(handle, end, text);
    await vfs.flush(handle);
    end += text.length;
  }
  const before = store.writtenBytes;
  await vfs.compacted();
  const slices = await slicesOf(client, handle.inode);
  assert.strictEqual(slices.length, 2);
  assert.strictEqual(slices[0]!.blob, large);
  assert.ok(store.writtenBytes - before < MIB);
  assert.ok((await readAll(vfs, handle)).equals(Buffer.concat(model)));
});

test('compaction writes again what is left of a blob that is mostly covered', async () => {
  const client = newClient();
  const { vfs } = client;
  const handle = await create(vfs, 'covered');
  const model = randomBytes(8 * MIB);
  await vfs.write(handle, 0, model);
  await vfs.flush(handle);
  const covered = (await slicesOf(client, handle.inode))[0]!.blob;
  const pieceBytes = (6 * MIB) / (limits.slicesPerChunkBeforeCompaction + 8);
  for (let at = 0; at + pieceBytes < 6 * MIB; at += pieceBytes) {
    const patch = randomBytes(Math.floor(pieceBytes));
    patch.copy(model, Math.floor(at));
    await vfs.write(handle, Math.floor(at), patch);
    await vfs.flush(handle);
  }
  await vfs.compacted();
  const slices = await slicesOf(client, handle.inode);
  assert.ok(slices.every(({ blob }) => blob !== covered));
  assert.ok((await readAll(vfs, handle)).equals(model));
});
