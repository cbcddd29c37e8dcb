// What a start makes of files that a crash, a lost write-back or a bad sector left.

import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import { INDEX_LINE_BYTES, NEEDLE_HEADER_BYTES, needleBytes, SUPERBLOCK_BYTES } from '../../../proto/block/index.js';
import { limits } from '../../../proto/limits.js';
import { Status } from '../../../proto/status.js';
import { BlockNode, patternBytes, seededBelow, statusOf } from './support.js';

const VOLUME = 1;

/** A stopped node with some needles; their blobs, and where each lies. */
async function stoppedNode(lengths: readonly number[]) {
  const node = await BlockNode.open();
  const blobs: number[] = [];
  for (const [at, length] of lengths.entries()) blobs.push(await node.write(patternBytes(length, at)));
  const offsets: number[] = [];
  for (const blob of blobs) offsets.push((await node.reader.locate(blob)).offset - NEEDLE_HEADER_BYTES);
  const index = node.file(VOLUME, 'index');
  const data = node.file(VOLUME, 'needles');
  await node.stop();
  return { node, blobs, offsets, data, index, dataBytes: fs.readFileSync(data), indexBytes: fs.readFileSync(index) };
}

/** Starts the node on other bytes in its files, looks, and stops it. */
async function startOn(
  stopped: Awaited<ReturnType<typeof stoppedNode>>,
  files: { data?: Buffer; index?: Buffer | null },
  look: (node: BlockNode) => Promise<void>,
): Promise<string[]> {
  fs.writeFileSync(stopped.data, files.data ?? stopped.dataBytes);
  if (files.index === null) fs.rmSync(stopped.index);
  else fs.writeFileSync(stopped.index, files.index ?? stopped.indexBytes);
  const node = await BlockNode.open(stopped.node.directory);
  await look(node);
  await node.stop();
  return node.warnings;
}

test('a model of appends, deletions, compactions and starts agrees with the store', async () => {
  const below = seededBelow('model');
  const node = await BlockNode.open(undefined, { volumeBytes: 5_000_000, volumeNeedles: 60 });
  const model = new Map<number, Buffer>();
  for (let step = 0; step < 250; step++) {
    const kind = below(100);
    const known = [...model.keys()];
    if (kind < 60) {
      const writes = Array.from({ length: 1 + below(8) }, async (_, at) => {
        const data = patternBytes(1 + below(below(10) === 0 ? 300_000 : 6000), step * 10 + at);
        model.set(await node.write(data), data);
      });
      await Promise.all(writes);
    } else if (kind < 70 && known.length > 0) {
      const blob = known[below(known.length)]!;
      const data = patternBytes(1 + below(5000), step);
      if (blob % 16 !== 0 || model.has(blob + 1)) continue;
      const status = await statusOf(node.write(data, blob, 1));
      if (status === Status.OK) model.set(blob + 1, data);
      else assert.strictEqual(status, Status.SEALED);
    } else if (kind < 88 && known.length > 0) {
      const blob = known[below(known.length)]!;
      const base = blob - (blob % 16);
      await node.delete(base);
      for (let index = 0; index < 16; index++) model.delete(base + index);
    } else if (kind < 93) await node.reopen();
    else await node.compact(below(60));
    if (step % 10 === 0) for (const [block, data] of model) assert.deepStrictEqual(await node.read(block), data);
  }
  await node.reopen();
  for (const [block, data] of model) assert.deepStrictEqual(await node.read(block), data);
  assert.deepStrictEqual(node.warnings, []);
  await node.close();
});

test('a data file cut at any byte of its last needle starts with all others and takes new ones', async () => {
  const stopped = await stoppedNode([100, 3000, 50]);
  const from = stopped.offsets[2]!;
  for (let cut = from; cut <= from + needleBytes(50); cut++) {
    const whole = cut >= from + needleBytes(50);
    for (const index of [stopped.indexBytes, stopped.indexBytes.subarray(0, -INDEX_LINE_BYTES)]) {
      const warnings = await startOn(stopped, { data: stopped.dataBytes.subarray(0, cut), index }, async (node) => {
        assert.deepStrictEqual(await node.read(stopped.blobs[1]!), patternBytes(3000, 1));
        assert.deepStrictEqual(await node.read(stopped.blobs[2]!), whole ? patternBytes(50, 2) : null);
        const added = await node.write(patternBytes(70, 9));
        await node.reopen();
        assert.deepStrictEqual(await node.read(added), patternBytes(70, 9));
      });
      // Only what an index line names was ever acknowledged.
      const named = index === stopped.indexBytes;
      assert.strictEqual(warnings.length, named && !whole ? 1 : 0, warnings.join());
    }
  }
  await stopped.node.close();
});

test('an index cut at any byte loses nothing', async () => {
  const stopped = await stoppedNode([100, 3000, 50]);
  for (let cut = 0; cut <= stopped.indexBytes.length; cut++) {
    const warnings = await startOn(stopped, { index: stopped.indexBytes.subarray(0, cut) }, async (node) => {
      for (const [at, length] of [100, 3000, 50].entries()) {
        assert.deepStrictEqual(await node.read(stopped.blobs[at]!), patternBytes(length, at));
      }
    });
    assert.deepStrictEqual(warnings, []);
    assert.deepStrictEqual(fs.readFileSync(stopped.index), stopped.indexBytes, 'it is whole again');
  }
  await startOn(stopped, { index: null }, async (node) => {
    assert.deepStrictEqual(await node.read(stopped.blobs[2]!), patternBytes(50, 2));
  });
  await stopped.node.close();
});

test('any flipped byte of a needle is damage on reading, harms no other block, and no start', async () => {
  const stopped = await stoppedNode([40, 40, 40]);
  // The session means nothing to a reader (but has 53 bits), and where the header is compared its CRC is not needed.
  const checked = (at: number) =>
    at < 24 || at === 30 || at === 31 || (at >= NEEDLE_HEADER_BYTES && at < NEEDLE_HEADER_BYTES + 40 + 4);
  for (let at = 0; at < needleBytes(40); at++) {
    const data = Buffer.from(stopped.dataBytes);
    data[stopped.offsets[1]! + at]! ^= 0x40;
    await startOn(stopped, { data }, async (node) => {
      for (const other of [0, 2])
        assert.deepStrictEqual(await node.read(stopped.blobs[other]!), patternBytes(40, other));
      const target = Buffer.alloc(40);
      const status = await statusOf(node.reader.read(stopped.blobs[1]!, 0, target));
      assert.strictEqual(status, checked(at) ? Status.CORRUPT : Status.OK, `byte ${at}`);
      assert.strictEqual(node.reader.readSync(stopped.blobs[1]!, 0, target), !checked(at));
    });
    // Without an index the scan decides: the needle is dropped, the one behind it is found.
    await startOn(stopped, { data, index: null }, async (node) => {
      for (const other of [0, 2])
        assert.deepStrictEqual(await node.read(stopped.blobs[other]!), patternBytes(40, other));
    });
  }
  await stopped.node.close();
});

test('a flipped byte of a large block is damage only where it lies', async () => {
  const stopped = await stoppedNode([300_000]);
  const data = Buffer.from(stopped.dataBytes);
  data[stopped.offsets[0]! + NEEDLE_HEADER_BYTES + 100_000]! ^= 1;
  await startOn(stopped, { data }, async (node) => {
    const target = Buffer.alloc(65_536);
    await node.reader.read(stopped.blobs[0]!, 0, target);
    assert.strictEqual(await statusOf(node.reader.read(stopped.blobs[0]!, 1, target)), Status.CORRUPT);
    await node.reader.read(stopped.blobs[0]!, 131_072, target);
  });
  await stopped.node.close();
});

test('any flipped byte of the index loses nothing and is made whole', async () => {
  const stopped = await stoppedNode([40, 50]);
  for (let at = 0; at < stopped.indexBytes.length; at++) {
    const index = Buffer.from(stopped.indexBytes);
    index[at]! ^= 0x10;
    const warnings = await startOn(stopped, { index }, async (node) => {
      assert.deepStrictEqual(await node.read(stopped.blobs[0]!), patternBytes(40, 0));
      assert.deepStrictEqual(await node.read(stopped.blobs[1]!), patternBytes(50, 1));
    });
    assert.deepStrictEqual(warnings, []);
    assert.deepStrictEqual(fs.readFileSync(stopped.index), stopped.indexBytes);
  }
  await stopped.node.close();
});

test('a damaged superblock is taken from the index; without that the volume is left alone and its number too', async () => {
  const stopped = await stoppedNode([40, 50]);
  const data = Buffer.from(stopped.dataBytes);
  data[9]! ^= 1;
  const warnings = await startOn(stopped, { data }, async (node) => {
    assert.deepStrictEqual(await node.read(stopped.blobs[1]!), patternBytes(50, 1));
    assert.ok((await node.write(patternBytes(10, 1))) >= 2 * 2 ** 29, 'it takes no more');
  });
  assert.strictEqual(warnings.length, 1);
  await startOn(stopped, { data, index: null }, async (node) => {
    assert.strictEqual(await statusOf(node.read(stopped.blobs[1]!)), Status.CORRUPT, 'not as if it were deleted');
    assert.ok((await node.write(patternBytes(10, 1))) >= 2 * 2 ** 29);
    assert.deepStrictEqual(fs.readFileSync(stopped.data), data);
  });
  await stopped.node.close();
});

test('a data file that is missing beside its index is reported, and its number is not used again', async () => {
  const stopped = await stoppedNode([40]);
  fs.rmSync(stopped.data);
  const node = await BlockNode.open(stopped.node.directory);
  assert.match(node.warnings.join(), /is missing/);
  assert.strictEqual(await statusOf(node.read(stopped.blobs[0]!)), Status.CORRUPT);
  assert.ok((await node.write(patternBytes(10, 1))) >= 2 * 2 ** 29);
  await node.stop();
  await stopped.node.close();
});

test('pages of an unsynced batch that reached the disk in any order leave what verifies', async () => {
  const below = seededBelow('torn batch');
  const lengths = [4000, 4100, 9000, 70_000, 30, 20_000];
  const stopped = await stoppedNode(lengths);
  const synced = stopped.offsets[2]!;
  for (let round = 0; round < 60; round++) {
    const data = Buffer.from(stopped.dataBytes);
    for (let page = Math.ceil(synced / 4096); page * 4096 < data.length; page++) {
      if (below(3) === 0) data.fill(0, page * 4096, Math.min(data.length, (page + 1) * 4096));
    }
    const index = stopped.indexBytes.subarray(0, (1 + below(3)) * INDEX_LINE_BYTES);
    let tail = 0;
    const warnings = await startOn(stopped, { data, index }, async (node) => {
      for (const [at, blob] of stopped.blobs.entries()) {
        const bytes = await node.read(blob);
        const intact = data.subarray(stopped.offsets[at]!, stopped.offsets[at]! + needleBytes(lengths[at]!));
        const sound = intact.equals(
          stopped.dataBytes.subarray(stopped.offsets[at]!, stopped.offsets[at]! + intact.length),
        );
        if (at < 2 || sound) assert.deepStrictEqual(bytes, patternBytes(lengths[at]!, at));
        else assert.strictEqual(bytes, null);
        if (bytes !== null) tail = Math.max(tail, stopped.offsets[at]! + needleBytes(lengths[at]!));
      }
      const added = await node.write(patternBytes(100, 77));
      assert.strictEqual(
        (await node.reader.locate(added)).offset,
        tail + NEEDLE_HEADER_BYTES,
        'behind the last needle',
      );
      await node.reopen();
      assert.deepStrictEqual(await node.read(added), patternBytes(100, 77));
    });
    assert.deepStrictEqual(warnings, []);
  }
  await stopped.node.close();
});

test('what an index line names and the data file has lost is reported, and the rest is served', async () => {
  const stopped = await stoppedNode([100, 200, 300]);
  const data = stopped.dataBytes.subarray(0, stopped.offsets[1]);
  const warnings = await startOn(stopped, { data }, async (node) => {
    assert.deepStrictEqual(await node.read(stopped.blobs[0]!), patternBytes(100, 0));
    assert.strictEqual(await node.read(stopped.blobs[1]!), null);
  });
  assert.strictEqual(warnings.length, 2);
  assert.ok(warnings.every((warning) => warning.includes('damaged or lost')));
  await stopped.node.close();
});

test('a needle that another file left on the disk is not taken for one of this volume', async () => {
  const stopped = await stoppedNode([100, 200]);
  const other = await stoppedNode([100, 200]);
  const foreign = other.dataBytes.subarray(other.offsets[1]!);
  const data = Buffer.concat([stopped.dataBytes.subarray(0, stopped.offsets[1]!), foreign]);
  const index = stopped.indexBytes.subarray(0, 2 * INDEX_LINE_BYTES);
  assert.deepStrictEqual(stopped.blobs, other.blobs, 'of the same id');
  await startOn(stopped, { data, index }, async (node) => {
    assert.strictEqual(await node.read(stopped.blobs[1]!), null);
    assert.strictEqual(fs.statSync(stopped.data).size, stopped.offsets[1], 'and cut');
  });
  assert.ok(stopped.offsets[0] === SUPERBLOCK_BYTES);
  await stopped.node.close();
  await other.node.close();
});

test('an index of more lines than wait in memory is made whole from the data', async () => {
  const node = await BlockNode.open();
  const count = limits.indexBacklogLines + 5000;
  const data = patternBytes(8, 1);
  for (let at = 0; at < count; at += 1024) {
    await Promise.all(Array.from({ length: Math.min(1024, count - at) }, () => node.write(data)));
  }
  const file = node.file(VOLUME, 'index');
  await node.stop();
  const whole = fs.readFileSync(file);
  fs.rmSync(file);
  const again = await BlockNode.open(node.directory);
  assert.ok(fs.readFileSync(file).equals(whole));
  await again.close();
});

test('a swap of which the disk kept one rename, either one, loses nothing', async () => {
  const node = await BlockNode.open(undefined, { volumeNeedles: 30 });
  const blobs: number[] = [];
  for (let at = 0; at < 31; at++) blobs.push(await node.write(patternBytes(100 + at, at)));
  const gone = blobs.slice(3, 20);
  await node.delete(...gone);
  const read = () => [node.file(VOLUME, 'needles'), node.file(VOLUME, 'index')].map((file) => fs.readFileSync(file));
  await node.reopen();
  const [oldData, oldIndex] = read() as [Buffer, Buffer];
  await node.compact(0);
  const [newData, newIndex] = read() as [Buffer, Buffer];
  await node.stop();
  assert.ok(newData.length < oldData.length);
  for (const [data, index, unfinished] of [
    [newData, oldIndex, newIndex],
    [newData, oldIndex, null],
    [oldData, newIndex, null],
    [oldData, oldIndex, newIndex],
  ] as const) {
    fs.writeFileSync(node.file(VOLUME, 'needles'), data);
    fs.writeFileSync(node.file(VOLUME, 'index'), index);
    if (unfinished !== null) fs.writeFileSync(`${node.file(VOLUME, 'index')}.new`, unfinished);
    const again = await BlockNode.open(node.directory, { volumeNeedles: 30 });
    for (const [at, blob] of blobs.entries()) {
      assert.deepStrictEqual(await again.read(blob), gone.includes(blob) ? null : patternBytes(100 + at, at));
    }
    assert.ok((await again.write(patternBytes(5, 5))) > Math.max(...blobs), 'no id returns');
    assert.deepStrictEqual(again.warnings, []);
    assert.ok(!fs.existsSync(`${node.file(VOLUME, 'index')}.new`));
    await again.stop();
  }
  fs.rmSync(node.directory, { recursive: true });
});
