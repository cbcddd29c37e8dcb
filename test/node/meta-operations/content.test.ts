// Content by inode: commits, truncation, compaction, and what becomes of blobs.

import assert from 'node:assert';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { encode } from '../../../proto/codec.js';
import { crc32c } from '../../../proto/crc32c.js';
import { blockOf } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { AttrFlag, chunkRowCodec, etagOf, SetAttr, type Slice } from '../../../proto/meta/index.js';
import { assertClean, check, World } from './memory.js';

const ZERO = { sec: 0, nsec: 0 };
const MIB = 1024 * 1024;

function commit(world: World, inode: number, slices: Slice[], size: number, chunk = 0): string {
  return world.status('chunkCommit', { inode, session: 1, chunks: [{ chunk, slices }], size, mtime: null });
}

function slicesOf(world: World, inode: number, chunk = 0): Slice[] {
  return world.call('chunkRead', { inode, first: chunk, count: 1 }).chunks[0]?.slices ?? [];
}

function truncate(world: World, inode: number, size: number): string {
  const request = { inode, valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: ZERO, mtime: ZERO };
  return world.status('setattr', request);
}

test('a slice that continues the last one lengthens it, and one that covers others takes their place', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const first = world.slice(0, 4 * MIB);
  commit(world, inode, [first], 4 * MIB);
  const next = { ...first, offset: 4 * MIB, blobOffset: 4 * MIB, blobLength: 8 * MIB };
  world.blobs.set(first.blob, 8 * MIB);
  commit(world, inode, [next], 8 * MIB);
  assert.deepEqual(slicesOf(world, inode), [{ ...first, length: 8 * MIB, blobLength: 8 * MIB }]);
  const small = world.slice(MIB, MIB);
  commit(world, inode, [small], 8 * MIB);
  assert.equal(slicesOf(world, inode).length, 2);
  assertClean(world);
  const cover = world.slice(0, 8 * MIB);
  commit(world, inode, [cover], 8 * MIB);
  assert.deepEqual(slicesOf(world, inode), [cover]);
  assertClean(world);
  world.settle();
  assert.deepEqual([...world.blobs.keys()], [cover.blob]);
});

test('an open brings the bytes of a small file along, if it is asked to and they are all of a block at hand', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const slice = world.slice(0, 4096);
  commit(world, inode, [slice], 4096);
  const inlined = (inline: number) => world.call('open', { inode, held: false, inline }).inlined;
  assert.equal(inlined(4096), null, 'not at hand');
  const block = blockOf(slice.blob, 0);
  world.blocks.set(block, Buffer.alloc(4096, 3));
  const bytes = Buffer.alloc(4096, 3);
  assert.deepEqual(inlined(4096), { block, crc: crc32(bytes), position: 0, until: 0, bytes });
  assert.equal(inlined(4095), null, 'larger than was asked for');
  assert.equal(inlined(0), null);
  truncate(world, inode, 4000);
  assert.equal(inlined(4096), null, 'not all of its block');
  truncate(world, inode, 0);
  assert.equal(inlined(4096), null, 'empty');
  const large = world.slice(0, 2 * limits.inlineBytes);
  commit(world, inode, [large], 2 * limits.inlineBytes);
  world.blocks.set(blockOf(large.blob, 0), Buffer.alloc(2 * limits.inlineBytes));
  assert.equal(inlined(2 ** 32 - 1), null, 'larger than an answer takes');
});

test('two slices that together cover an older one take its place', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  commit(world, inode, [world.slice(MIB, MIB)], 4 * MIB);
  const halves = [world.slice(0, 1.5 * MIB), world.slice(1.5 * MIB, 1.5 * MIB)];
  commit(world, inode, halves, 4 * MIB);
  assert.deepEqual(slicesOf(world, inode), halves);
});

test('a writer that goes on with a blob which was given up takes it back', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const first = world.slice(0, 4 * MIB);
  commit(world, inode, [first], 4 * MIB);
  assert.equal(truncate(world, inode, 0), 'OK');
  assertClean(world);
  const next = { ...first, offset: 4 * MIB, blobOffset: 4 * MIB, blobLength: 8 * MIB };
  world.blobs.set(first.blob, 8 * MIB);
  commit(world, inode, [next], 8 * MIB);
  world.settle();
  assert(world.blobs.has(first.blob));
  assertClean(world);
  assert.equal(truncate(world, inode, 0), 'OK');
  world.settle();
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

test('a blob that was taken back and given up again waits for the age of its second row', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const first = world.slice(0, 4 * MIB);
  commit(world, inode, [first], 4 * MIB);
  truncate(world, inode, 0);
  world.tick(20);
  commit(world, inode, [first], 4 * MIB);
  truncate(world, inode, 0);
  world.tick(15);
  world.settle({ minAgeMs: 30_000 });
  assert(world.blobs.has(first.blob));
  assertClean(world);
  world.tick(15);
  world.settle({ minAgeMs: 30_000 });
  assert.equal(world.blobs.size, 0);
  assertClean(world);
});

test('a blob is not freed before its row has its age, nor while somebody holds the file', () => {
  const world = new World();
  const { inode } = world.put('f', 10);
  truncate(world, inode, 0);
  world.settle({ minAgeMs: 30_000 });
  assert.equal(world.blobs.size, 1);
  world.tick(31);
  world.held.add(inode);
  world.settle({ minAgeMs: 30_000 });
  assert.equal(world.blobs.size, 1);
  world.held.clear();
  world.settle({ minAgeMs: 30_000 });
  assert.equal(world.blobs.size, 0);
});

test('slices that lie outside of chunk, size or blob are refused and change nothing', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const good = world.slice(0, MIB);
  const rows = [...world.store.rows].length;
  for (const slice of [
    { ...good, length: 0 },
    { ...good, offset: 1 },
    { ...good, blob: 0 },
    { ...good, blob: good.blob + 1 },
    { ...good, blobOffset: 1 },
    { ...good, blobLength: limits.chunkBytes + 1 },
  ])
    assert.equal(commit(world, inode, [slice], MIB), 'INVAL');
  assert.equal(commit(world, inode, [{ ...good, offset: limits.chunkBytes - 1 }], 2 * limits.chunkBytes), 'INVAL');
  const twice = [0, 0].map((chunk) => ({ chunk, slices: [good] }));
  assert.equal(world.status('chunkCommit', { inode, session: 1, chunks: twice, size: MIB, mtime: null }), 'INVAL');
  assert.equal(commit(world, inode, [good], limits.fileBytes + 1), 'FBIG');
  assert.equal(world.store.rows.size, rows);
});

test('a commit, a PUT and a part of a session that has ended are refused', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  world.endedSessions.add(1);
  assert.equal(commit(world, inode, [world.slice(0, 10)], 10), 'SESSION_ENDED');
  assert.throws(() => world.put('g'), /session 1 has ended/);
});

test('any change of bytes or size replaces the S3 ETag by one that no client takes for an MD5', () => {
  const world = new World();
  const attr = world.put('f', 10, { etag: 'd41d8cd98f00b204e9800998ecf8427e' });
  assert.equal(etagOf(attr), 'd41d8cd98f00b204e9800998ecf8427e');
  commit(world, attr.inode, [world.slice(0, 5)], 5);
  const one = etagOf(world.call('getattr', { inode: attr.inode }).attr);
  assert.match(one, /^[0-9a-f]+-[0-9a-f]+$/);
  truncate(world, attr.inode, 20);
  const two = etagOf(world.call('getattr', { inode: attr.inode }).attr);
  assert.notEqual(one, two);
  truncate(world, attr.inode, 20);
  assert.equal(etagOf(world.call('getattr', { inode: attr.inode }).attr), two);
});

test('a chunk with many slices is named as crowded, and a compaction replaces just the ones it was made from', () => {
  const world = new World();
  const inode = world.mknod(world.root, 'f');
  const count = limits.slicesPerChunkBeforeCompaction + 1;
  const slices = Array.from({ length: count }, (_, index) => world.slice(index * 10, 10));
  const request = { inode, session: 1, chunks: [{ chunk: 0, slices }], size: count * 10, mtime: null };
  const { attr, crowded } = world.call('chunkCommit', request);
  assert.deepEqual(crowded, [0]);
  const check32 = crc32c(encode(chunkRowCodec, { slices: slicesOf(world, inode) }));
  const later = world.slice(5, 10);
  commit(world, inode, [later], count * 10);
  const joined = world.slice(0, count * 10);
  const compact = { inode, session: 1, chunk: 0, count, check: check32, slices: [joined] };
  assert.equal(world.status('chunkCompact', { ...compact, check: check32 ^ 1 }), 'BUSY');
  assert.equal(world.status('chunkCompact', compact), 'OK');
  assert.deepEqual(slicesOf(world, inode), [joined, later]);
  assert.equal(world.status('chunkCompact', compact), 'BUSY');
  assert.equal(world.call('getattr', { inode }).attr.version, attr.version + 1);
  world.settle();
  assert.deepEqual(
    [...world.blobs.keys()],
    [later.blob, joined.blob].sort((left, right) => left - right),
  );
  assertClean(world);
});

test('a file with more slices than one transaction cuts is cut in steps, and must not grow before', () => {
  const world = new World();
  world.store.strict = false;
  const inode = world.mknod(world.root, 'f');
  const perCommit = 4000;
  const commits = Math.ceil(limits.truncateSlices / perCommit) + 1;
  for (let chunk = 0; chunk < commits; chunk++) {
    const slices = Array.from({ length: perCommit }, (_, index) => world.slice(index * 10, 5));
    assert.equal(commit(world, inode, slices, (chunk + 1) * limits.chunkBytes, chunk), 'OK');
  }
  assert.equal(truncate(world, inode, 7), 'OK');
  const { attr } = world.call('getattr', { inode });
  assert.equal(attr.flags & AttrFlag.TRIM, AttrFlag.TRIM);
  assertClean(world);
  assert.equal(truncate(world, inode, 100), 'BUSY');
  assert.equal(commit(world, inode, [world.slice(0, 100)], 100), 'BUSY');
  assert.equal(truncate(world, inode, 6), 'OK');
  world.settle();
  assert.equal(truncate(world, inode, 100), 'OK');
  assert.deepEqual(
    slicesOf(world, inode).map(({ length }) => length),
    [5],
  );
  assert.deepEqual(world.call('statfs', {}), { files: 2, bytes: 5 });
  assert.deepEqual(
    check(world).filter(({ severity }) => severity === 'error'),
    [],
  );
});

test('a file that is removed with a great many slices is freed in bounded steps', () => {
  const world = new World();
  world.store.strict = false;
  const inode = world.mknod(world.root, 'f');
  const slices = Array.from({ length: 1000 }, (_, index) => world.slice(index * 10, 10));
  for (let chunk = 0; chunk < 3; chunk++)
    commit(world, inode, chunk === 0 ? slices : [world.slice(0, 10)], (chunk + 1) * limits.chunkBytes, chunk);
  world.call('unlink', { parent: world.root, name: 'f' });
  world.settle();
  assert.equal(world.blobs.size, 0);
  assert.deepEqual(
    [...world.store.all()].map(([key]) => key[0]),
    ['a', 'd', 'p'],
  );
});
