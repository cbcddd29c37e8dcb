import assert from 'node:assert';
import fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { openLocalMeta } from '../../../node/meta/index.js';
import { LeaseReader, LeaseWriter } from '../../../node/raft/index.js';
import { encode } from '../../../proto/codec.js';
import { attrCodec } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, FILE, makeVolume, startNode, temporaryDirectory } from './support.js';

const refusedWith = (status: Status) => (error: Error) => error instanceof OfsError && error.status === status;

function directoryOf(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

test('a thread reads every write that was acknowledged before it asked, and nothing is stale', async (t) => {
  const directory = directoryOf(t);
  const node = await startNode(directory);
  const { group, root } = await makeVolume(node);
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  // Word 0: what was acknowledged last, as a modification time; word 1: reads made; word 2: stop.
  const words = new Int32Array(new SharedArrayBuffer(16));
  const worker = new Worker(new URL('./local-thread.js', import.meta.url), {
    workerData: { directory, leases: node.leases, group, root, words },
  });
  const ended = new Promise<string>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  const zero = { sec: 0, nsec: 0 };
  const change = { inode: attr.inode, valid: 32, mode: 0, uid: 0, gid: 0, size: 0, atime: zero };
  for (let sec = 1; sec <= 600 || Atomics.load(words, 1) < 2000; sec++) {
    await ask(node, 'setattr', { ...change, mtime: { sec, nsec: 0 } }, { group });
    Atomics.store(words, 0, sec);
  }
  Atomics.store(words, 2, 1);
  assert.strictEqual(await ended, 'nothing stale');
  await node.close();
});

test('answers are those of the service, errors too, and bytes in them stay', async (t) => {
  const directory = directoryOf(t);
  const node = await startNode(directory);
  const { group, root } = await makeVolume(node);
  const local = openLocalMeta({ dataDirectory: directory, leases: node.leases });
  await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  const lookup = { parent: root, name: 'f' };
  const { attr } = await ask(node, 'lookup', lookup, { group });
  const found = local.read('lookup', group, lookup);
  for (const value of ['one', 'two']) {
    const set = { inode: attr.inode, name: `user.${value}`, value: Buffer.from(value), flags: 0 };
    await ask(node, 'xattrSet', set, { group });
  }
  assert.deepStrictEqual(encode(attrCodec, found!.attr), encode(attrCodec, attr));
  const first = local.read('xattrGet', group, { inode: attr.inode, name: 'user.one' });
  local.read('xattrGet', group, { inode: attr.inode, name: 'user.two' });
  const text = Buffer.from(first!.value).toString();
  assert.throws(() => local.read('lookup', group, { ...lookup, name: 'g' }), refusedWith(Status.NOENT));
  assert.strictEqual(text, 'one');
  assert.strictEqual(local.read('groupStatus', group, {}), undefined, 'the meta thread has to be asked');
  assert.strictEqual(local.read('lookup', 99, lookup), undefined, 'no lease, no answer');
  assert.strictEqual(local.read('volumeInfo', 0, { name: 'volume' })!.volume.group, group);
  await local.close();
  await node.close();
});

test('without the lease nothing is answered, and a deleted volume is let go', async (t) => {
  const directory = directoryOf(t);
  const node = await startNode(directory);
  const { group, root } = await makeVolume(node);
  const local = openLocalMeta({ dataDirectory: directory, leases: node.leases });
  const read = () => local.read('getattr', group, { inode: root });
  assert.ok(read() !== undefined);
  const lease = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };
  assert.ok(new LeaseReader(node.leases).read(group, lease));
  const writer = new LeaseWriter(node.leases);
  writer.clear(group);
  assert.strictEqual(read(), undefined);
  writer.grant(group, lease);
  assert.ok(read() !== undefined);
  await ask(node, 'volumeDelete', { name: 'volume', force: false });
  await ask(node, 'reclaimNow', { limit: 1 });
  assert.strictEqual(read(), undefined);
  await local.close();
  await node.close();
});
