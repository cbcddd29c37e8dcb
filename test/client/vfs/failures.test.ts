// VFS when the world fails: answers lost, disks full, sessions ended, memory short, others writing at the same time.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { SetAttr } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { client, closeFile, create, newClient, Open, openByName, readAll, until, WHO, writeFile } from './fixture.js';
import { lost, MemoryMetaService } from './memory-meta.js';

const MIB = 1024 * 1024;
const isStatus = (status: Status) => (error: unknown) => error instanceof OfsError && error.status === status;

test('a commit that is not answered fails the flush, keeps the bytes, and the next flush commits them', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'kept');
  await vfs.write(handle, 0, Buffer.from('precious'));
  meta.mishap = (name) => (name === 'chunkCommit' ? { before: lost() } : null);
  await assert.rejects(vfs.flush(handle), isStatus(Status.TIMEOUT));
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'precious');
  meta.mishap = null;
  await closeFile(vfs, handle);
  assert.strictEqual((await readAll(vfs, await openByName(vfs, 'kept'))).toString(), 'precious');
});

test('a block write that fails for want of an answer is tried again from the buffer', async () => {
  let failing = true;
  const { vfs, store } = newClient({ failWrite: () => (failing ? lost() : null) });
  const handle = await create(vfs, 'retried');
  const data = randomBytes(9 * MIB);
  await vfs.write(handle, 0, data);
  await assert.rejects(vfs.flush(handle), isStatus(Status.TIMEOUT));
  assert.ok((await readAll(vfs, handle)).equals(data));
  failing = false;
  await vfs.flush(handle);
  assert.ok((await readAll(vfs, handle)).equals(data));
  assert.strictEqual(store.usedBytes, 0);
});

test('a full disk is said once, at flush, and what could not be written is dropped', async () => {
  let full = true;
  const { vfs, store } = newClient({ failWrite: () => (full ? new OfsError(Status.NOSPC, 'disk is full') : null) });
  const handle = await create(vfs, 'full');
  await vfs.write(handle, 0, Buffer.alloc(9 * MIB));
  await assert.rejects(vfs.flush(handle), isStatus(Status.NOSPC));
  assert.strictEqual((await vfs.getattr(handle.inode)).size, 0);
  assert.strictEqual(store.usedBytes, 0);
  await vfs.flush(handle);
  full = false;
  await vfs.write(handle, 0, Buffer.from('fits'));
  await vfs.flush(handle);
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'fits');
});

test('an error of a background commit is reported by the next flush', async () => {
  const { vfs, meta, warnings } = newClient();
  const handle = await create(vfs, 'behind');
  meta.mishap = (name) => (name === 'chunkCommit' ? { before: new OfsError(Status.ROFS, 'read-only') } : null);
  await vfs.write(handle, 0, Buffer.alloc(limits.blockBytes));
  await until('the background commit fails', () => warnings.length > 0);
  meta.mishap = null;
  await assert.rejects(vfs.flush(handle), isStatus(Status.ROFS));
  await vfs.flush(handle);
});

test('a commit that keeps failing gives its memory back in the end', async () => {
  const { vfs, meta, store } = newClient();
  const handle = await create(vfs, 'hopeless');
  await vfs.write(handle, 0, Buffer.alloc(100_000));
  meta.mishap = (name) => (name === 'chunkCommit' ? { before: lost() } : null);
  for (let attempt = 0; attempt < limits.commitAttempts; attempt++) {
    await assert.rejects(vfs.flush(handle), isStatus(Status.TIMEOUT));
  }
  assert.strictEqual((await vfs.getattr(handle.inode)).size, 0);
  assert.strictEqual(store.usedBytes, 0);
  await vfs.flush(handle);
});

test('blocks of a session that ended before the commit are written again under the new one', async () => {
  const { vfs, meta, store } = newClient();
  const handle = await create(vfs, 'session');
  const data = randomBytes(5 * MIB);
  await vfs.write(handle, 0, data);
  meta.service.ended.add(1);
  setTimeout(() => {
    meta.sessionNumber = 2;
    store.session = 2;
  }, 20);
  const before = store.writes.length;
  assert.strictEqual(before, 0);
  await vfs.flush(handle);
  assert.strictEqual(store.writes.length, before + 4, 'both blocks were written twice');
  assert.ok((await readAll(vfs, handle)).equals(data));
  assert.strictEqual(store.usedBytes, 0);
});

test('a reader whose slices are of yesterday finds the block under what metadata names now', async () => {
  const service = new MemoryMetaService();
  const writer = client(service);
  await writeFile(writer.vfs, 'moved', Buffer.from('old bytes'));
  const reader = client(service, {}, writer);
  const handle = await openByName(reader.vfs, 'moved');
  for (const block of [...writer.store.blocks.keys()]) writer.store.blocks.delete(block);
  await assert.rejects(reader.vfs.read(handle, 0, Buffer.alloc(9)), isStatus(Status.NOENT));
  const again = await openByName(writer.vfs, 'moved');
  await writer.vfs.write(again, 0, Buffer.from('new bytes'));
  await closeFile(writer.vfs, again);
  const target = Buffer.alloc(9);
  assert.strictEqual(await reader.vfs.read(handle, 0, target), 9);
  assert.strictEqual(target.toString(), 'new bytes');
});

test('a commit that comes after those of others does not hide their bytes', async () => {
  const service = new MemoryMetaService();
  const first = client(service);
  const second = client(service, {}, first);
  const mine = await create(first.vfs, 'both');
  await first.vfs.write(mine, 0, Buffer.from('aaaa'));
  await first.vfs.flush(mine);
  assert.strictEqual((await readAll(first.vfs, mine)).toString(), 'aaaa');
  const theirs = await openByName(second.vfs, 'both');
  await second.vfs.write(theirs, 1, Buffer.from('b'));
  await second.vfs.flush(theirs);
  await first.vfs.write(mine, 2, Buffer.from('c'));
  await first.vfs.flush(mine);
  assert.strictEqual((await readAll(first.vfs, mine)).toString(), 'abca');
});

test('attributes that were answered before a commit of this client do not shrink the file', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'grown');
  let release = (): void => undefined;
  meta.late = (name) => (name === 'getattr' ? new Promise((resolve) => (release = resolve)) : null);
  const old = vfs.getattr(handle.inode);
  await until('getattr is answered', () => meta.calls.includes('getattr'));
  await new Promise((resolve) => setImmediate(resolve));
  await vfs.write(handle, 0, Buffer.alloc(1000));
  await vfs.flush(handle);
  release();
  assert.strictEqual((await old).size, 1000);
});

test('a reader sees either all of a commit or none of it while it runs, and its own writes always', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'during');
  const model = randomBytes(200_000);
  await vfs.write(handle, 0, model);
  let release = (): void => undefined;
  meta.late = (name) => (name === 'chunkCommit' ? new Promise((resolve) => (release = resolve)) : null);
  const flushed = vfs.flush(handle);
  await until('the commit is under way', () => meta.calls.includes('chunkCommit'));
  const patch = randomBytes(1000);
  await vfs.write(handle, 5000, patch);
  patch.copy(model, 5000);
  assert.ok((await readAll(vfs, handle)).equals(model));
  meta.late = null;
  await until('the service has answered', () => {
    release();
    return true;
  });
  await flushed;
  assert.ok((await readAll(vfs, handle)).equals(model));
  await vfs.flush(handle);
  assert.ok((await readAll(vfs, handle)).equals(model));
});

test('many dirty files share little memory: all is written, and read back', async () => {
  const { vfs, store } = newClient({ slabBytes: 4 * MIB });
  const contents = Array.from({ length: 60 }, () => randomBytes(300_000));
  const handles = await Promise.all(contents.map((_, index) => create(vfs, `file-${index}`)));
  await Promise.all(
    contents.map(async (content, index) => {
      const handle = handles[index]!;
      for (let at = 0; at < content.length; at += 20_000) {
        await vfs.write(handle, at, content.subarray(at, at + 20_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }),
  );
  for (let index = 0; index < contents.length; index++) {
    assert.ok((await readAll(vfs, handles[index]!)).equals(contents[index]!));
    await closeFile(vfs, handles[index]!);
  }
  assert.ok(store.peakBytes <= 4 * MIB);
  assert.strictEqual(store.usedBytes, 0);
});

test('more random writes than may be pending are committed on the way', async () => {
  const { vfs, meta } = newClient();
  const handle = await create(vfs, 'random');
  const model = Buffer.alloc(8 * MIB);
  for (let index = 0; index < limits.pendingRunsPerFile + 200; index++) {
    const at = ((index * 7919) % 1000) * 8192;
    const page = Buffer.alloc(4096, index % 255);
    page.copy(model, at);
    await vfs.write(handle, at, page);
  }
  assert.ok(meta.calls.includes('chunkCommit'));
  const size = (await vfs.getattr(handle.inode)).size;
  assert.ok((await readAll(vfs, handle)).equals(model.subarray(0, size)));
  await closeFile(vfs, handle);
  assert.ok((await readAll(vfs, await openByName(vfs, 'random'))).equals(model.subarray(0, size)));
});

test('a failure that passes within the patience of a flush is not told', async () => {
  let failures = 3;
  const fails = (): OfsError | null => (failures-- > 0 ? lost() : null);
  const { vfs, meta } = newClient({ patienceMs: 10_000, failWrite: fails });
  const handle = await create(vfs, 'patient');
  await vfs.write(handle, 0, Buffer.from('in the end'));
  await vfs.flush(handle);
  failures = 0;
  let commits = 0;
  meta.mishap = (name) => (name === 'chunkCommit' && commits++ < 2 ? { after: lost() } : null);
  await vfs.write(handle, 0, Buffer.from('IN'));
  await vfs.flush(handle);
  assert.strictEqual(commits, 3);
  assert.strictEqual((await readAll(vfs, handle)).toString(), 'IN the end');
});

test('an append waits for the write before it to have its place, even when that waits for memory', async () => {
  const { vfs } = newClient({ slabBytes: 4 * MIB });
  const handle = (await vfs.create(vfs.root, 'appended', 0o644, Open.RDWR | Open.APPEND, WHO)).handle;
  const pieces = Array.from({ length: 6 }, (_, index) => Buffer.alloc(3 * MIB, index + 1));
  await Promise.all(pieces.map((piece) => vfs.write(handle, 0, piece)));
  assert.ok((await readAll(vfs, handle)).equals(Buffer.concat(pieces)));
  await closeFile(vfs, handle);
});

test('a file that is cut while it is compacted is left as it was cut, without a word', async () => {
  const { vfs, meta, warnings } = newClient();
  const handle = await create(vfs, 'cut');
  const model = randomBytes(200_000);
  await vfs.write(handle, 0, model);
  await vfs.flush(handle);
  let release = (): void => undefined;
  meta.late = (name) => (name === 'chunkRead' ? new Promise((resolve) => (release = resolve)) : null);
  for (let at = 0; !meta.calls.includes('chunkRead'); at += 4000) {
    await vfs.write(handle, at, model.subarray(at, at + 1000));
    await vfs.flush(handle);
  }
  await new Promise((resolve) => setImmediate(resolve));
  const time = { sec: 0, nsec: 0 };
  const size = 150_000;
  await vfs.setattr(handle.inode, { valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: time, mtime: time });
  meta.late = null;
  release();
  await vfs.compacted();
  assert.ok(meta.calls.includes('chunkCompact'));
  assert.deepStrictEqual(warnings, []);
  assert.ok((await readAll(vfs, handle)).equals(model.subarray(0, size)));
});
