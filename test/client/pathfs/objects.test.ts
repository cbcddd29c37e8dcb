// PathFS over the service's own operations in memory: sparse and very long objects, blocks that move, sessions that end.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createPathFs, type PathFs } from '../../../client/pathfs/index.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type Client, closeFile, create, newClient } from '../vfs/fixture.js';

const MIB = 1024 * 1024;
const REQUEST = { object: new Uint8Array(0), condition: { ifNoneMatch: '', ifMatch: '' }, uid: 0, gid: 0 };
const isStatus = (status: Status) => (error: unknown) => error instanceof OfsError && error.status === status;

function pathfsOf({ meta, store }: Client): PathFs {
  return createPathFs({ meta, blocks: store, group: 1 });
}

async function readAt(pathfs: PathFs, path: string, offset: number, length: number): Promise<Buffer> {
  const target = Buffer.alloc(length, 0xee);
  await pathfs.read(await pathfs.open(path), offset, target);
  return target;
}

test('a sparse file of many chunks is read everywhere, holes as zeros', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const handle = await create(client.vfs, 'sparse');
  const islands = [0, limits.chunkBytes * 31 + 7, limits.chunkBytes * 40 - 50, limits.chunkBytes * 200];
  for (const at of islands) await client.vfs.write(handle, at, Buffer.alloc(100, 1));
  await closeFile(client.vfs, handle);
  for (const at of islands) {
    const start = Math.max(0, at - 20);
    const length = Math.min(140, islands.at(-1)! + 100 - start);
    const expected = Buffer.alloc(length);
    expected.fill(1, at - start, Math.min(length, at - start + 100));
    assert.ok((await readAt(pathfs, 'sparse', start, length)).equals(expected), `around ${at}`);
  }
  const object = await pathfs.open('sparse');
  client.store.syncReads = true;
  const target = Buffer.alloc(10, 0xee);
  assert.ok(pathfs.readSync(object, 1000, target));
  assert.ok(target.equals(Buffer.alloc(10)));
  assert.ok(!pathfs.readSync(object, islands[3]!, target), 'its chunks have not been fetched');
  await pathfs.read(object, islands[3]!, target);
  assert.ok(pathfs.readSync(object, islands[3]!, target));
  assert.ok(target.equals(Buffer.alloc(10, 1)));
});

test('an object of several slices is read at once where blocks are at hand', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const handle = await create(client.vfs, 'slices');
  await client.vfs.write(handle, 0, Buffer.alloc(1000, 1));
  await client.vfs.write(handle, 200, Buffer.alloc(100, 2));
  await closeFile(client.vfs, handle);
  client.store.syncReads = true;
  client.meta.local = true;
  const object = pathfs.openSync('slices')!;
  const target = Buffer.alloc(1000);
  assert.ok(pathfs.readSync(object, 0, target));
  const expected = Buffer.alloc(1000, 1);
  expected.fill(2, 200, 300);
  assert.ok(target.equals(expected));
});

test('an open object whose block was compacted away is resolved again, once', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const handle = await create(client.vfs, 'moving');
  const model = randomBytes(5000);
  await client.vfs.write(handle, 0, model);
  await client.vfs.flush(handle);
  const object = await pathfs.open('moving');
  const old = [...client.store.blocks.keys()];
  for (let round = 0; round <= limits.slicesPerChunkBeforeCompaction; round++) {
    await client.vfs.write(handle, round * 100, model.subarray(round * 100, round * 100 + 50));
    await client.vfs.flush(handle);
  }
  await client.vfs.compacted();
  for (const block of old) client.store.blocks.delete(block);
  const target = Buffer.alloc(5000);
  client.store.syncReads = true;
  assert.ok(!pathfs.readSync(object, 0, target));
  await pathfs.read(object, 0, target);
  assert.ok(target.equals(model));
  client.store.blocks.clear();
  await assert.rejects(pathfs.read(object, 0, target), isStatus(Status.NOENT));
});

test('a put under a session that has ended is refused, and a condition that fails changes nothing', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const put = (data: string, condition = REQUEST.condition): Promise<unknown> => {
    const writer = pathfs.createWriter(data.length);
    writer.write(Buffer.from(data));
    return pathfs.put('key', writer, 'etag', { ...REQUEST, condition }).catch((error) => {
      writer.abort();
      throw error;
    });
  };
  await put('first');
  await assert.rejects(put('second', { ifNoneMatch: '*', ifMatch: '' }), isStatus(Status.PRECONDITION_FAILED));
  client.meta.service.ended.add(1);
  await assert.rejects(put('third'), isStatus(Status.SESSION_ENDED));
  assert.strictEqual((await readAt(pathfs, 'key', 0, 5)).toString(), 'first');
  assert.strictEqual(client.store.usedBytes, 0);
});

test('a reader holds its inode once for each hold, and lets go', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const writer = pathfs.createWriter(3);
  writer.write(Buffer.from('abc'));
  await pathfs.put('held', writer, 'etag', REQUEST);
  const object = await pathfs.open('held');
  pathfs.hold(object);
  pathfs.hold(object);
  pathfs.unhold(object);
  assert.strictEqual(client.meta.service.held.get(object.attr.inode), 1);
  pathfs.unhold(object);
  assert.strictEqual(client.meta.service.held.size, 0);
});

test('an object of several chunks in memory is read in one go', async () => {
  const client = newClient();
  const pathfs = pathfsOf(client);
  const data = randomBytes(limits.chunkBytes + 3 * MIB);
  const writer = pathfs.createWriter(-1);
  for (let at = 0; at < data.length; at += MIB) {
    if (!writer.write(data.subarray(at, at + MIB))) await new Promise<void>((resolve) => writer.onDrain(resolve));
  }
  await pathfs.put('long', writer, 'etag', REQUEST);
  assert.ok((await readAt(pathfs, 'long', 0, data.length)).equals(data));
});
