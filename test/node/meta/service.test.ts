import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { makeBlob } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { metaOperations, SetAttr } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, askRaw, FILE, makeVolume, startNode, temporaryDirectory } from './support.js';

const ZERO = { sec: 0, nsec: 0 };
const refusedWith = (status: Status) => (error: Error) => error instanceof OfsError && error.status === status;

test('a volume is made, a file in it, and both are there after a restart', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const first = await startNode(directory);
  const { group, root } = await makeVolume(first);
  const made = await ask(first, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  await first.close();
  const second = await startNode(directory);
  const found = await ask(second, 'lookup', { parent: root, name: 'f' }, { group });
  assert.deepStrictEqual(found.attr, made.attr);
  const { volumes } = await ask(second, 'volumeList', { after: '', limit: 10 });
  assert.deepStrictEqual(
    volumes.map(({ name }) => name),
    ['volume'],
  );
  assert.deepStrictEqual(second.warnings, []);
  await second.close();
});

test('a request that is none is answered MALFORMED, one with bytes behind it too', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = await startNode(directory);
  const { group } = await makeVolume(node);
  const { code } = metaOperations.getattr;
  const statusOf = async (kind: number, body: number[], to = group): Promise<number> =>
    (await askRaw(node, kind, Buffer.from(body), { group: to })).status;
  assert.strictEqual(await statusOf(code, []), Status.MALFORMED);
  assert.strictEqual(await statusOf(code, [1, 1]), Status.MALFORMED);
  assert.strictEqual(await statusOf(code, [7]), Status.STALE);
  assert.strictEqual(await statusOf(9999, []), Status.MALFORMED);
  assert.strictEqual(await statusOf(metaOperations.volumeList.code, [0, 1]), Status.MALFORMED, 'not of this group');
  assert.strictEqual(await statusOf(code, [7], 77), Status.NO_SUCH_GROUP);
  await node.close();
});

test('bytes that come with their commit are a block first, checked, written once, and then named', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const written: Buffer[] = [];
  const blob = makeBlob(3, 5);
  const node = await startNode(directory, {
    writeBlock: async (session, crc, data) => {
      assert.deepStrictEqual([session, crc], [9, crc32(data)]);
      written.push(Buffer.from(data));
      return blob;
    },
  });
  const { group, root } = await makeVolume(node);
  await ask(node, 'sessionOpen', { session: 9, client: 'test' }, { group });
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  const payload = Buffer.from('bytes');
  const offset = limits.chunkBytes + 10;
  const commit = { inode: attr.inode, session: 9, offset, size: offset + 5, mtime: null, crc: crc32(payload) };
  const how = { group, payload, session: 9, number: 1_000_000 };
  const committed = await ask(node, 'writeCommit', commit, how);
  assert.deepStrictEqual([committed.blob, committed.attr.size], [blob, offset + 5]);
  const { chunks } = await ask(node, 'chunkRead', { inode: attr.inode, first: 1, count: 1 }, { group });
  assert.deepStrictEqual(chunks[0]!.slices, [{ offset: 10, length: 5, blob, blobOffset: 0, blobLength: 5 }]);
  const again = await ask(node, 'writeCommit', commit, how);
  assert.deepStrictEqual([again.blob, again.attr], [0, committed.attr], 'a retry is answered and not done again');
  assert.deepStrictEqual(written, [payload]);

  const fails = (change: Partial<typeof commit>, sent = payload) =>
    ask(node, 'writeCommit', { ...commit, ...change }, { group, payload: sent });
  await assert.rejects(fails({ crc: 1 }), refusedWith(Status.CORRUPT));
  await assert.rejects(fails({ offset: limits.chunkBytes - 2 }), refusedWith(Status.INVAL));
  const large = Buffer.alloc(limits.inlineBytes + 1);
  await assert.rejects(fails({ crc: crc32(large) }, large), refusedWith(Status.INVAL));
  await assert.rejects(fails({}, Buffer.alloc(0)), refusedWith(Status.INVAL));
  assert.strictEqual(written.length, 1, 'nothing was written of what was refused');
  await assert.rejects(fails({ inode: 77 }), refusedWith(Status.STALE));
  await node.close();
});

test('of a commit with its bytes that came twice and waited twice, no answer names a block that is not in the file', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  let blocks = 0;
  const node = await startNode(directory, { writeBlock: async () => makeBlob(3, ++blocks) });
  const { group, root } = await makeVolume(node);
  await ask(node, 'sessionOpen', { session: 9, client: 'test' }, { group });
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  // As much as may be under way, so that what comes behind it waits.
  const chmod = { inode: root, valid: SetAttr.MODE, mode: 0o700, uid: 0, gid: 0, size: 0, atime: ZERO, mtime: ZERO };
  const ahead = Array.from({ length: limits.pendingTransactions }, () => ask(node, 'setattr', chmod, { group }));
  const payload = Buffer.from('bytes');
  const commit = { inode: attr.inode, session: 9, offset: 0, size: 5, mtime: null, crc: crc32(payload) };
  const send = () => ask(node, 'writeCommit', commit, { group, payload, session: 9, number: 1_000_000 });
  const answers = await Promise.all([send(), send()]);
  await Promise.all(ahead);
  assert.strictEqual(blocks, 2, 'both were on their way at once');
  const { chunks } = await ask(node, 'chunkRead', { inode: attr.inode, first: 0, count: 1 }, { group });
  assert.deepStrictEqual(
    answers.map(({ blob }) => blob),
    [chunks[0]!.slices[0]!.blob, 0],
    'or none, where that is not known',
  );
  await node.close();
});

test('a volume with entries is deleted only by force, and then nothing of it is answered or left', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = await startNode(directory);
  const { group, root } = await makeVolume(node);
  await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  const remove = { name: 'volume', force: false };
  await assert.rejects(ask(node, 'volumeDelete', remove), refusedWith(Status.NOTEMPTY));
  await ask(node, 'lookup', { parent: root, name: 'f' }, { group });
  await ask(node, 'volumeDelete', { ...remove, force: true });
  await assert.rejects(ask(node, 'volumeInfo', { name: 'volume' }), refusedWith(Status.NO_SUCH_VOLUME));
  await assert.rejects(ask(node, 'lookup', { parent: root, name: 'f' }, { group }), refusedWith(Status.NO_SUCH_GROUP));
  const files = `${directory}/meta/groups/${group}`;
  assert.ok(fs.existsSync(files), 'readers that have begun have their time');
  assert.deepStrictEqual(await ask(node, 'reclaimNow', { limit: 100 }), { left: 0 });
  assert.ok(!fs.existsSync(files));
  const again = await makeVolume(node);
  assert.notStrictEqual(again.group, group, 'a group is never used for another volume');
  await node.close();
});
