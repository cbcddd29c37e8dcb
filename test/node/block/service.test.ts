// The block service by its operations, in one process.

import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import { blockOperations, pieceChecksums } from '../../../proto/block/index.js';
import { blockVolume } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { Status } from '../../../proto/status.js';
import { BlockNode, call, patternBytes, seededBelow, send, statusOf } from './support.js';

test('a block that was written is read back by every way of reading, in whole and in part', async () => {
  const node = await BlockNode.open();
  for (const length of [1, 7, 4096, 65_535, 65_536, 65_537, 200_000, limits.blockBytes]) {
    const data = patternBytes(length, length);
    const blob = await node.write(data);
    assert.deepStrictEqual(await node.read(blob), data);
    const ranges = [0, 1, 65_535, 65_536, 70_000, length - 1].filter((offset) => offset < length);
    for (const offset of ranges) {
      for (const bytes of [1, 4096, 65_536, 131_072, length].filter((count) => offset + count <= length)) {
        const target = Buffer.alloc(bytes);
        await node.reader.read(blob, offset, target);
        assert.ok(target.equals(data.subarray(offset, offset + bytes)), `${length}: ${offset}+${bytes}`);
        target.fill(0);
        if (node.reader.readSync(blob, offset, target)) assert.ok(target.equals(data.subarray(offset, offset + bytes)));
        const { value, payload } = await call(node.service, 'blockRead', { block: blob, offset, length: bytes });
        assert.deepStrictEqual(pieceChecksums(payload), value.checksums);
        assert.ok(payload.equals(data.subarray(value.start, value.start + payload.length)));
        assert.ok(value.start <= offset && value.start + payload.length >= offset + bytes);
      }
    }
  }
  await node.close();
});

test('a small block just written is read without waiting, a large range never', async () => {
  const node = await BlockNode.open();
  const small = await node.write(patternBytes(4096, 1));
  const large = await node.write(patternBytes(1_000_000, 2));
  const target = Buffer.alloc(4096);
  assert.ok(node.reader.readSync(small, 0, target));
  assert.deepStrictEqual(target, patternBytes(4096, 1));
  assert.strictEqual(node.reader.readSync(large, 0, Buffer.alloc(limits.syncReadBytes + 1)), false);
  await node.reader.read(large, 100, target);
  assert.ok(node.reader.readSync(large, 100, target), 'its checksums are known now');
  assert.ok(node.reader.readSync(large, 200_000, Buffer.alloc(1)));
  assert.strictEqual(node.reader.readSync(small + 16_000, 0, target), false);
  await node.close();
});

test('the blocks of a blob are written in any order and only once', async () => {
  const node = await BlockNode.open();
  const blob = await node.write(patternBytes(5000, 1));
  await Promise.all([3, 1, 2].map((index) => node.write(patternBytes(5000 + index, index), blob, index)));
  assert.deepStrictEqual(await node.read(blob + 3), patternBytes(5003, 3));
  assert.strictEqual(await node.write(patternBytes(5003, 3), blob, 3), blob, 'a retry is answered');
  assert.strictEqual(await statusOf(node.write(patternBytes(5003, 4), blob, 3)), Status.EXIST);
  assert.strictEqual(await statusOf(node.write(patternBytes(10, 4), blob + 16 * 100, 1)), Status.NOENT);
  await node.close();
});

test('a deleted blob is gone for good, also after a new start, and deleting again succeeds', async () => {
  const node = await BlockNode.open();
  const blob = await node.write(patternBytes(5000, 1));
  const other = await node.write(patternBytes(5000, 2));
  await node.write(patternBytes(100, 3), blob, 1);
  await node.delete(blob, blob);
  await node.delete(blob);
  await node.reopen();
  assert.strictEqual(await node.read(blob), null);
  assert.strictEqual(await node.read(blob + 1), null);
  assert.strictEqual(await statusOf(node.write(patternBytes(100, 3), blob, 1)), Status.NOENT);
  assert.deepStrictEqual(await node.read(other), patternBytes(5000, 2));
  const next = await node.write(patternBytes(1, 1));
  assert.ok(next > other, 'a sequence is never used twice');
  await node.close();
});

test('bad requests are refused with their status and change nothing', async () => {
  const node = await BlockNode.open();
  const data = patternBytes(100, 1);
  const write = (request: object, payload = data, session = 0) =>
    statusOf(
      call(
        node.service,
        'blockWrite',
        { session: 1, blob: 0, index: 0, checksums: pieceChecksums(data), ...request },
        payload,
        session,
      ),
    );
  assert.strictEqual(await write({ index: 1 }), Status.INVAL);
  assert.strictEqual(await write({ blob: 3 }), Status.INVAL);
  assert.strictEqual(await write({ blob: 16, index: 16 }), Status.INVAL);
  assert.strictEqual(await write({ checksums: [] }), Status.INVAL);
  assert.strictEqual(await write({}, Buffer.alloc(0)), Status.INVAL);
  assert.strictEqual(await write({ checksums: [1] }, data, 9), Status.CORRUPT, 'what TCP brought is verified');
  assert.strictEqual(await write({}, data, 9), Status.OK);
  const { status } = await send(node.service, blockOperations.blockWrite.code, Buffer.from([0xff]));
  assert.strictEqual(status, Status.MALFORMED);
  const trailing = Buffer.from([5, 1, 0]);
  assert.strictEqual((await send(node.service, blockOperations.volumeCompact.code, trailing)).status, Status.MALFORMED);
  assert.strictEqual((await send(node.service, 999, Buffer.alloc(0))).status, Status.MALFORMED);
  assert.strictEqual(await statusOf(node.delete(5)), Status.INVAL);
  assert.strictEqual(await statusOf(node.reader.read(16 * 2 ** 25, 90, Buffer.alloc(11))), Status.INVAL);
  assert.strictEqual(await statusOf(node.reader.read(16 * 2 ** 26, 0, Buffer.alloc(1))), Status.NOENT);
  const { value } = await call(node.service, 'volumeStats', {});
  assert.strictEqual(value.volumes[0]!.liveNeedles, 1);
  await node.close();
});

test('living blocks are listed in order, a page at a time', async () => {
  const node = await BlockNode.open();
  const blobs = await Promise.all(Array.from({ length: 300 }, (_, at) => node.write(patternBytes(at + 1, at))));
  await node.write(patternBytes(50, 1), blobs[7], 2);
  await node.delete(blobs[3]!, blobs[299]!);
  const expected = [...blobs, blobs[7]! + 2]
    .filter((blob) => blob !== blobs[3] && blob !== blobs[299])
    .sort((a, b) => a - b);
  const volume = Math.floor(blobs[0]! / 2 ** 29);
  const listed: number[] = [];
  for (let after = 0, end = false; !end; ) {
    const { value } = await call(node.service, 'blockList', { volume, after, limit: 64 });
    assert.ok(value.blocks.length <= 64);
    assert.ok(value.blocks.every((block) => block.session === 7));
    listed.push(...value.blocks.map((block) => block.block));
    after = listed.at(-1)!;
    end = value.end;
  }
  assert.deepStrictEqual(listed, expected);
  await node.close();
});

test('random requests are answered, once, and do not harm what is stored', async () => {
  const below = seededBelow('random requests');
  const node = await BlockNode.open();
  const blob = await node.write(patternBytes(3000, 1));
  const names = Object.keys(blockOperations) as (keyof typeof blockOperations)[];
  for (let round = 0; round < 3000; round++) {
    const { code } = blockOperations[names[below(names.length)]!];
    const body = patternBytes(below(20), round);
    if (code === blockOperations.blockDelete.code) body[0] = 0;
    const { status } = await send(node.service, code, body, patternBytes(below(100), round), below(2));
    assert.ok(status >= 0);
  }
  assert.deepStrictEqual(await node.read(blob), patternBytes(3000, 1));
  await node.close();
});

test('threads share the numbers of volumes, and no number returns when their count changes', async () => {
  const one = await BlockNode.open(undefined, { thread: 0, threads: 2, volumeNeedles: 2 });
  const two = await BlockNode.open(one.directory, { thread: 1, threads: 2, volumeNeedles: 2 });
  const blobs: number[] = [];
  for (let at = 0; at < 6; at++) blobs.push(await one.write(patternBytes(9, at)), await two.write(patternBytes(9, at)));
  const volumes = new Set(blobs.map(blockVolume));
  assert.strictEqual(volumes.size, 6);
  for (const [at, blob] of blobs.entries()) assert.strictEqual(blockVolume(blob) % 2, at % 2);
  assert.strictEqual(await statusOf(one.delete(blobs[1]!)), Status.INVAL, 'the other thread has it');
  await one.delete(...blobs.filter((_, at) => at % 2 === 0));
  await one.compact(0);
  await one.stop();
  await two.stop();
  const all = await BlockNode.open(one.directory, { volumeNeedles: 2 });
  for (const [at, blob] of blobs.entries()) {
    assert.deepStrictEqual(await all.read(blob), at % 2 === 0 ? null : patternBytes(9, (at - 1) / 2));
  }
  for (let at = 0; at < 4; at++) assert.ok(!volumes.has(blockVolume(await all.write(patternBytes(9, at)))));
  await all.close();
});

test('more volumes than files a thread may open are read, deleted from and found after a start', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 1 });
  const count = limits.volumeFilesPerThread + 20;
  const blobs: number[] = [];
  for (let at = 0; at < count; at++) blobs.push(await node.write(patternBytes(11, at)));
  for (let round = 0; round < 2; round++) {
    for (const [at, blob] of blobs.entries()) assert.deepStrictEqual(await node.read(blob), patternBytes(11, at));
    assert.ok(fs.readdirSync('/proc/self/fd').length < 4 * limits.volumeFilesPerThread);
    if (round === 0) await node.reopen();
  }
  for (const blob of blobs) await node.delete(blob);
  assert.ok(fs.readdirSync('/proc/self/fd').length < 4 * limits.volumeFilesPerThread);
  for (const blob of blobs) assert.strictEqual(await node.read(blob), null);
  await node.close();
});
