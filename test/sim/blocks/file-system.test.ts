// The simulated file system keeps what it promises, and nothing more.

import assert from 'node:assert';
import { test } from 'node:test';
import { Random } from '../random.js';
import { FileSystem, SECTOR_BYTES } from './file-system.js';

test('bytes, sizes and names outlive a loss of power when they were synced, and others only by chance', () => {
  const seen = { bytes: new Set<number>(), sizes: new Set<number>(), names: new Set<boolean>() };
  for (let seed = 1; seed <= 100; seed++) {
    const files = new FileSystem();
    const inode = files.create('a');
    inode.put(Buffer.alloc(4 * SECTOR_BYTES, 1), 0);
    inode.sync();
    files.syncNames();
    inode.put(Buffer.alloc(4 * SECTOR_BYTES, 2), 3 * SECTOR_BYTES);
    files.create('b');
    files.losePower(new Random(seed), { tornBytes: false, stale: false, anyNames: true });
    const after = files.names.get('a');
    assert(after !== undefined && after.size >= 4 * SECTOR_BYTES);
    assert(after.cache.subarray(0, 3 * SECTOR_BYTES).every((byte) => byte === 1));
    seen.bytes.add(after.cache[3 * SECTOR_BYTES]!);
    seen.sizes.add(after.size);
    seen.names.add(files.names.has('b'));
  }
  assert.deepStrictEqual([...seen.bytes].sort(), [1, 2]);
  assert(seen.sizes.size > 2 && seen.names.size === 2);
});

test('what a failed sync left in the cache is not on the platter, whatever is synced later, until it is written again', () => {
  let lost = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const files = new FileSystem();
    const inode = files.create('a');
    files.syncNames();
    const random = new Random(seed);
    inode.put(Buffer.alloc(SECTOR_BYTES, 1), 0);
    inode.failSync(random);
    inode.sync();
    if (inode.platter[0] !== 1) lost++;
    assert.strictEqual(inode.cache[0], 1);
    inode.put(Buffer.alloc(SECTOR_BYTES, 1), 0);
    inode.sync();
    assert.strictEqual(inode.platter[0], 1);
  }
  assert(lost > 10);
});
