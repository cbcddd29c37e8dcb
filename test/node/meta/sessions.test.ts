import assert from 'node:assert';
import fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { forgettableSessions } from '../../../node/meta/sessions.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, Clock, FILE, heldGroup, makeVolume, startNode, temporaryDirectory, turn, until } from './support.js';

const refusedWith = (status: Status) => (error: Error) => error instanceof OfsError && error.status === status;

function directoryOf(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

const SLICE = { offset: 0, length: 10, blob: 2 ** 29 + 16, blobOffset: 0, blobLength: 10 };

test('only an open session may commit, and it is refused once it has expired', async (t) => {
  const clock = new Clock();
  const node = await startNode(directoryOf(t), { monotonic: clock.read, jobsMs: 5 });
  const { group, root } = await makeVolume(node);
  const how = { group };
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, how);
  const commit = { inode: attr.inode, session: 9, chunks: [{ chunk: 0, slices: [SLICE] }], size: 10, mtime: null };
  await assert.rejects(ask(node, 'chunkCommit', commit, how), refusedWith(Status.SESSION_ENDED));
  assert.deepStrictEqual(await ask(node, 'sessionRenew', { session: 9, held: [], more: false }, how), { known: false });
  const { lifetimeMs } = await ask(node, 'sessionOpen', { session: 9, client: 'c' }, how);
  await ask(node, 'chunkCommit', commit, how);
  clock.nowMs += lifetimeMs - 1;
  assert.deepStrictEqual(await ask(node, 'sessionRenew', { session: 9, held: [], more: false }, how), { known: true });
  clock.nowMs += lifetimeMs - 1;
  await ask(node, 'chunkCommit', commit, how);
  clock.nowMs += 1;
  await assert.rejects(async () => {
    for (;;) await ask(node, 'chunkCommit', commit, how);
  }, refusedWith(Status.SESSION_ENDED));
  await assert.rejects(ask(node, 'sessionOpen', { session: 9, client: 'c' }, how), refusedWith(Status.SESSION_ENDED));
  await node.close();
});

test('a session that lived before a restart may go on, and has one lifetime to say so', async (t) => {
  const clock = new Clock();
  const directory = directoryOf(t);
  const first = await startNode(directory, { monotonic: clock.read });
  const { group } = await makeVolume(first);
  for (const session of [1, 2]) await ask(first, 'sessionOpen', { session, client: 'c' }, { group });
  await first.close();
  clock.nowMs += 10 * limits.sessionLifetimeMs;
  const second = await startNode(directory, { monotonic: clock.read, jobsMs: 5 });
  clock.nowMs += limits.sessionLifetimeMs - 1;
  const renew = (session: number) => ask(second, 'sessionRenew', { session, held: [], more: false }, { group });
  assert.deepStrictEqual(await renew(1), { known: true });
  clock.nowMs += 1;
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { sessions } = await ask(second, 'groupStatus', {}, { group });
    if (sessions === 1) break;
    await turn();
    assert.ok(performance.now() < deadline, 'session 2 is ended');
  }
  assert.deepStrictEqual(await renew(1), { known: true });
  assert.deepStrictEqual(await renew(2), { known: false });
  await second.close();
});

test('what a session holds is what it told last, in however many pieces', (t) => {
  const directory = directoryOf(t);
  const { group, engine } = heldGroup(directory);
  t.after(() => engine.close());
  const { sessions } = group;
  for (const session of [1, 2]) sessions.opened(session);
  const renew = (session: number, held: number[], more = false) => sessions.renew({ session, held, more });
  renew(1, [10, 11]);
  renew(2, [11]);
  assert.ok(sessions.holds(10) && sessions.holds(11) && !sessions.holds(12));
  renew(1, [12], true);
  assert.ok(sessions.holds(10) && !sessions.holds(12), 'until the whole is told, what was told before');
  renew(1, [13]);
  assert.ok(!sessions.holds(10) && sessions.holds(12) && sessions.holds(13));
  assert.ok(sessions.holds(11), 'session 2 still has it');
  sessions.closed(2);
  assert.ok(!sessions.holds(11));
});

test('a request of a session that has ended is never run, and its answers are gone with it', async (t) => {
  const held = heldGroup(directoryOf(t));
  t.after(() => held.engine.close());
  const done = async <T>(asked: Promise<T>): Promise<T> => {
    held.log.commit();
    return asked;
  };
  const rows = (): number => {
    let count = 0;
    held.engine.scan('q', 'r', () => ++count > 0);
    return count;
  };
  const create = (name: string, number: number) =>
    held.ask('mknod', { parent: held.root, name, ...FILE }, { session: 5, number, window: 0 });
  await done(held.ask('sessionOpen', { session: 5, client: 'c' }, { session: 5, number: 1 }));
  await done(create('f', 2));
  assert.strictEqual(rows(), 1, 'the first was needed no more when the second came');
  await done(held.ask('unlink', { parent: held.root, name: 'f' }));
  await done(held.ask('sessionClose', { session: 5 }));
  assert.strictEqual(rows(), 0);
  await assert.rejects(create('f', 2), refusedWith(Status.SESSION_ENDED));
  await assert.rejects(held.ask('lookup', { parent: held.root, name: 'f' }), refusedWith(Status.NOENT));
  assert.deepStrictEqual(forgettableSessions(held.engine, held.clock.nowMs, 10), []);
  assert.deepStrictEqual(forgettableSessions(held.engine, held.clock.nowMs + limits.sessionEndedKeepMs, 10), [5]);
});

test('blobs of an unlinked file are deleted when they are of age and no session holds it any more', async (t) => {
  const clock = new Clock();
  const wall = new Clock();
  const node = await startNode(directoryOf(t), { monotonic: clock.read, wallClock: wall.read, jobsMs: 5 });
  const { group, root } = await makeVolume(node);
  const how = { group };
  await ask(node, 'sessionOpen', { session: 9, client: 'c' }, how);
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, how);
  const commit = { inode: attr.inode, session: 9, chunks: [{ chunk: 0, slices: [SLICE] }], size: 10, mtime: null };
  await ask(node, 'chunkCommit', commit, how);
  const hold = (held: number[]) => ask(node, 'sessionRenew', { session: 9, held, more: false }, how);
  await hold([attr.inode]);
  await ask(node, 'unlink', { parent: root, name: 'f' }, how);
  clock.nowMs += limits.sessionLifetimeMs - 1;
  await hold([attr.inode]);
  clock.nowMs += limits.sessionLifetimeMs - 1;
  await hold([attr.inode]);
  wall.nowMs += limits.reclaimAgeMs + 1000;
  assert.notDeepStrictEqual(await ask(node, 'reclaimNow', { limit: 1000 }, how), { left: 0 });
  assert.deepStrictEqual(node.deleted, [], 'the session has the file open');
  await ask(node, 'chunkRead', { inode: attr.inode, first: 0, count: 1 }, how);
  await hold([]);
  await until(() => node.deleted.length > 0, 'the blob is deleted');
  assert.deepStrictEqual(node.deleted, [SLICE.blob]);
  await node.close();
});

test('a client that stood still past its session finds its unlinked open file, one that stays away does not', async (t) => {
  const clock = new Clock();
  const wall = new Clock();
  const node = await startNode(directoryOf(t), { monotonic: clock.read, wallClock: wall.read, jobsMs: 5 });
  const { group, root } = await makeVolume(node);
  const how = { group };
  const sessionsAre = (count: number) =>
    until(async () => (await ask(node, 'groupStatus', {}, how)).sessions === count, `${count} sessions`);
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, how);
  const open = (session: number) => ask(node, 'sessionOpen', { session, client: 'c' }, how);
  const hold = (session: number) => ask(node, 'sessionRenew', { session, held: [attr.inode], more: false }, how);
  await open(9);
  const commit = { inode: attr.inode, session: 9, chunks: [{ chunk: 0, slices: [SLICE] }], size: 10, mtime: null };
  await ask(node, 'chunkCommit', commit, how);
  await hold(9);
  await ask(node, 'unlink', { parent: root, name: 'f' }, how);
  // Long ago, so that its age keeps nothing.
  wall.nowMs += limits.reclaimAgeMs + 1000;
  clock.nowMs += limits.sessionLifetimeMs;
  await sessionsAre(0);
  await ask(node, 'reclaimNow', { limit: 1000 }, how);
  await ask(node, 'chunkRead', { inode: attr.inode, first: 0, count: 1 }, how);
  await open(10);
  await hold(10);
  for (let spentMs = 0; spentMs < limits.lostHoldMs; spentMs += limits.sessionLifetimeMs / 3) {
    clock.nowMs += limits.sessionLifetimeMs / 3;
    await hold(10);
  }
  await ask(node, 'reclaimNow', { limit: 1000 }, how);
  assert.deepStrictEqual(node.deleted, [], 'the new session holds it');
  clock.nowMs += limits.sessionLifetimeMs;
  await sessionsAre(0);
  clock.nowMs += limits.lostHoldMs;
  await until(() => node.deleted.length > 0, 'the blob is deleted');
  assert.deepStrictEqual(node.deleted, [SLICE.blob]);
  await node.close();
});

test('nothing is reclaimed by itself before its age; reclaimNow does not wait for it', async (t) => {
  const clock = new Clock();
  const wall = new Clock();
  const node = await startNode(directoryOf(t), { monotonic: clock.read, wallClock: wall.read, jobsMs: 5 });
  const { group, root } = await makeVolume(node);
  const how = { group };
  await ask(node, 'sessionOpen', { session: 9, client: 'c' }, how);
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, how);
  const commit = { inode: attr.inode, session: 9, chunks: [{ chunk: 0, slices: [SLICE] }], size: 10, mtime: null };
  await ask(node, 'chunkCommit', commit, how);
  await ask(node, 'unlink', { parent: root, name: 'f' }, how);
  const started = performance.now();
  // Many rounds of the jobs.
  await until(() => performance.now() - started > 100, 'some rounds');
  assert.deepStrictEqual(node.deleted, []);
  const { left } = await ask(node, 'reclaimNow', { limit: 1000 }, how);
  assert.strictEqual(left, 0);
  assert.deepStrictEqual(node.deleted, [SLICE.blob]);
  await node.close();
});
