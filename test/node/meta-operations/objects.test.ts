// S3 on a tree: the decisions of design.md, section 7, and uploads.

import assert from 'node:assert';
import { test } from 'node:test';
import type { MetaRequest } from '../../../node/meta/view.js';
import { limits } from '../../../proto/limits.js';
import { AttrFlag, etagOf } from '../../../proto/meta/index.js';
import { assertClean, World } from './memory.js';

const NONE = { ifMatch: '', ifNoneMatch: '' };
const PART = limits.multipartMinPartBytes;

function listed(world: World, prefix = '', delimiter = ''): string[] {
  const page = world.call('objectList', { prefix, delimiter, marker: '', limit: 1000 });
  return [...page.entries.map(({ key }) => key), ...page.prefixes];
}

function copy(source: string, target: string, more: Partial<MetaRequest<'objectCopy'>> = {}) {
  return { source, target, object: null, sourceCondition: NONE, uid: 1, gid: 1, ...more };
}

test('an object and a prefix of its name live side by side, and a mount shows both', () => {
  const world = new World();
  const object = world.put('a').inode;
  const inside = world.put('a/x').inode;
  assert.deepEqual(listed(world), ['a', 'a/x']);
  assert.equal(world.call('objectHead', { path: 'a' }).attr.inode, object);
  const { entries } = world.call('readdir', { inode: world.root, after: '', limit: 10 });
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['%ofs%fa', 'a'],
  );
  const directory = world.call('lookup', { parent: world.root, name: 'a' }).attr;
  assert.equal(directory.mode & 0o170000, 0o040000);
  assert.equal(world.call('lookup', { parent: directory.inode, name: 'x' }).attr.inode, inside);
  assert.equal(world.call('lookup', { parent: world.root, name: '%ofs%fa' }).attr.inode, object);
  world.delete('a/x');
  assert.equal(world.call('lookup', { parent: world.root, name: 'a' }).attr.inode, object);
  assert.equal(world.status('lookup', { parent: world.root, name: '%ofs%fa' }), 'NOENT');
  assertClean(world);
});

test('a twin is known for one on whatever page of a directory its file comes', () => {
  const world = new World();
  for (const key of ['a', 'a!', 'a-', 'a/x', 'b', 'b/y']) world.put(key);
  for (let limit = 1; limit < 7; limit++) {
    const names: string[] = [];
    for (let after = '', end = false; !end; ) {
      const page = world.call('readdir', { inode: world.root, after, limit });
      names.push(...page.entries.map(({ name }) => name));
      ({ end, cursor: after } = page);
    }
    assert.deepEqual(names, ['%ofs%fa', 'a!', 'a-', 'a', '%ofs%fb', 'b'], `pages of ${limit}`);
  }
});

test('keys that POSIX cannot name are stored as they are and can be read, renamed and removed on a mount', () => {
  const world = new World();
  const long = 'n'.repeat(600);
  for (const key of ['..', 'd//x', 'd/./y', `d/${long}`, '/top']) world.put(key);
  assert.deepEqual(listed(world), ['..', '/top', 'd/./y', 'd//x', `d/${long}`].sort());
  const directory = world.call('resolve', { path: 'd/' }).attr.inode;
  const { entries } = world.call('readdir', { inode: directory, after: '', limit: 10 });
  const names = entries.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 2), ['%ofs%n.', '%ofs%n']);
  assert.match(names[2]!, /^%ofs%i[0-9a-f]+$/);
  for (const { name, attr } of entries)
    assert.equal(world.call('lookup', { parent: directory, name }).attr.inode, attr.inode);
  const moved = { parent: directory, name: names[2]!, newParent: world.root, newName: 'short', flags: 0 };
  world.call('rename', moved);
  assert.equal(world.status('objectHead', { path: 'short' }), 'OK');
  assert.equal(
    world.status('rename', { ...moved, parent: world.root, name: 'short', newParent: directory, newName: names[2]! }),
    'INVAL',
  );
  world.call('unlink', { parent: world.root, name: '%ofs%n..' });
  assert.equal(world.exists('..'), false);
  assertClean(world);
});

test('a DELETE takes away the directories that PUTs made and that became empty, no others', () => {
  const world = new World();
  world.mkdir(world.root, 'made');
  world.put('made/by/put/x');
  world.put('by/put/y');
  world.delete('made/by/put/x', 'by/put/y');
  assert.deepEqual(listed(world), ['made/']);
  assert.equal(world.status('resolve', { path: 'made/by' }), 'NOENT');
  assert.equal(world.status('resolve', { path: 'by' }), 'NOENT');
  assertClean(world);
});

test('whoever changes something in a directory by hand keeps it', () => {
  const world = new World();
  world.put('d/x');
  const directory = world.call('resolve', { path: 'd' }).attr.inode;
  world.call('unlink', { parent: directory, name: 'x' });
  world.mknod(directory, 'y');
  world.delete('d/y');
  assert.deepEqual(listed(world), ['d/']);
  assertClean(world);
});

test('a marker can have content and metadata, and DELETE of its key takes an empty directory with it', () => {
  const world = new World();
  const attr = world.put('d/', 100, { object: Buffer.from('meta'), etag: 'e1' });
  assert.equal(attr.flags & AttrFlag.MARKER, AttrFlag.MARKER);
  const opened = world.call('objectOpen', { path: 'd/' });
  assert.equal(opened.chunks.length, 1);
  assert.equal(Buffer.from(opened.attr.object).toString(), 'meta');
  world.put('d/', 50, { etag: 'e2' });
  world.put('d/x');
  assert.deepEqual(listed(world), ['d/', 'd/x']);
  world.delete('d/');
  assert.deepEqual(listed(world), ['d/x']);
  world.delete('d/x');
  assert.equal(world.status('resolve', { path: 'd/' }), 'NOENT');
  world.settle();
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

test('deleting every listed key, made directories included, empties a bucket', () => {
  const world = new World();
  const d = world.mkdir(world.root, 'd');
  world.mknod(world.mkdir(d, 'e'), 'f');
  world.put('d/e/g');
  world.put('p/q');
  assert.deepEqual(
    world.delete(...listed(world)).filter((status) => status !== 0),
    [],
  );
  assert.deepEqual(listed(world), []);
  assert.deepEqual(world.call('statfs', {}).files, 1);
});

test('an implicit directory in which only a link is left stays, as if somebody had made it', () => {
  const world = new World();
  const d = world.mkdir(world.root, 'd');
  world.call('symlink', { parent: d, name: 'link', target: 'x', uid: 1, gid: 1 });
  world.put('d/x');
  world.delete('d/');
  assert.deepEqual(listed(world), ['d/x']);
  world.delete('d/x');
  assert.deepEqual(listed(world), ['d/']);
});

test('a PUT over a file makes a new inode with its mode and owner; other names keep the old content', () => {
  const world = new World();
  const old = world.mknod(world.root, 'f', 0o100640);
  world.call('link', { inode: old, parent: world.root, name: 'other' });
  const attr = world.put('f', 5);
  assert.notEqual(attr.inode, old);
  assert.deepEqual([attr.mode & 0o7777, attr.uid, attr.gid], [0o640, 1, 2]);
  assert.equal(world.call('lookup', { parent: world.root, name: 'other' }).attr.inode, old);
  assert.equal(world.put('new').mode, 0o100644);
  assertClean(world);
});

test('conditions are decided on what S3 sees at the key', () => {
  const world = new World();
  const put = (path: string, condition: { ifMatch: string; ifNoneMatch: string }): string => {
    const request = { path, session: 1, size: 0, chunks: [], etag: 'new', object: new Uint8Array(0), uid: 1, gid: 1 };
    return world.status('objectPut', { ...request, condition });
  };
  assert.equal(put('k', { ifMatch: '*', ifNoneMatch: '' }), 'NOENT');
  assert.equal(put('k', { ifMatch: '', ifNoneMatch: '*' }), 'OK');
  assert.equal(put('k', { ifMatch: '', ifNoneMatch: '*' }), 'PRECONDITION_FAILED');
  assert.equal(put('k', { ifMatch: 'other', ifNoneMatch: '' }), 'PRECONDITION_FAILED');
  assert.equal(put('k', { ifMatch: 'new', ifNoneMatch: '' }), 'OK');
  assert.equal(put('k', { ifMatch: '', ifNoneMatch: 'new' }), 'PRECONDITION_FAILED');
  const deleted = world.call('objectDelete', { paths: ['k', 'none'], condition: { ifMatch: 'x', ifNoneMatch: '' } });
  assert.deepEqual(deleted.statuses, [32, 1]);
  assert(world.exists('k'));
  const posix = world.mknod(world.root, 'p');
  const etag = etagOf(world.call('getattr', { inode: posix }).attr);
  assert.equal(put('p', { ifMatch: etag, ifNoneMatch: '' }), 'OK');
});

test('a refused PUT leaves no directories behind', () => {
  const world = new World();
  const rows = world.store.rows.size;
  const request = {
    path: 'a/b/c',
    session: 1,
    size: 0,
    chunks: [],
    etag: '',
    object: new Uint8Array(0),
    uid: 1,
    gid: 1,
  };
  assert.equal(world.status('objectPut', { ...request, condition: { ifMatch: 'x', ifNoneMatch: '' } }), 'NOENT');
  assert.equal(world.status('objectPut', { ...request, path: '', condition: NONE }), 'INVAL');
  assert.equal(world.store.rows.size, rows);
});

test('a copy names the same blobs, which live until the last of both is gone', () => {
  const world = new World();
  world.put('a', 100, { object: Buffer.from('meta'), etag: 'e' });
  const attr = world.call('objectCopy', copy('a', 'd/b')).attr;
  assert.deepEqual([attr.size, etagOf(attr), Buffer.from(attr.object).toString()], [100, 'e', 'meta']);
  assertClean(world);
  world.delete('a');
  world.settle();
  assert.equal(world.blobs.size, 1);
  assertClean(world);
  world.delete('d/b');
  world.settle();
  assert.equal(world.blobs.size, 0);
});

test('a copy onto itself needs new metadata, which it then has', () => {
  const world = new World();
  world.put('a', 100);
  assert.equal(world.status('objectCopy', copy('a', 'a')), 'INVAL');
  const { attr } = world.call('objectCopy', copy('a', 'a', { object: Buffer.from('new') }));
  assert.equal(Buffer.from(attr.object).toString(), 'new');
  world.settle();
  assert.equal(world.blobs.size, 1);
  assert.equal(world.status('objectCopy', copy('none', 'b')), 'NOENT');
  const sourceCondition = { ifMatch: 'x', ifNoneMatch: '' };
  assert.equal(world.status('objectCopy', copy('a', 'b', { sourceCondition })), 'PRECONDITION_FAILED');
  assertClean(world);
});

test('an object of too many slices is not copied by naming them', () => {
  const world = new World();
  world.store.strict = false;
  const inode = world.mknod(world.root, 'f');
  for (let chunk = 0; chunk < 3; chunk++) {
    const slices = Array.from({ length: 2000 }, (_, index) => world.slice(index * 10, 5));
    const chunks = [{ chunk, slices }];
    world.call('chunkCommit', { inode, session: 1, chunks, size: (chunk + 1) * limits.chunkBytes, mtime: null });
  }
  assert.equal(world.status('objectCopy', copy('f', 'g')), 'FBIG');
});

test('a PUT or a part that is sent twice under two numbers keeps its blobs', () => {
  const world = new World();
  const size = limits.chunkBytes + 10;
  const chunks = world.content(size);
  world.put('k', size, { chunks });
  world.put('k', size, { chunks });
  assertClean(world);
  const request = upload(world, 'm', [10]);
  const content = world.content(20);
  const sent = { upload: request.upload, path: 'm', part: 1, session: 1, size: 20, chunks: content, etag: 'etag-1' };
  for (let count = 0; count < 2; count++) world.call('uploadPart', { ...sent, checksum: new Uint8Array(0) });
  world.settle();
  assert.equal(world.blobs.size, 3);
  assertClean(world);
  world.call('uploadComplete', request);
  world.delete('k', 'm');
  world.settle();
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

/** Begins an upload and sends its parts, each of one size. */
function upload(world: World, path: string, sizes: readonly number[]) {
  const created = { path, object: Buffer.from('meta'), uid: 7, gid: 8, initiator: 'me' };
  const { upload: id } = world.call('uploadCreate', created);
  for (const [index, size] of sizes.entries()) part(world, id, path, index + 1, size);
  const parts = sizes.map((_, index) => ({ part: index + 1, etag: `etag-${index + 1}` }));
  return { upload: id, path, parts, etag: 'multi-2', object: null, condition: NONE };
}

function part(world: World, id: string, path: string, number: number, size: number, etag = `etag-${number}`): void {
  const chunks = world.content(size);
  const checksum = new Uint8Array(0);
  world.call('uploadPart', { upload: id, path, part: number, session: 1, size, chunks, etag, checksum });
}

test('parts stand one behind the other in the object, split where they cross the bound of a chunk', () => {
  const world = new World();
  const sizes = [limits.chunkBytes - 10, limits.chunkBytes + 5, 7];
  const { attr } = world.call('uploadComplete', upload(world, 'a/b', sizes));
  assert.equal(attr.size, 2 * limits.chunkBytes + 2);
  assert.deepEqual([attr.uid, etagOf(attr), Buffer.from(attr.object).toString()], [7, 'multi-2', 'meta']);
  const { chunks } = world.call('objectOpen', { path: 'a/b' });
  const shape = chunks.map(({ slices }) => slices.map(({ offset, length }) => [offset, length]));
  const end = limits.chunkBytes - 10;
  assert.deepEqual(shape, [
    [
      [0, end],
      [end, 10],
    ],
    [
      [0, limits.chunkBytes - 10],
      [end, 5],
      [end + 5, 5],
    ],
    [[0, 2]],
  ]);
  assertClean(world);
  world.delete('a/b');
  world.settle();
  assert.equal(world.blobs.size, 0);
});

test('complete refuses parts out of order, unknown, of another ETag, or too small', () => {
  const world = new World();
  const request = upload(world, 'k', [PART, PART - 1, 10]);
  const status = (parts: { part: number; etag: string }[]): string =>
    world.status('uploadComplete', { ...request, parts });
  const [one, two, three] = request.parts as [
    (typeof request.parts)[0],
    (typeof request.parts)[0],
    (typeof request.parts)[0],
  ];
  assert.equal(status([three, one]), 'INVALID_PART_ORDER');
  assert.equal(status([one, one]), 'INVALID_PART_ORDER');
  assert.equal(status([one, { part: 9, etag: 'x' }]), 'INVALID_PART');
  assert.equal(status([{ part: 1, etag: 'x' }]), 'INVALID_PART');
  assert.equal(status([one, two, three]), 'PART_TOO_SMALL');
  assert.equal(status([]), 'INVAL');
  assert.equal(status([one, two]), 'OK');
  world.settle();
  assert.equal(world.blobs.size, 2);
  assertClean(world);
});

test('a complete that is repeated answers the object while it is that one, and then that there is no upload', () => {
  const world = new World();
  const request = upload(world, 'k', [PART, 10]);
  const { attr } = world.call('uploadComplete', request);
  assert.equal(world.call('uploadComplete', request).attr.inode, attr.inode);
  world.put('k', 1);
  assert.equal(world.status('uploadComplete', request), 'NO_SUCH_UPLOAD');
});

test('a part that is uploaded again replaces the one before, and abort gives back all of them', () => {
  const world = new World();
  const request = upload(world, 'k', [PART, PART]);
  part(world, request.upload, 'k', 2, 99, 'again');
  world.settle();
  assert.equal(world.blobs.size, 2);
  const info = world.call('uploadParts', { upload: request.upload, path: 'k', after: 0, limit: 1 });
  assert.deepEqual([info.parts.map(({ part: number }) => number), info.truncated], [[1], true]);
  const rest = world.call('uploadParts', { upload: request.upload, path: 'k', after: 1, limit: 10 });
  assert.deepEqual(
    rest.parts.map(({ size, etag }) => [size, etag]),
    [[99, 'again']],
  );
  world.call('uploadAbort', { upload: request.upload, path: 'k' });
  assert.equal(world.status('uploadAbort', { upload: request.upload, path: 'k' }), 'NO_SUCH_UPLOAD');
  assert.equal(world.status('uploadInfo', { upload: request.upload, path: 'k' }), 'NO_SUCH_UPLOAD');
  world.settle();
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

test('uploads are listed by key and then by id, behind either marker', () => {
  const world = new World();
  for (const path of ['b', 'a', 'a', 'a/b', 'c']) upload(world, path, []);
  const list = (keyMarker: string, uploadMarker: string, limit: number, prefix = '') =>
    world.call('uploadList', { prefix, keyMarker, uploadMarker, limit });
  const all = list('', '', 10).uploads;
  assert.deepEqual(
    all.map(({ key }) => key),
    ['a', 'a', 'a/b', 'b', 'c'],
  );
  const first = list('', '', 1);
  assert.equal(first.truncated, true);
  assert.deepEqual(list('a', first.uploads[0]!.upload, 10).uploads, all.slice(1));
  assert.deepEqual(list('a', '', 10).uploads, all.slice(2));
  assert.deepEqual(list('', '', 10, 'a/').uploads, all.slice(2, 3));
  assert.deepEqual(list('b', '', 10, 'a').uploads, []);
});

test('a DELETE that would take too many directories with it leaves the rest of its keys for another', () => {
  const world = new World();
  const depth = 400;
  const paths = Array.from({ length: 12 }, (_, index) => `${index}/${'d/'.repeat(depth)}x`);
  for (const path of paths) world.put(path, 0);
  const statuses = world.delete(...paths);
  const done = Math.ceil(limits.prunedPerRequest / (depth + 1));
  assert.deepEqual(statuses, [...Array(done).fill(0), ...Array(12 - done).fill(21)]);
  assert.equal(listed(world).length, 12 - done);
  assertClean(world);
});
