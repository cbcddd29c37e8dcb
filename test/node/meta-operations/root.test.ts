// Volumes and access keys of group 0, and what every group begins with.

import assert from 'node:assert';
import { test } from 'node:test';
import { bootstrap, hashTarget, isEmptyVolume } from '../../../node/meta/operations/index.js';
import { assertClean, World } from './memory.js';

test('volumes take the names that S3 allows for buckets, and no others', () => {
  const world = new World(0);
  for (const name of ['abc', 'a-b.c', '123', 'x'.repeat(63)])
    assert.equal(world.status('volumeCreate', { name, owner: 'me' }), 'OK', name);
  const bad = [
    'ab',
    'x'.repeat(64),
    'A-b',
    'a_b',
    '-ab',
    'ab-',
    'a..b',
    '1.2.3.4',
    'xn--abc',
    'abc-s3alias',
    'a b',
    '',
  ];
  for (const name of bad) assert.equal(world.status('volumeCreate', { name, owner: 'me' }), 'INVAL', name);
});

test('each volume has a group of its own, whose number is never given again', () => {
  const world = new World(0);
  const create = (name: string) => world.call('volumeCreate', { name, owner: 'me' }).volume;
  assert.deepEqual([create('one').group, create('two').partition], [1, 2]);
  assert.equal(world.status('volumeCreate', { name: 'two', owner: 'me' }), 'VOLUME_EXISTS');
  assert.equal(world.status('volumeDelete', { name: 'two', force: false }), 'NOTEMPTY');
  assert.equal(world.status('volumeDelete', { name: 'two', force: true }), 'OK');
  assert.equal(world.status('volumeInfo', { name: 'two' }), 'NO_SUCH_VOLUME');
  assert.equal(create('two').group, 3);
  create('three');
  const page = world.call('volumeList', { after: '', limit: 2 });
  assert.deepEqual([page.volumes.map(({ name }) => name), page.truncated], [['one', 'three'], true]);
  assert.deepEqual(
    world.call('volumeList', { after: 'three', limit: 2 }).volumes.map(({ name }) => name),
    ['two'],
  );
});

test('an access key is made once, found, listed and removed', () => {
  const world = new World(0);
  const key = { accessKey: 'AK', secretKey: 'secret', user: 'u', email: 'u@x', created: { sec: 0, nsec: 0 } };
  assert.equal(world.call('keyCreate', { key }).key.created.sec, world.now.sec);
  assert.equal(world.status('keyCreate', { key }), 'EXIST');
  assert.equal(world.status('keyCreate', { key: { ...key, accessKey: '' } }), 'INVAL');
  assert.equal(world.call('keyInfo', { accessKey: 'AK' }).key.secretKey, 'secret');
  assert.equal(world.call('keyList', { after: '', limit: 10 }).keys.length, 1);
  world.call('keyDelete', { accessKey: 'AK' });
  assert.equal(world.status('keyInfo', { accessKey: 'AK' }), 'NO_SUCH_KEY_ID');
  assert.equal(world.status('keyDelete', { accessKey: 'AK' }), 'NO_SUCH_KEY_ID');
});

test('a group begins with an empty root directory, and beginning again changes nothing', () => {
  const world = new World(5);
  const { attr } = world.call('resolve', { path: '' });
  assert.deepEqual([attr.inode, attr.mode, attr.nlink], [world.root, 0o040755, 2]);
  assert.equal(isEmptyVolume(world.store, world.context), true);
  world.call('symlink', { parent: world.root, name: 'l', target: 'x', uid: 0, gid: 0 });
  assert.equal(isEmptyVolume(world.store, world.context), false);
  const rows = [...world.store.all()].map(([key, value]) => [key, value.toString('hex')]);
  world.store.transact(() => bootstrap(world.store, world.context));
  assert.deepEqual(
    [...world.store.all()].map(([key, value]) => [key, value.toString('hex')]),
    rows,
  );
  assertClean(world);
});

test('requests about one inode or one key go to one queue', () => {
  assert.equal(hashTarget('chunkCommit', { inode: 7 }), 7);
  assert.equal(hashTarget('mknod', { parent: 8, name: 'x' }), 8);
  assert.equal(hashTarget('objectPut', { path: 'k' }), 'k');
  assert.equal(hashTarget('objectCopy', { source: 's', target: 'k' }), 'k');
  assert.equal(hashTarget('objectDelete', { paths: ['k'] }), 'k');
  assert.equal(hashTarget('volumeList', {}), '');
});
