// VFS: what a mount's users do with files, over the service's own operations and a block store in memory.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { SetAttr } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { client, closeFile, create, newClient, Open, openByName, readAll, until, WHO, writeFile } from './fixture.js';
import { MemoryMetaService } from './memory-meta.js';

const MIB = 1024 * 1024;
const NO_TIME = { sec: 0, nsec: 0 };
const sizeTo = (size: number) => {
  return { valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: NO_TIME, mtime: NO_TIME };
};

test('creating, writing and closing a small file is one mknod, one block and one commit', async () => {
  const { vfs, meta, store } = newClient();
  await writeFile(vfs, 'small', Buffer.alloc(4096, 1));
  assert.deepStrictEqual(meta.calls, ['mknod', 'chunkCommit']);
  assert.strictEqual(store.writes.length, 1);
  assert.strictEqual(store.usedBytes, 0);
});

test('opening and reading a small file is one open and one block', async () => {
  const service = new MemoryMetaService();
  const writer = client(service);
  await writeFile(writer.vfs, 'small', Buffer.alloc(4096, 7));
  const reader = client(service, {}, writer);
  const handle = await openByName(reader.vfs, 'small', Open.RDONLY);
  const target = Buffer.alloc(8192);
  assert.strictEqual(await reader.vfs.read(handle, 0, target), 4096);
  assert.ok(target.subarray(0, 4096).equals(Buffer.alloc(4096, 7)));
  assert.deepStrictEqual(reader.meta.calls, ['lookup', 'open']);
  assert.strictEqual(reader.store.reads, 1);
  await reader.vfs.read(handle, 100, target.subarray(0, 10));
  assert.strictEqual(reader.store.reads, 1);
});

test('a small file that the service has at hand is read with its open, unless it came damaged', async () => {
  for (const damaged of [false, true]) {
    const service = new MemoryMetaService();
    const writer = client(service);
    await writeFile(writer.vfs, 'small', Buffer.alloc(4096, 7));
    const reader = client(service, {}, writer);
    reader.store.isInProcess = false;
    service.blocks = new Map(writer.store.blocks);
    const lookup = await reader.vfs.lookup(reader.vfs.root, 'small');
    if (damaged) reader.meta.onAnswer = flipInlined;
    const { handle } = await reader.vfs.open(lookup.inode, Open.RDONLY);
    const target = Buffer.alloc(8192);
    assert.strictEqual(await reader.vfs.read(handle, 0, target), 4096);
    assert.ok(target.subarray(0, 4096).equals(Buffer.alloc(4096, 7)));
    assert.strictEqual(reader.store.reads, damaged ? 1 : 0);
  }
});

function flipInlined(answer: unknown): void {
  const { inlined } = answer as { inlined: { bytes: Uint8Array } | null };
  if (inlined !== null) inlined.bytes[5]! ^= 1;
}

test('the capability that the kernel asks for before a write costs no request where a file has no attributes', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'plain');
  const noData = (error: unknown): boolean => error instanceof OfsError && error.status === Status.NODATA;
  await assert.rejects(vfs.xattrGet(handle.inode, 'security.capability'), noData);
  assert.ok(!meta.calls.includes('xattrGet'));
  await vfs.xattrSet(handle.inode, 'security.capability', Buffer.from('cap'), 0);
  assert.deepStrictEqual(Buffer.from(await vfs.xattrGet(handle.inode, 'security.capability')), Buffer.from('cap'));
  await closeFile(vfs, handle);
  const again = await openByName(vfs, 'plain');
  assert.deepStrictEqual(Buffer.from(await vfs.xattrGet(again.inode, 'security.capability')), Buffer.from('cap'));
  await closeFile(vfs, again);
});

test('what was written is read back before anything is flushed, with size and time', async () => {
  const { vfs, meta, store } = newClient();
  const handle = await create(vfs, 'dirty');
  await vfs.write(handle, 10, Buffer.from('hello'));
  const attr = await vfs.getattr(handle.inode);
  assert.strictEqual(attr.size, 15);
  assert.ok(Math.abs(attr.mtime.sec - Date.now() / 1000) < 5);
  assert.strictEqual((await vfs.lookup(vfs.root, 'dirty')).size, 15);
  assert.deepStrictEqual(await readAll(vfs, handle), Buffer.concat([Buffer.alloc(10), Buffer.from('hello')]));
  assert.ok(!meta.calls.includes('chunkCommit'));
  assert.strictEqual(store.writes.length, 0);
});

test('a write over a flushed file is read on top of it, and stands after a reopen', async () => {
  const { vfs } = newClient();
  const model = randomBytes(3 * MIB);
  await writeFile(vfs, 'f', model);
  const handle = await openByName(vfs, 'f');
  const patch = randomBytes(100_000);
  await vfs.write(handle, MIB - 50_000, patch);
  patch.copy(model, MIB - 50_000);
  assert.ok((await readAll(vfs, handle)).equals(model));
  await closeFile(vfs, handle);
  assert.ok((await readAll(vfs, await openByName(vfs, 'f'))).equals(model));
});

test('another client sees at open what was closed before', async () => {
  const service = new MemoryMetaService();
  const first = client(service);
  const second = client(service, {}, first);
  await writeFile(first.vfs, 'shared', Buffer.from('one'));
  const reading = await openByName(second.vfs, 'shared');
  assert.strictEqual((await readAll(second.vfs, reading)).toString(), 'one');
  const again = await openByName(first.vfs, 'shared');
  await first.vfs.write(again, 0, Buffer.from('two!'));
  await closeFile(first.vfs, again);
  const reopened = await openByName(second.vfs, 'shared');
  assert.strictEqual((await readAll(second.vfs, reopened)).toString(), 'two!');
  assert.ok(reopened.version > reading.version);
});

test('a file truncated down and up again reads zeros where it was cut, dirty or not', async () => {
  for (const flushed of [false, true]) {
    const { vfs } = newClient();
    const handle = await create(vfs, 'cut');
    await vfs.write(handle, 0, Buffer.alloc(1000, 0xff));
    if (flushed) await vfs.flush(handle);
    assert.strictEqual((await vfs.setattr(handle.inode, sizeTo(10))).size, 10);
    assert.strictEqual((await vfs.setattr(handle.inode, sizeTo(2000))).size, 2000);
    await vfs.write(handle, 500, Buffer.alloc(10, 0xaa));
    const expected = Buffer.alloc(2000);
    expected.fill(0xff, 0, 10);
    expected.fill(0xaa, 500, 510);
    assert.ok((await readAll(vfs, handle)).equals(expected));
    await vfs.flush(handle);
    assert.ok((await readAll(vfs, handle)).equals(expected));
  }
});

test('truncating to nothing drops what was not sent without writing it', async () => {
  const { vfs, store } = newClient();
  const handle = await create(vfs, 'gone');
  await vfs.write(handle, 0, Buffer.alloc(100_000, 1));
  await vfs.setattr(handle.inode, sizeTo(0));
  assert.strictEqual((await vfs.getattr(handle.inode)).size, 0);
  assert.strictEqual(store.writes.length, 0);
  await vfs.write(handle, 0, Buffer.from('x'));
  await vfs.flush(handle);
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'x');
});

test('O_TRUNC empties the file at open, and O_APPEND writes behind what is there', async () => {
  const { vfs } = newClient();
  await writeFile(vfs, 'log', Buffer.from('old content'));
  const truncated = await openByName(vfs, 'log', Open.WRONLY | Open.TRUNC);
  assert.strictEqual((await vfs.getattr(truncated.inode)).size, 0);
  await closeFile(vfs, truncated);
  const log = await openByName(vfs, 'log', Open.WRONLY | Open.APPEND);
  await Promise.all(['one,', 'two,', 'three'].map((line) => vfs.write(log, 0, Buffer.from(line))));
  assert.strictEqual((await readAll(vfs, log)).toString(), 'one,two,three');
});

test('times set after a write stay when the write is committed later', async () => {
  const { vfs } = newClient();
  const handle = await create(vfs, 'copied');
  await vfs.write(handle, 0, Buffer.from('data'));
  const mtime = { sec: 1_000_000, nsec: 5 };
  const times = { valid: SetAttr.MTIME | SetAttr.ATIME, mode: 0, uid: 0, gid: 0, size: 0, atime: mtime, mtime };
  await vfs.setattr(handle.inode, times);
  await closeFile(vfs, handle);
  assert.deepStrictEqual((await vfs.lookup(vfs.root, 'copied')).mtime, mtime);
});

test('a file that was unlinked while open is read and written until it is released', async () => {
  const { vfs } = newClient();
  const handle = await create(vfs, 'temporary');
  await vfs.write(handle, 0, Buffer.from('first'));
  await vfs.unlink(vfs.root, 'temporary');
  await vfs.write(handle, 5, Buffer.from(' second'));
  await vfs.flush(handle);
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'first second');
  await vfs.release(handle);
});

test('a file that is renamed while dirty keeps what was written', async () => {
  const { vfs } = newClient();
  const handle = await create(vfs, 'old');
  await vfs.write(handle, 0, Buffer.from('abc'));
  await vfs.rename(vfs.root, 'old', vfs.root, 'new', 0);
  await vfs.write(handle, 3, Buffer.from('def'));
  await closeFile(vfs, handle);
  assert.strictEqual((await readAll(vfs, await openByName(vfs, 'new'))).toString(), 'abcdef');
});

test('create opens what stands unless it is to be exclusive', async () => {
  const { vfs } = newClient();
  await writeFile(vfs, 'there', Buffer.from('content'));
  const { handle } = await vfs.create(vfs.root, 'there', 0o644, Open.RDWR, WHO);
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'content');
  const exclusive = vfs.create(vfs.root, 'there', 0o644, Open.RDWR | Open.EXCL, WHO);
  await assert.rejects(exclusive, (error) => error instanceof OfsError && error.status === Status.EXIST);
});

test('a write that nobody flushes is committed by itself', async () => {
  const service = new MemoryMetaService();
  const first = client(service);
  const handle = await create(first.vfs, 'slow');
  // Two blocks: the full one goes on its own, the young rest may stay.
  await first.vfs.write(handle, 0, Buffer.alloc(limits.blockBytes + 10, 3));
  await until('the timer commits', () => first.meta.calls.includes('chunkCommit'));
  const second = client(service, {}, first);
  assert.strictEqual((await second.vfs.lookup(second.vfs.root, 'slow')).size, limits.blockBytes);
  await first.vfs.flush(handle);
  assert.strictEqual((await second.vfs.lookup(second.vfs.root, 'slow')).size, limits.blockBytes + 10);
  await first.vfs.release(handle);
});

test('a dirty file that is released is committed behind, and then let go', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'left');
  await vfs.write(handle, 0, Buffer.from('kept'));
  await vfs.release(handle);
  await until('it is let go', () => meta.service.held.size === 0);
  assert.strictEqual((await readAll(vfs, await openByName(vfs, 'left'))).toString(), 'kept');
});

test('close flushes every file and lets all go', async () => {
  const service = new MemoryMetaService();
  const { vfs, store } = client(service);
  const handles = await Promise.all(['a', 'b', 'c'].map((name) => create(vfs, name)));
  for (const handle of handles) await vfs.write(handle, 0, Buffer.from('data'));
  for (const handle of handles) await vfs.release(handle);
  await vfs.close();
  assert.ok(store.closed);
  assert.strictEqual(store.usedBytes, 0);
  assert.strictEqual(service.held.size, 0);
});

test('a large file written in order is read back, in pieces of every size', async () => {
  const { vfs } = newClient();
  const model = randomBytes(9 * MIB + 13);
  const handle = await create(vfs, 'large');
  for (let at = 0; at < model.length; at += MIB) await vfs.write(handle, at, model.subarray(at, at + MIB));
  await vfs.flush(handle);
  for (const pieceBytes of [MIB, 131_072, 4096 * 3 + 1]) {
    const target = Buffer.alloc(pieceBytes);
    for (let at = 0; at < model.length; at += pieceBytes) {
      const bytes = await vfs.read(handle, at, target);
      assert.strictEqual(bytes, Math.min(pieceBytes, model.length - at));
      assert.ok(target.subarray(0, bytes).equals(model.subarray(at, at + bytes)));
    }
  }
});
