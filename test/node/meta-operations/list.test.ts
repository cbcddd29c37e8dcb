// Listing against brute force: all keys in an array, sorted, filtered and grouped one by one.

import assert from 'node:assert';
import { test } from 'node:test';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { assertClean, World } from './memory.js';
import { Random, seedOf } from './random.js';

interface Model {
  keys: ByteString[];
  prefixes: ByteString[];
  truncated: boolean;
}

interface Query {
  prefix: ByteString;
  delimiter: ByteString;
  marker: ByteString;
  limit: number;
}

/** Keys and common prefixes behind the marker in byte order, as the API's documentation has it. */
function brute(sorted: readonly ByteString[], query: Query): Model {
  const { prefix, delimiter, marker, limit } = query;
  const items = new Map<ByteString, boolean>();
  for (const key of sorted) {
    if (!key.startsWith(prefix)) continue;
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (at < 0) items.set(key, false);
    else items.set(key.slice(0, at + delimiter.length), true);
  }
  const behind = [...items].filter(([item]) => item > marker).sort((left, right) => (left[0] < right[0] ? -1 : 1));
  const page = behind.slice(0, limit);
  return {
    keys: page.filter(([, group]) => !group).map(([item]) => item),
    prefixes: page.filter(([, group]) => group).map(([item]) => item),
    truncated: behind.length > limit,
  };
}

function listed(world: World, query: Query): Model & { next: ByteString } {
  const page = world.call('objectList', query);
  return {
    keys: page.entries.map(({ key }) => key),
    prefixes: page.prefixes,
    truncated: page.truncated,
    next: page.next,
  };
}

const PARTS = [
  'a',
  'b',
  'a.txt',
  'a!b',
  'a-b',
  'a0',
  '',
  '.',
  '..',
  '\xff',
  '\xff\xff',
  'a\xff',
  '\x01',
  'é',
  'ab',
  'x y',
  '\0',
];

function randomKey(random: Random): ByteString {
  const depth = 1 + random.below(4);
  let key = '';
  for (let index = 0; index < depth; index++) key += (index > 0 ? '/' : '') + random.pick(PARTS);
  return random.below(4) === 0 ? `${key}/` : key;
}

test('pages of a listing are those of a sorted array of keys, for any prefix, delimiter, marker and limit', (t) => {
  const random = new Random(seedOf((text) => t.diagnostic(text)));
  for (let round = 0; round < 60; round++) {
    const world = new World();
    const keys = new Set<ByteString>();
    for (let count = random.below(40); count >= 0; count--) {
      const key = randomKey(random);
      if (key === '') continue;
      world.put(key, random.below(3));
      keys.add(key);
      if (random.below(4) !== 0) continue;
      const victim = random.pick([...keys]);
      world.delete(victim);
      keys.delete(victim);
    }
    assertClean(world);
    const sorted = [...keys].sort();
    for (let count = 0; count < 150; count++) {
      const some = (): ByteString =>
        sorted.length > 0 && random.below(3) > 0 ? random.pick(sorted) : randomKey(random);
      const cut = (key: ByteString): ByteString => key.slice(0, random.below(key.length + 1));
      const query = {
        prefix: random.below(3) === 0 ? '' : cut(some()),
        delimiter: random.pick(['', '/', '/', 'a', '.', '-b', '//', '\xff', 'b/']),
        marker: random.below(2) === 0 ? '' : random.below(2) === 0 ? some() : cut(some()),
        limit: 1 + random.below(6),
      };
      const { next, ...page } = listed(world, query);
      const expected = brute(sorted, query);
      assert.deepEqual(page, expected, JSON.stringify({ query, sorted }));
      if (!page.truncated) continue;
      const last = [...page.keys, ...page.prefixes].sort().pop()!;
      assert.deepEqual(brute(sorted, { ...query, marker: next }), brute(sorted, { ...query, marker: last }));
    }
  }
});

test('an object sorts before the prefix of its name, and both are listed', () => {
  const world = new World();
  for (const key of ['a/x', 'a', 'a.txt', 'a0', 'a!']) world.put(key);
  const all = listed(world, { prefix: '', delimiter: '', marker: '', limit: 100 });
  assert.deepEqual(all.keys, ['a', 'a!', 'a.txt', 'a/x', 'a0']);
  const top = listed(world, { prefix: '', delimiter: '/', marker: '', limit: 100 });
  assert.deepEqual(top.keys, ['a', 'a!', 'a.txt', 'a0']);
  assert.deepEqual(top.prefixes, ['a/']);
});

test('links and special files are no objects, a directory that somebody made is a key of size 0', () => {
  const world = new World();
  world.mkdir(world.root, 'made');
  world.call('symlink', { parent: world.root, name: 'link', target: 'x', uid: 1, gid: 1 });
  world.mknod(world.root, 'fifo', 0o010644);
  const file = world.mknod(world.root, 'file');
  world.call('link', { inode: file, parent: world.root, name: 'hard' });
  const all = listed(world, { prefix: '', delimiter: '', marker: '', limit: 100 });
  assert.deepEqual(all.keys, ['file', 'hard', 'made/']);
  assert.equal(world.status('objectHead', { path: 'link' }), 'NOENT');
  assert.equal(world.call('objectHead', { path: 'made/' }).attr.size, 0);
});

test('a page ends after a bounded number of records and names the place, and the pages together are the listing', () => {
  const world = new World();
  world.store.strict = false;
  world.put('d/before');
  world.put('d/z');
  const directory = world.call('resolve', { path: 'd' }).attr.inode;
  for (let index = 0; index < limits.listPageScan + 500; index++)
    world.call('symlink', { parent: directory, name: `link${index}`, target: 'x', uid: 1, gid: 1 });
  const first = listed(world, { prefix: '', delimiter: '', marker: '', limit: 1000 });
  assert.deepEqual(first.keys, ['d/', 'd/before']);
  assert.equal(first.truncated, true);
  assert.match(first.next, /^d\/link/);
  const second = listed(world, { prefix: '', delimiter: '', marker: first.next, limit: 1000 });
  assert.deepEqual(second.keys, ['d/z']);
  assert.equal(second.truncated, false);
});

test('a listing of nothing, or for no keys, is empty and ends', () => {
  const world = new World();
  world.put('a/b');
  for (const query of [
    { prefix: 'x/', delimiter: '', marker: '', limit: 10 },
    { prefix: '', delimiter: '', marker: '', limit: 0 },
    { prefix: '', delimiter: '', marker: 'b', limit: 10 },
    { prefix: 'a/', delimiter: '/', marker: 'b', limit: 10 },
  ])
    assert.deepEqual(listed(world, query), { keys: [], prefixes: [], truncated: false, next: '' });
});
