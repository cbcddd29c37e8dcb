// Holes given back while the volume serves, and volumes that end.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openBlockReader } from '../../../node/block/index.js';
import { Status } from '../../../proto/status.js';
import { BlockNode, call, patternBytes, seededBelow, statusOf } from './support.js';

test('a compaction gives back the holes, keeps every id and byte, and leaves nothing behind', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 100 });
  const blobs: number[] = [];
  for (let at = 0; at < 100; at++) blobs.push(await node.write(patternBytes(1000 + at, at)));
  await node.write(patternBytes(1, 1));
  const gone = blobs.filter((_, at) => at % 4 !== 0);
  await node.delete(...gone);
  const before = fs.statSync(node.file(1, 'needles')).size;
  const freed = await node.compact(50);
  assert.ok(freed > 70_000, `${freed}`);
  assert.strictEqual(before - fs.statSync(node.file(1, 'needles')).size, freed);
  for (let round = 0; round < 2; round++) {
    for (const [at, blob] of blobs.entries()) {
      assert.deepStrictEqual(await node.read(blob), at % 4 === 0 ? patternBytes(1000 + at, at) : null);
    }
    await node.reopen();
  }
  await node.delete(blobs[4]!);
  assert.strictEqual(await node.read(blobs[4]!), null, 'tombstones go to the new file');
  const left = fs.readdirSync(path.dirname(node.file(1, 'needles'))).filter((name) => name.endsWith('.new'));
  assert.deepStrictEqual(left, []);
  assert.strictEqual(await node.compact(50), 0, 'nothing left to do');
  await node.close();
});

test('a volume in which nothing lives is removed, except the highest, whose number must not return', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 10 });
  const blobs: number[] = [];
  for (let at = 0; at < 30; at++) blobs.push(await node.write(patternBytes(50, at)));
  // Full, so the start takes the third for sealed.
  await node.reopen();
  await node.delete(...blobs);
  await node.compact(0);
  assert.ok(!fs.existsSync(node.file(1, 'needles')) && !fs.existsSync(node.file(1, 'index')));
  assert.ok(fs.existsSync(node.file(3, 'needles')));
  await node.delete(...blobs);
  for (const blob of blobs) assert.strictEqual(await node.read(blob), null);
  await node.reopen();
  const next = await node.write(patternBytes(5, 5));
  assert.ok(next > Math.max(...blobs), 'an id is never used twice');
  await node.close();
});

test('a volume with a damaged needle is not compacted, and its other blocks are served on', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 4 });
  const blobs: number[] = [];
  for (let at = 0; at < 5; at++) blobs.push(await node.write(patternBytes(500, at)));
  const { offset } = await node.reader.locate(blobs[2]!);
  const fd = fs.openSync(node.file(1, 'needles'), 'r+');
  fs.writeSync(fd, Buffer.from([0, 1, 2, 3]), 0, 4, offset + 9);
  fs.closeSync(fd);
  await node.delete(blobs[0]!);
  assert.strictEqual(await node.compact(0), 0);
  assert.match(node.warnings.join(), /damaged needle/);
  assert.deepStrictEqual(await node.read(blobs[1]!), patternBytes(500, 1));
  assert.strictEqual(await statusOf(node.reader.read(blobs[2]!, 0, Buffer.alloc(500))), Status.CORRUPT);
  await node.close();
});

test('a reader that has the old file open goes on, and finds the new one afterwards', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 10 });
  const blobs: number[] = [];
  for (let at = 0; at < 11; at++) blobs.push(await node.write(patternBytes(5000, at)));
  const old = openBlockReader({ directory: node.directory, arena: node.arena });
  const target = Buffer.alloc(5000);
  assert.ok(old.readSync(blobs[9]!, 0, target));
  const reading = old.read(blobs[9]!, 0, target);
  await node.delete(...blobs.slice(0, 9));
  await node.compact(10);
  await reading;
  assert.deepStrictEqual(target, patternBytes(5000, 9));
  assert.ok(old.readSync(blobs[9]!, 0, target), 'warm still');
  assert.strictEqual(old.readSync(blobs[3]!, 0, target), false);
  assert.strictEqual(await statusOf(old.read(blobs[3]!, 0, target)), Status.NOENT);
  old.close();
  await node.close();
});

test('what is deleted while its volume is compacted stays deleted, also after a start', async () => {
  const below = seededBelow('deleting during compaction');
  const deleting: Promise<void>[] = [];
  let victims: number[] = [];
  const node: BlockNode = await BlockNode.open(undefined, {
    volumeNeedles: 400,
    step: () => {
      if (victims.length > 0) deleting.push(node.delete(victims.splice(below(victims.length), 1)[0]!));
    },
  });
  const blobs: number[] = [];
  for (let at = 0; at < 400; at++) blobs.push(await node.write(patternBytes(100_000, at % 5)));
  await node.write(patternBytes(1, 1));
  await node.delete(...blobs.slice(0, 200));
  victims = blobs.slice(300);
  const doomed = new Set(victims);
  assert.ok((await node.compact(20)) > 0);
  await Promise.all(deleting);
  const deleted = new Set([...doomed].filter((blob) => !victims.includes(blob)));
  assert.ok(deleted.size >= 5);
  for (let round = 0; round < 2; round++) {
    for (const [at, blob] of blobs.entries()) {
      const lives = at >= 200 && !deleted.has(blob);
      assert.deepStrictEqual(await node.read(blob), lives ? patternBytes(100_000, at % 5) : null, `${at}`);
    }
    await node.reopen();
  }
  await node.close();
});

test('a full volume is sealed, its table shrinks to its size, and it takes tombstones still', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 50 });
  const blobs = await Promise.all(Array.from({ length: 120 }, (_, at) => node.write(patternBytes(30, at))));
  const { value } = await call(node.service, 'volumeStats', {});
  assert.deepStrictEqual(
    value.volumes.map(({ volume, sealed, liveNeedles }) => ({ volume, sealed, liveNeedles })),
    [
      { volume: 1, sealed: 1, liveNeedles: 50 },
      { volume: 2, sealed: 1, liveNeedles: 50 },
      { volume: 3, sealed: 0, liveNeedles: 20 },
    ],
  );
  assert.strictEqual(await statusOf(node.write(patternBytes(30, 1), blobs[0]!, 1)), Status.SEALED);
  await node.delete(blobs[0]!);
  await node.reopen();
  assert.strictEqual(await statusOf(node.write(patternBytes(30, 1), blobs[1]!, 1)), Status.SEALED);
  for (const [at, blob] of blobs.entries()) {
    assert.deepStrictEqual(await node.read(blob), at === 0 ? null : patternBytes(30, at));
  }
  await node.close();
});
