// fsck must find what is wrong: rows lost, changed or made up, blocks missing, too short or left over.

import assert from 'node:assert';
import { test } from 'node:test';
import { decode, encode } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { dentryCodec, keys, linkRowCodec, parentRowCodec, Table } from '../../../proto/meta/index.js';
import { assertClean, check, World } from './memory.js';

/** A world with rows in every table that is about files. */
function richWorld(): World {
  const world = new World();
  const directory = world.mkdir(world.root, 'd');
  const below = world.mkdir(directory, 'e');
  const file = world.mknod(below, 'f');
  world.call('link', { inode: file, parent: world.root, name: 'hard' });
  world.call('xattrSet', { inode: file, name: 'user.x', value: Buffer.from('v'), flags: 0 });
  world.put('implicit/object', 5 * 1024 * 1024);
  const copy = { source: 'implicit/object', target: 'copied', object: null, uid: 1, gid: 1 };
  world.call('objectCopy', { ...copy, sourceCondition: { ifMatch: '', ifNoneMatch: '' } });
  world.put('removed', 10);
  world.delete('removed');
  world.put('given/up', 10);
  const inode = world.call('objectHead', { path: 'given/up' }).attr.inode;
  const cover = { inode, session: 1, chunks: [{ chunk: 0, slices: [world.slice(0, 10)] }], size: 10, mtime: null };
  world.call('chunkCommit', cover);
  const object = new Uint8Array(0);
  const created = { path: 'u', object, uid: 1, gid: 1, initiator: 'me' };
  const { upload } = world.call('uploadCreate', created);
  const per = limits.slicesPerPartChunk;
  for (let part = 1; part <= 5; part++) {
    const size = limits.multipartMinPartBytes;
    const length = size / per;
    const chunks = [
      { chunk: 0, slices: Array.from({ length: per }, (_, index) => world.slice(index * length, length)) },
    ];
    world.call('uploadPart', { upload, path: 'u', part, session: 1, size, chunks, etag: `${part}`, checksum: object });
  }
  const parts = [1, 2, 3, 4, 5].map((part) => ({ part, etag: `${part}` }));
  const condition = { ifMatch: '', ifNoneMatch: '' };
  world.call('uploadComplete', { upload, path: 'u', parts, etag: 'multi', object: null, condition });
  const open = world.call('uploadCreate', { ...created, path: 'v' }).upload;
  const content = world.content(10);
  const part = { upload: open, path: 'v', part: 1, session: 1, size: 10, chunks: content, etag: 'x', checksum: object };
  world.call('uploadPart', part);
  return world;
}

test('a sound world has no findings, though it has rows in every table', () => {
  const world = richWorld();
  const tables = new Set([...world.store.rows.keys()].map((key) => key.charAt(0)));
  for (const table of 'adlpcsmxuwfr') assert(tables.has(table), `no row in table ${table}`);
  assertClean(world);
});

test('the loss of any row is found, but for xattrs and the attributes of what is being freed', () => {
  const world = richWorld();
  for (const [key, value] of [...world.store.all()]) {
    if (key.startsWith(Table.XATTR)) continue;
    if (key.startsWith(Table.LINK) && decode(linkRowCodec, value).attr.nlink === 0) continue;
    world.store.delete(key);
    assert.notDeepEqual(check(world), [], `loss of ${JSON.stringify(key)}`);
    world.store.put(key, value);
  }
  assertClean(world);
});

test('a row that is cut short is found', () => {
  const world = richWorld();
  for (const [key, value] of [...world.store.all()]) {
    if (value.length < 2 || key.startsWith(Table.XATTR) || key.startsWith(Table.UPLOAD)) continue;
    world.store.put(key, value.subarray(0, value.length - 1));
    assert.notDeepEqual(check(world), [], `cut of ${JSON.stringify(key)}`);
    world.store.put(key, value);
  }
});

/** Changes one row and says what fsck finds. */
function found(change: (world: World) => void): string {
  const world = richWorld();
  change(world);
  return check(world)
    .map(({ severity, text }) => `${severity}: ${text}`)
    .join('\n');
}

test('directories that lie in each other are found', () => {
  const text = found((world) => {
    const d = world.call('resolve', { path: 'd/' }).attr.inode;
    const e = world.call('resolve', { path: 'd/e/' }).attr.inode;
    const key = keys.directoryDentry(world.root, 'd');
    const row = Buffer.from(world.store.get(key)!);
    world.store.delete(key);
    world.store.put(keys.directoryDentry(e, 'd'), row);
    world.store.put(keys.parent(d), encode(parentRowCodec, { parent: e, name: 'd/' }));
  });
  assert.match(text, /lies in a directory that lies in itself/);
  assert.match(text, /directory \d+ has nlink/);
});

test('wrong link counts and names are found', () => {
  const text = found((world) => {
    const { inode } = world.call('lookup', { parent: world.root, name: 'hard' }).attr;
    const row = decode(linkRowCodec, Buffer.from(world.store.get(keys.link(inode))!));
    row.names[0]!.name = 'elsewhere';
    row.attr.nlink = 3;
    world.store.put(keys.link(inode), encode(linkRowCodec, row));
  });
  assert.match(text, /lists 2 names and 2 entries link to it, or other ones/);
  assert.match(text, /has nlink 3 and 2 names/);
});

test('slices behind the size of a file are found', () => {
  const text = found((world) => {
    const key = keys.fileDentry(world.root, 'copied');
    const row = decode(dentryCodec, Buffer.from(world.store.get(key)!));
    assert(row.attr !== null);
    row.attr.size = 1;
    world.store.put(key, encode(dentryCodec, row));
  });
  assert.match(text, /has 1 bytes and slices up to 5242880/);
});

test('blocks that are gone, of another length, or named by nothing are found', () => {
  const gone = found((world) => {
    world.blobs.delete([...world.blobs.keys()][0]!);
  });
  assert.match(gone, /error: block 0 of blob .* is gone/);
  const short = found((world) => {
    world.blobs.set([...world.blobs.keys()][0]!, 5 * 1024 * 1024 - 1);
  });
  assert.match(short, /error: block 1 of blob .* has 1048575 bytes, .* needs 1048576/);
  const left = found((world) => {
    world.blob(100);
  });
  assert.match(left, /^garbage: block 0 of blob .*, 100 bytes: nothing names it$/);
});
