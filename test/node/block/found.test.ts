// What the simulation (test/sim/blocks) has found, each as a test of its own: syncs that fail, names that are not
// synced, damage in two places, files and lines without a bound.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Disk, systemDisk } from '../../../node/block/disk.js';
import { INDEX_LINE_BYTES, NEEDLE_HEADER_BYTES, needleBytes } from '../../../proto/block/index.js';
import { limits } from '../../../proto/limits.js';
import { Status } from '../../../proto/status.js';
import { BlockNode, call, patternBytes, statusOf, temporaryDirectory } from './support.js';

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(code), { code, syscall });
}

/** The real disk, which tells what is done to files and names. */
function watchedDisk(told: string[], changes: Partial<Disk> = {}): Disk {
  const base = (file: string) => path.basename(file);
  const fileOf = (fd: number) => base(fs.readlinkSync(`/proc/self/fd/${fd}`));
  return {
    ...systemDisk,
    writevSync: (fd, buffers, position) => {
      told.push(`write ${fileOf(fd)} ${position}`);
      return systemDisk.writevSync(fd, buffers, position);
    },
    fsyncSync: (fd) => {
      told.push(`sync ${fileOf(fd)}`);
      systemDisk.fsyncSync(fd);
    },
    renameSync: (source, target) => {
      told.push(`name ${base(target)}`);
      systemDisk.renameSync(source, target);
    },
    removeSync: (file) => {
      told.push(`remove ${base(file)}`);
      systemDisk.removeSync(file);
    },
    syncDirectorySync: (directory) => {
      told.push('sync names');
      systemDisk.syncDirectorySync(directory);
    },
    ...changes,
  };
}

test('what a failed sync left in the page cache is written again at the next start, before it is synced', async () => {
  let broken = false;
  const disk: Disk = {
    ...systemDisk,
    fdatasyncSync: (fd) => {
      if (broken) throw systemError('EIO', 'fdatasync');
      systemDisk.fdatasyncSync(fd);
    },
  };
  const failures: Error[] = [];
  const node = await BlockNode.open(undefined, { disk, fatal: (error) => failures.push(error) });
  const first = await node.write(patternBytes(100, 1));
  broken = true;
  node.write(patternBytes(200, 2)).catch(() => undefined);
  while (failures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const told: string[] = [];
  const next = await BlockNode.open(node.directory, { disk: watchedDisk(told) });
  const offset = (await next.reader.locate(first + 16)).offset - NEEDLE_HEADER_BYTES;
  const written = told.indexOf(`write 00000001.needles ${offset}`);
  assert.ok(written >= 0 && written < told.indexOf('sync 00000001.needles'), told.join());
  await next.close();
});

test('a sync that fails at a start is not taken for damage: nothing is served', async () => {
  const node = await BlockNode.open();
  await node.write(patternBytes(100, 1));
  await node.stop();
  const fails = (): never => {
    throw systemError('EIO', 'fsync');
  };
  await assert.rejects(BlockNode.open(node.directory, { disk: { ...systemDisk, fsyncSync: fails } }), /EIO/);
  const names = { ...systemDisk, syncDirectorySync: fails };
  await assert.rejects(BlockNode.open(node.directory, { disk: names }), /EIO/);
  fs.rmSync(node.directory, { recursive: true });
});

test('names are on the disk before anything is built on them: at a start, of a new volume and of one that ends', async () => {
  const told: string[] = [];
  const node = await BlockNode.open(undefined, { disk: watchedDisk(told), volumeNeedles: 2 });
  assert.ok(told.includes('sync names'), 'a start may have found names of a life that was killed');
  told.length = 0;
  const blob = await node.write(patternBytes(10, 1));
  const names = told.filter((line) => line.includes('name'));
  assert.deepStrictEqual(names, ['name 00000001.needles', 'sync names', 'name 00000001.index', 'sync names']);
  const other = await node.write(patternBytes(10, 2));
  await node.write(patternBytes(10, 3));
  await node.delete(blob, other);
  told.length = 0;
  await node.compact(0);
  const ended = told.filter((line) => line.startsWith('remove') || line === 'sync names');
  assert.deepStrictEqual(ended.slice(-4), [
    'remove 00000001.index',
    'sync names',
    'remove 00000001.needles',
    'sync names',
  ]);
  await node.close();
});

test('a damaged needle that an index line names is called damaged, not deleted, and its id is not given out again', async () => {
  const node = await BlockNode.open();
  const blobs: number[] = [];
  for (let at = 0; at < 4; at++) blobs.push(await node.write(patternBytes(300, at)));
  const { offset } = await node.reader.locate(blobs[3]!);
  await node.stop();
  const flip = (file: string, at: number): void => {
    const bytes = fs.readFileSync(file);
    bytes[at]! ^= 1;
    fs.writeFileSync(file, bytes);
  };
  flip(node.file(1, 'index'), 2 * INDEX_LINE_BYTES + 5);
  flip(node.file(1, 'needles'), offset + 20);
  // A start that ends while it makes the index whole leaves what it knows to the next.
  const writeSync = (): never => {
    throw systemError('EIO', 'write');
  };
  await assert.rejects(BlockNode.open(node.directory, { disk: { ...systemDisk, writeSync } }), /EIO/);
  for (let start = 0; start < 2; start++) {
    const again = await BlockNode.open(node.directory);
    assert.strictEqual(again.warnings.length, start === 0 ? 1 : 0);
    for (const at of [0, 1, 2]) assert.deepStrictEqual(await again.read(blobs[at]!), patternBytes(300, at));
    assert.strictEqual(await statusOf(again.reader.read(blobs[3]!, 0, Buffer.alloc(300))), Status.CORRUPT);
    assert.ok(!blobs.includes(await again.write(patternBytes(10, 9))));
    await again.stop();
  }
  // Cut off altogether, it is not there; and its id neither.
  fs.truncateSync(node.file(1, 'needles'), offset - 8);
  for (let start = 0; start < 2; start++) {
    const again = await BlockNode.open(node.directory);
    assert.ok(!blobs.includes(await again.write(patternBytes(10, 9))));
    await again.stop();
  }
  fs.rmSync(node.directory, { recursive: true });
});

test('an image of a needle inside the torn data of another is no needle, and no damage', async () => {
  const node = await BlockNode.open();
  const blob = await node.write(patternBytes(100, 1));
  const file = fs.readFileSync(node.file(1, 'needles'));
  const image = file.subarray(64, 64 + needleBytes(100));
  const second = await node.write(Buffer.concat([image, patternBytes(5000, 2)]));
  const { offset } = await node.reader.locate(second);
  await node.stop();
  const torn = fs.readFileSync(node.file(1, 'needles'));
  torn.fill(0, offset + 4000, offset + 4500);
  fs.writeFileSync(node.file(1, 'needles'), torn);
  fs.rmSync(node.file(1, 'index'));
  const again = await BlockNode.open(node.directory);
  assert.deepStrictEqual(again.warnings, []);
  assert.deepStrictEqual(await again.read(blob), patternBytes(100, 1));
  assert.strictEqual(await again.read(second), null);
  await again.close();
});

test('volumes that are sealed do not stay open without a bound', async () => {
  let open = 0;
  let most = 0;
  const disk: Disk = {
    ...systemDisk,
    openSync: (file, mode) => {
      most = Math.max(most, ++open);
      return systemDisk.openSync(file, mode);
    },
    closeSync: (fd) => {
      open--;
      systemDisk.closeSync(fd);
    },
  };
  const node = await BlockNode.open(undefined, { disk, volumeNeedles: 1 });
  for (let at = 0; at < 2 * limits.volumeFilesPerThread; at++) await node.write(patternBytes(10, at));
  assert.ok(most <= 2 * limits.volumeFilesPerThread + 20, `${most}`);
  await node.close();
});

test('a blob of many blocks that is deleted during a compaction has one tombstone in the copy, and nothing grows', async () => {
  let blob = 0;
  const deleting: Promise<void>[] = [];
  const node: BlockNode = await BlockNode.open(undefined, {
    volumeNeedles: 20,
    step: (name) => {
      if (name === 'copied' && blob > 0) deleting.push(node.delete(blob));
    },
  });
  blob = await node.write(patternBytes(10, 0));
  for (let index = 1; index < 16; index++) await node.write(patternBytes(10, index), blob, index);
  const [gone, ...kept] = await Promise.all([16, 17, 18, 19].map((at) => node.write(patternBytes(10, at))));
  await node.write(patternBytes(10, 20));
  await node.delete(gone!);
  const freed = await node.compact(0);
  await Promise.all(deleting);
  assert.strictEqual(freed, needleBytes(10) + needleBytes(0));
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 16; index++) assert.strictEqual(await node.read(blob + index), null);
    for (const [at, block] of kept.entries()) assert.deepStrictEqual(await node.read(block), patternBytes(10, 17 + at));
    await node.reopen();
  }
  await node.close();
});

test('a compaction that finds no space says so, and leaves nothing behind', async () => {
  let full = false;
  const disk: Disk = {
    ...systemDisk,
    writevSync: (fd, buffers, position) => {
      if (full && fs.readlinkSync(`/proc/self/fd/${fd}`).endsWith('.needles.new')) throw systemError('ENOSPC', 'write');
      return systemDisk.writevSync(fd, buffers, position);
    },
  };
  const node = await BlockNode.open(temporaryDirectory(), { disk, volumeNeedles: 2 });
  const blob = await node.write(patternBytes(100, 1));
  for (let at = 0; at < 2; at++) await node.write(patternBytes(100, at));
  await node.delete(blob);
  full = true;
  assert.strictEqual(await statusOf(call(node.service, 'volumeCompact', { holePercent: 0 })), Status.NOSPC);
  assert.deepStrictEqual(
    fs.readdirSync(path.dirname(node.file(1, 'index'))).filter((name) => name.endsWith('.new')),
    [],
  );
  full = false;
  assert.ok((await node.compact()) > 0);
  await node.close();
});

test('a copy of more lines than may wait in memory has them all', async () => {
  const count = limits.indexBacklogLines + 2000;
  const node = await BlockNode.open(undefined, { volumeNeedles: count });
  const data = patternBytes(8, 1);
  const blobs: number[] = [];
  for (let at = 0; at < count; at += 1024) {
    const batch = Array.from({ length: Math.min(1024, count - at) }, () => node.write(data));
    blobs.push(...(await Promise.all(batch)));
  }
  await node.write(data);
  await node.delete(blobs[0]!);
  assert.ok((await node.compact()) > 0);
  await node.stop();
  // The head, the seal, and a line for each that lives.
  assert.strictEqual(fs.statSync(node.file(1, 'index')).size, (2 + count - 1) * INDEX_LINE_BYTES);
  fs.rmSync(node.directory, { recursive: true });
});
