// Many uploads over little memory: none starves, none deadlocks, whoever is slow.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createPathFs, type ObjectWriter, type PathFs } from '../../../client/pathfs/index.js';
import { limits } from '../../../proto/limits.js';
import { MemoryStore } from '../blocks/memory-store.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function sinkOf(slabBytes: number): { store: MemoryStore; pathfs: PathFs } {
  const store = new MemoryStore({ slabBytes, sink: true });
  return { store, pathfs: createPathFs({ meta: null as never, blocks: store, group: 1 }) };
}

async function upload(writer: ObjectWriter, bytes: number, piece: Buffer): Promise<number> {
  for (let at = 0; at < bytes; at += piece.length) {
    const room = writer.write(piece.subarray(0, Math.min(piece.length, bytes - at)));
    if (!room) await new Promise<void>((resolve) => writer.onDrain(resolve));
    else await new Promise((resolve) => setImmediate(resolve));
  }
  const chunks = await writer.finish();
  let stored = 0;
  for (const { slices } of chunks) for (const { length } of slices) stored += length;
  assert.strictEqual(stored, writer.size);
  return chunks.reduce((count, { slices }) => count + slices.length, 0);
}

for (const [uploads, hint] of [
  [1000, 16 * MIB],
  [250, -1],
] as const) {
  const length = hint < 0 ? 'unknown' : 'known';
  test(`${uploads} uploads of 16 MiB, of ${length} length, all end over a slab of 64 MiB`, async (context) => {
    const { store, pathfs } = sinkOf(64 * MIB);
    const piece = randomBytes(512 * KIB);
    const started = performance.now();
    const slices = await Promise.all(
      Array.from({ length: uploads }, () => upload(pathfs.createWriter(hint), 16 * MIB, piece)),
    );
    const seconds = (performance.now() - started) / 1000;
    context.diagnostic(
      `${((uploads * 16) / seconds).toFixed(0)} MiB/s, at most ${Math.max(...slices)} slices an object`,
    );
    assert.ok(store.peakBytes <= 64 * MIB);
    assert.strictEqual(store.usedBytes, 0);
    assert.ok(Math.max(...slices) <= 32, 'objects are cut into too many slices');
  });
}

test('uploads that stall with blocks half full do not keep others from ending', async () => {
  const { store, pathfs } = sinkOf(64 * MIB);
  const stalled = Array.from({ length: 16 }, () => pathfs.createWriter(64 * MIB));
  for (const writer of stalled) writer.write(Buffer.alloc(100_000));
  assert.strictEqual(store.usedBytes, 64 * MIB);
  await Promise.all(
    Array.from({ length: 20 }, () => upload(pathfs.createWriter(8 * MIB), 8 * MIB, Buffer.alloc(512 * KIB))),
  );
  await Promise.all(stalled.map((writer) => upload(writer, 8 * MIB, Buffer.alloc(512 * KIB))));
  assert.strictEqual(store.usedBytes, 0);
});

test('small uploads get through while large ones hold all memory', async () => {
  const { store, pathfs } = sinkOf(64 * MIB);
  const large = Promise.all(
    Array.from({ length: 64 }, () => upload(pathfs.createWriter(16 * MIB), 16 * MIB, Buffer.alloc(512 * KIB))),
  );
  await new Promise((resolve) => setImmediate(resolve));
  const small = Promise.all(
    Array.from({ length: 500 }, () => upload(pathfs.createWriter(4096), 4096, Buffer.alloc(4096))),
  );
  await Promise.race([small, large]);
  await Promise.all([small, large]);
  assert.strictEqual(store.usedBytes, 0);
});

test('an upload that is given up while it waits for memory leaves the line', async () => {
  const { store, pathfs } = sinkOf(4 * MIB);
  const first = pathfs.createWriter(4 * MIB);
  first.write(Buffer.alloc(MIB));
  const waiting = pathfs.createWriter(4 * MIB);
  assert.strictEqual(waiting.write(Buffer.alloc(MIB)), false);
  waiting.abort();
  const third = upload(pathfs.createWriter(MIB), MIB, Buffer.alloc(MIB));
  await upload(first, 0, Buffer.alloc(1));
  await third;
  assert.strictEqual(store.usedBytes, 0);
});

test('under pressure a writer takes less than a block, never more than there is', async () => {
  const { store, pathfs } = sinkOf(limits.blockBytes);
  await Promise.all(
    Array.from({ length: 50 }, () => upload(pathfs.createWriter(-1), 3 * MIB, Buffer.alloc(100 * KIB))),
  );
  assert.ok(store.peakBytes <= limits.blockBytes);
  assert.strictEqual(store.usedBytes, 0);
});
