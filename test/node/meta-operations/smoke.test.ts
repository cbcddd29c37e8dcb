import assert from 'node:assert';
import { test } from 'node:test';
import { World } from './memory.js';

test('a file that was put is found by path, by name and by inode', () => {
  const world = new World();
  const attr = world.put('a/b/c', 10);
  assert.equal(world.call('objectHead', { path: 'a/b/c' }).attr.inode, attr.inode);
  const a = world.call('lookup', { parent: world.root, name: 'a' }).attr;
  assert.equal(a.nlink, 3);
  assert.equal(world.call('getattr', { inode: attr.inode }).attr.size, 10);
  assert.equal(world.call('objectOpen', { path: 'a/b/c' }).chunks.length, 1);
  world.put('a.txt', 3);
  const keys = (prefix: string, delimiter: string, marker = ''): unknown => {
    const page = world.call('objectList', { prefix, delimiter, marker, limit: 10 });
    return [page.entries.map((entry) => entry.key), page.prefixes];
  };
  assert.deepEqual(keys('', ''), [['a.txt', 'a/b/c'], []]);
  assert.deepEqual(keys('', '/'), [['a.txt'], ['a/']]);
  world.delete('a/b/c', 'a.txt');
  assert.equal(world.status('lookup', { parent: world.root, name: 'a' }), 'NOENT');
  world.settle();
  assert.equal(world.blobs.size, 0);
  assert.deepEqual(world.call('statfs', {}), { files: 1, bytes: 0 });
});
