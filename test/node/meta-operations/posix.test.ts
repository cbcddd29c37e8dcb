// POSIX rules, one by one.

import assert from 'node:assert';
import { test } from 'node:test';
import type { MetaRequest } from '../../../node/meta/view.js';
import { AttrFlag, Mode, RenameFlag, SetAttr, XattrFlag } from '../../../proto/meta/index.js';
import { assertClean, World } from './memory.js';

const ZERO = { sec: 0, nsec: 0 };

function setattr(inode: number, valid: number, more: Partial<MetaRequest<'setattr'>> = {}): MetaRequest<'setattr'> {
  return { inode, valid, mode: 0, uid: 0, gid: 0, size: 0, atime: ZERO, mtime: ZERO, ...more };
}

function rename(parent: number, name: string, newParent: number, newName: string, flags = 0): MetaRequest<'rename'> {
  return { parent, name, newParent, newName, flags };
}

function attrOf(world: World, inode: number) {
  return world.call('getattr', { inode }).attr;
}

test('a removed file keeps its attributes and content until nobody holds it, and opens only for a holder', () => {
  const world = new World();
  const { inode } = world.put('f', 100);
  world.held.add(inode);
  const { attr } = world.call('unlink', { parent: world.root, name: 'f' });
  assert.equal(attr.nlink, 0);
  assert.equal(world.status('open', { inode, held: false, inline: 0 }), 'STALE');
  assert.equal(world.call('open', { inode, held: true, inline: 0 }).chunks.length, 1);
  const slice = world.slice(100, 50);
  const chunks = [{ chunk: 0, slices: [slice] }];
  const commit = { inode, session: 1, chunks, size: 150, mtime: null };
  assert.equal(world.call('chunkCommit', commit).attr.size, 150);
  world.settle();
  assert.equal(attrOf(world, inode).size, 150);
  assertClean(world);
  world.held.clear();
  world.settle();
  assert.equal(world.status('getattr', { inode }), 'STALE');
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

test('a directory that was removed while somebody stands in it has no links, and nothing can be made in it', () => {
  const world = new World();
  const inode = world.mkdir(world.root, 'd');
  world.call('rmdir', { parent: world.root, name: 'd' });
  assert.equal(attrOf(world, inode).nlink, 0);
  const made = { parent: inode, name: 'x', mode: 0o644, uid: 0, gid: 0, rdev: 0, exclusive: true };
  assert.equal(world.status('mknod', made), 'NOENT');
  assert.deepEqual(world.call('readdir', { inode, after: '', limit: 10 }).entries, []);
  world.settle();
  assert.equal(world.status('mknod', made), 'STALE');
});

test('the attributes of a hard-linked file are one, and go back into its entry with the last name but one', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'a');
  const directory = world.mkdir(world.root, 'd');
  assert.equal(world.call('link', { inode, parent: directory, name: 'b' }).attr.nlink, 2);
  world.call('setattr', setattr(inode, SetAttr.MODE, { mode: 0o600 }));
  assert.equal(world.call('lookup', { parent: directory, name: 'b' }).attr.mode & 0o777, 0o600);
  assertClean(world);
  const { attr } = world.call('unlink', { parent: world.root, name: 'a' });
  assert.equal(attr.nlink, 1);
  assert.equal(attr.flags & AttrFlag.LINKED, 0);
  assert.equal(world.call('lookup', { parent: directory, name: 'b' }).attr.inode, inode);
  assertClean(world);
});

test('a directory cannot be linked, nor a file that has no name any more', () => {
  const world = new World();
  const directory = world.mkdir(world.root, 'd');
  assert.equal(world.status('link', { inode: directory, parent: world.root, name: 'e' }), 'PERM');
  const inode = world.mknod(world.root, 'f');
  world.call('unlink', { parent: world.root, name: 'f' });
  assert.equal(world.status('link', { inode, parent: world.root, name: 'g' }), 'NOENT');
});

test('a file with hundreds of names keeps them all, and loses them one by one', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'first');
  const names = Array.from({ length: 300 }, (_, index) => `${index}`.padStart(250, 'x'));
  for (const name of names) world.call('link', { inode, parent: world.root, name });
  assert.equal(attrOf(world, inode).nlink, 301);
  assertClean(world);
  for (const name of names) world.call('unlink', { parent: world.root, name });
  assert.equal(attrOf(world, inode).nlink, 1);
  assertClean(world);
});

test('rename refuses what rename(2) refuses', () => {
  const world = new World();
  const { root } = world;
  const d = world.mkdir(root, 'd');
  const e = world.mkdir(d, 'e');
  world.mkdir(root, 'empty');
  world.mknod(root, 'f');
  world.mknod(d, 'inside');
  assert.equal(world.status('rename', rename(root, 'none', root, 'x')), 'NOENT');
  assert.equal(world.status('rename', rename(root, 'd', e, 'x')), 'INVAL');
  assert.equal(world.status('rename', rename(root, 'd', d, 'x')), 'INVAL');
  assert.equal(world.status('rename', rename(root, 'f', root, 'd')), 'ISDIR');
  assert.equal(world.status('rename', rename(root, 'd', root, 'f')), 'NOTDIR');
  assert.equal(world.status('rename', rename(root, 'empty', root, 'd')), 'NOTEMPTY');
  assert.equal(world.status('rename', rename(root, 'f', root, 'd', RenameFlag.NOREPLACE)), 'EXIST');
  assert.equal(world.status('rename', rename(root, 'f', root, 'none', RenameFlag.EXCHANGE)), 'NOENT');
  assert.equal(world.status('rename', rename(root, 'd', e, 'none', RenameFlag.EXCHANGE)), 'NOENT');
  assert.equal(world.status('rename', rename(root, 'd', d, 'e', RenameFlag.EXCHANGE)), 'INVAL');
  assert.equal(world.status('rename', rename(d, 'e', root, 'd', RenameFlag.EXCHANGE)), 'INVAL');
  assert.equal(world.status('rename', rename(root, 'f', root, 'd', 3)), 'INVAL');
  assert.equal(world.status('rename', rename(root, 'f', root, 'd', 4)), 'INVAL');
  assertClean(world);
});

test('rename over a file removes it as unlink does, and between its own names does nothing', () => {
  const world = new World();
  const { root } = world;
  const a = world.mknod(root, 'a');
  const b = world.mknod(root, 'b');
  world.call('link', { inode: a, parent: root, name: 'c' });
  assert.equal(world.call('rename', rename(root, 'a', root, 'c')).replaced, 0);
  assert.equal(attrOf(world, a).nlink, 2);
  assert.equal(world.call('rename', rename(root, 'a', root, 'b')).replaced, b);
  assert.equal(attrOf(world, b).nlink, 0);
  assert.equal(world.status('lookup', { parent: root, name: 'a' }), 'NOENT');
  assertClean(world);
});

test('a directory moved elsewhere takes its link with it, and its content stays where it is', () => {
  const world = new World();
  const { root } = world;
  const from = world.mkdir(root, 'from');
  const to = world.mkdir(root, 'to');
  const moved = world.mkdir(from, 'moved');
  const file = world.mknod(moved, 'file');
  const rows = world.store.rows.size;
  world.call('rename', rename(from, 'moved', to, 'there'));
  assert.equal(world.store.rows.size, rows);
  assert.equal(attrOf(world, from).nlink, 2);
  assert.equal(attrOf(world, to).nlink, 3);
  assert.equal(world.call('resolve', { path: 'to/there/file' }).attr.inode, file);
  assertClean(world);
});

test('exchange swaps a directory and a file, link counts included', () => {
  const world = new World();
  const { root } = world;
  const one = world.mkdir(root, 'one');
  const two = world.mkdir(root, 'two');
  const directory = world.mkdir(one, 'x');
  const file = world.mknod(two, 'y');
  world.call('rename', rename(one, 'x', two, 'y', RenameFlag.EXCHANGE));
  assert.equal(world.call('lookup', { parent: two, name: 'y' }).attr.inode, directory);
  assert.equal(world.call('lookup', { parent: one, name: 'x' }).attr.inode, file);
  assert.deepEqual([attrOf(world, one).nlink, attrOf(world, two).nlink], [2, 3]);
  assertClean(world);
});

test('a name changes the times of its directory, a change of attributes only the ctime of the inode', () => {
  const world = new World();
  const d = world.mkdir(world.root, 'd');
  const before = attrOf(world, d);
  const file = world.mknod(d, 'f');
  const after = attrOf(world, d);
  assert(after.mtime.sec > before.mtime.sec && after.ctime.sec === after.mtime.sec);
  const made = attrOf(world, file);
  const { attr } = world.call('setattr', setattr(file, SetAttr.MODE, { mode: 0o600 }));
  assert.equal(attr.mtime.sec, made.mtime.sec);
  assert(attr.ctime.sec > made.ctime.sec);
  assert.deepEqual(attrOf(world, d), after);
  const renamed = world.call('rename', rename(d, 'f', d, 'g')).attr;
  assert(renamed.ctime.sec > attr.ctime.sec && renamed.mtime.sec === attr.mtime.sec);
});

test('a set-gid directory hands on its group, and to directories the bit', () => {
  const world = new World();
  const d = world.mkdir(world.root, 'd', 0o2755);
  world.call('setattr', setattr(d, SetAttr.GID, { gid: 77 }));
  assert.equal(attrOf(world, world.mknod(d, 'f')).gid, 77);
  const sub = attrOf(world, world.mkdir(d, 'sub'));
  assert.equal(sub.gid, 77);
  assert.equal(sub.mode & Mode.SET_GID, Mode.SET_GID);
  assert.equal(world.put('d/object').gid, 77);
});

test('set-uid goes when it is asked for, set-gid only where the group may run the file', () => {
  const world = new World();
  const runs = world.mknod(world.root, 'runs', 0o106755);
  const locks = world.mknod(world.root, 'locks', 0o106744);
  assert.equal(world.call('setattr', setattr(runs, SetAttr.KILL_SUID)).attr.mode, 0o100755);
  assert.equal(world.call('setattr', setattr(locks, SetAttr.KILL_SUID)).attr.mode, 0o102744);
});

test('mknod without exclusive answers what stands, and makes special files with their device', () => {
  const world = new World();
  const request = { parent: world.root, name: 'd', mode: 0o020600, uid: 0, gid: 0, rdev: 0x0103, exclusive: false };
  const made = world.call('mknod', request);
  assert.deepEqual([made.created, made.attr.rdev, made.attr.mode], [true, 0x0103, 0o020600]);
  assert.deepEqual(world.call('mknod', request), { attr: made.attr, created: false });
  assert.equal(world.status('mknod', { ...request, exclusive: true }), 'EXIST');
  assert.equal(world.status('mknod', { ...request, name: 'e', mode: 0o040755 }), 'INVAL');
});

test('a symlink has the length of its target and needs one', () => {
  const world = new World();
  const request = { parent: world.root, name: 's', target: 'x/y', uid: 0, gid: 0 };
  assert.equal(world.call('symlink', request).attr.size, 3);
  assert.equal(world.status('symlink', { ...request, name: 't', target: '' }), 'NOENT');
  assert.equal(world.status('symlink', { ...request, name: 't', target: 'a\0b' }), 'INVAL');
});

test('names that POSIX cannot have are refused', () => {
  const world = new World();
  const make = (name: string): string =>
    world.status('mkdir', { parent: world.root, name, mode: 0o755, uid: 0, gid: 0 });
  for (const name of ['', '.', '..', 'a/b', 'a\0b', '%ofs%x', '%ofs%nplain', '%ofs%i1f', '%ofs%fnone'])
    assert.equal(make(name), 'INVAL', name);
  assert.equal(make('n'.repeat(256)), 'NAMETOOLONG');
  assert.equal(make('n'.repeat(255)), 'OK');
  assert.equal(world.status('lookup', { parent: world.root, name: '%ofs%x' }), 'NOENT');
});

test('the root can be neither removed nor renamed, since nothing names it', () => {
  const world = new World();
  for (const name of ['', '/'])
    for (const parent of [0, world.root]) assert.notEqual(world.status('rmdir', { parent, name }), 'OK');
  assert.equal(world.status('rename', rename(0, '', world.root, 'x')), 'STALE');
  assert.deepEqual(world.delete('/'), [0]);
  assertClean(world);
});

test('xattrs obey CREATE and REPLACE, and go with their inode', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const set = (flags: number, name = 'user.x'): string =>
    world.status('xattrSet', { inode, name, value: Buffer.from('v'), flags });
  assert.equal(set(XattrFlag.REPLACE), 'NODATA');
  assert.equal(set(XattrFlag.CREATE), 'OK');
  assert.equal(set(XattrFlag.CREATE), 'EXIST');
  assert.equal(set(XattrFlag.REPLACE), 'OK');
  assert.equal(set(0, 'n'.repeat(256)), 'RANGE');
  assert.equal(Buffer.from(world.call('xattrGet', { inode, name: 'user.x' }).value).toString(), 'v');
  assert.equal(world.status('xattrGet', { inode, name: 'user.y' }), 'NODATA');
  assert.equal(world.status('xattrRemove', { inode, name: 'user.y' }), 'NODATA');
  world.call('unlink', { parent: world.root, name: 'f' });
  world.settle();
  assert.equal([...world.store.rows.keys()].filter((key) => key.startsWith('x')).length, 0);
});

test('readdir goes on behind its cursor whatever is made or removed meanwhile', () => {
  const world = new World();
  for (const name of ['a', 'c', 'e', 'g']) world.mknod(world.root, name);
  const first = world.call('readdir', { inode: world.root, after: '', limit: 2 });
  assert.deepEqual(
    first.entries.map(({ name }) => name),
    ['a', 'c'],
  );
  world.call('unlink', { parent: world.root, name: 'c' });
  world.mknod(world.root, 'b');
  world.mknod(world.root, 'd');
  const second = world.call('readdir', { inode: world.root, after: first.cursor, limit: 10 });
  assert.deepEqual(
    second.entries.map(({ name }) => name),
    ['d', 'e', 'g'],
  );
  assert.equal(second.end, true);
});
