// PathFS and VFS over a node's real metadata and volume files, in one thread; and what they cost beside memcpy.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createPathFs, type PathFs } from '../../../client/pathfs/index.js';
import { createVfs } from '../../../client/vfs/index.js';
import type { Attr } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { MemoryStore } from '../blocks/memory-store.js';
import { startThreadNode, type ThreadNode } from './thread-node.js';

const MIB = 1024 * 1024;
const REQUEST = { object: new Uint8Array(0), condition: { ifNoneMatch: '', ifMatch: '' }, uid: 0, gid: 0 };
const isStatus = (status: Status) => (error: unknown) => error instanceof OfsError && error.status === status;

async function put(pathfs: PathFs, path: string, data: Buffer): Promise<Attr> {
  const writer = pathfs.createWriter(data.length);
  for (let at = 0; at < data.length; at += 65_536) {
    if (!writer.write(data.subarray(at, at + 65_536))) await new Promise<void>((resolve) => writer.onDrain(resolve));
  }
  return pathfs.put(path, writer, 'etag', REQUEST);
}

function pathfsOf(node: ThreadNode): PathFs {
  return createPathFs({ meta: node.meta, blocks: node.blocks, group: node.group });
}

function rate(context: TestContext, what: string, amount: number, unit: string, started: number): void {
  const perSecond = amount / ((performance.now() - started) / 1000);
  context.diagnostic(`${what}: ${perSecond.toFixed(perSecond < 100 ? 1 : 0)} ${unit}/s`);
}

test('an object that was put is opened and read at once, and stays readable when it is replaced', async (context) => {
  const node = await startThreadNode(context);
  const pathfs = pathfsOf(node);
  const data = randomBytes(4096);
  await put(pathfs, 'dir/key', data);
  const object = pathfs.openSync('dir/key');
  assert.ok(object !== undefined);
  assert.strictEqual(pathfs.headSync('dir/key')?.size, 4096);
  const target = Buffer.alloc(4096);
  assert.ok(pathfs.readSync(object, 0, target));
  assert.ok(target.equals(data));
  assert.ok(pathfs.readSync(object, 1000, target.subarray(0, 10)));
  assert.ok(target.subarray(0, 10).equals(data.subarray(1000, 1010)));
  pathfs.hold(object);
  await put(pathfs, 'dir/key', randomBytes(100));
  await pathfs.read(object, 0, target);
  assert.ok(target.equals(data));
  pathfs.unhold(object);
  assert.throws(() => pathfs.openSync('no/such/key'), isStatus(Status.NOENT));
  assert.strictEqual(node.slab.usedBytes, 0);
});

test('a large object is read back across blocks and chunks', async (context) => {
  const node = await startThreadNode(context);
  const pathfs = pathfsOf(node);
  const data = randomBytes(70 * MIB);
  await put(pathfs, 'large', data);
  const object = await pathfs.open('large');
  for (const [offset, length] of [
    [0, MIB],
    [4 * MIB - 10, 20],
    [64 * MIB - 3, 6],
    [60 * MIB, 9 * MIB],
    [70 * MIB - 1, 1],
  ] as const) {
    const target = Buffer.alloc(length);
    await pathfs.read(object, offset, target);
    assert.ok(target.equals(data.subarray(offset, offset + length)), `[${offset}, +${length})`);
  }
});

test('parts of an upload are read as one object when it is complete', async (context) => {
  const node = await startThreadNode(context);
  const pathfs = pathfsOf(node);
  const owner = { object: new Uint8Array(0), uid: 0, gid: 0, initiator: 'me' };
  const { upload } = await node.meta.call('uploadCreate', node.group, { path: 'parts', ...owner });
  const parts = [randomBytes(5 * MIB), randomBytes(5 * MIB + 1), randomBytes(77)];
  for (const [index, data] of parts.entries()) {
    const writer = pathfs.createWriter(data.length);
    writer.write(data);
    await pathfs.putPart(upload, 'parts', index + 1, writer, `etag-${index + 1}`, new Uint8Array(0));
  }
  await node.meta.call('uploadComplete', node.group, {
    ...{ upload, path: 'parts', etag: 'whole', object: null, condition: REQUEST.condition },
    parts: parts.map((_, index) => ({ part: index + 1, etag: `etag-${index + 1}` })),
  });
  const object = await pathfs.open('parts');
  const target = Buffer.alloc(object.attr.size);
  await pathfs.read(object, 0, target);
  assert.ok(target.equals(Buffer.concat(parts)));
});

test('what S3 puts a mount reads, and what a mount writes S3 reads', async (context) => {
  const node = await startThreadNode(context);
  const pathfs = pathfsOf(node);
  const warn = (message: string): void => assert.fail(message);
  const vfs = createVfs({ meta: node.meta, blocks: node.blocks, group: node.group, root: node.root, warn });
  const data = randomBytes(300_000);
  await put(pathfs, 'file', data);
  const { inode } = await vfs.lookup(vfs.root, 'file');
  const { handle } = await vfs.open(inode, 2);
  const target = Buffer.alloc(data.length);
  assert.strictEqual(await vfs.read(handle, 0, target), data.length);
  assert.ok(target.equals(data));
  await vfs.write(handle, 1000, Buffer.from('from the mount'));
  await vfs.flush(handle);
  data.write('from the mount', 1000);
  const object = pathfs.openSync('file')!;
  await pathfs.read(object, 0, target);
  assert.ok(target.equals(data));
  await vfs.release(handle);
});

test('the cost of a byte and of a request is known', async (context) => {
  const node = await startThreadNode(context);
  const pathfs = pathfsOf(node);
  const megabytes = Number(process.env.MEGABYTES ?? 64);
  const gets = Number(process.env.GETS ?? 5000);
  const source = randomBytes(MIB);
  const target = Buffer.alloc(MIB);
  let started = performance.now();
  for (let index = 0; index < megabytes; index++) source.copy(target);
  rate(context, 'memcpy', megabytes, 'MiB', started);

  const sink = createPathFs({ meta: node.meta, blocks: new MemoryStore({ sink: true, trusting: true }), group: 0 });
  started = performance.now();
  const writer = sink.createWriter(megabytes * MIB);
  for (let index = 0; index < megabytes; index++) {
    if (!writer.write(source)) await new Promise<void>((resolve) => writer.onDrain(resolve));
  }
  await writer.finish();
  rate(context, 'writer into nothing (copy and checksum)', megabytes, 'MiB', started);

  started = performance.now();
  await put(pathfs, 'large', Buffer.alloc(megabytes * MIB, 1));
  rate(context, 'PUT of a large object, fdatasync included', megabytes, 'MiB', started);

  const large = await pathfs.open('large');
  started = performance.now();
  for (let index = 0; index < megabytes; index++) await pathfs.read(large, index * MIB, target);
  rate(context, 'reads of 1 MiB, one after the other, warm', megabytes, 'MiB', started);

  await put(pathfs, 'small', randomBytes(4096));
  const small = Buffer.alloc(4096);
  started = performance.now();
  for (let index = 0; index < gets; index++) {
    const object = pathfs.openSync('small');
    assert.ok(object !== undefined && pathfs.readSync(object, 0, small));
  }
  rate(context, 'openSync + readSync of 4 KiB', gets, '', started);

  const puts = Math.ceil(gets / 10);
  started = performance.now();
  await Promise.all(Array.from({ length: puts }, (_, index) => put(pathfs, `small-${index}`, small)));
  rate(context, `PUT of 4 KiB, ${puts} at once`, puts, '', started);
});
