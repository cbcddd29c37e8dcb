// The needle index in shared memory, against plain models.

import assert from 'node:assert';
import { test } from 'node:test';
import { Arena, createArena, SLOT_BYTES } from '../../../node/block/arena.js';
import { IndexTable } from '../../../node/block/index-table.js';
import { OfsError } from '../../../proto/status.js';
import { seededBelow } from './support.js';

const MIB = 1024 * 1024;

test('regions of the arena never overlap, are zero when given out, and are used again', () => {
  const below = seededBelow('regions');
  const arena = new Arena(createArena(256 * MIB));
  const held: { unit: number; bytes: number; words: Int32Array }[] = [];
  for (let round = 1; round < 2000; round++) {
    if (held.length > 20 || (held.length > 0 && below(3) === 0)) {
      const [region] = held.splice(below(held.length), 1);
      assert.ok(
        region!.words.every((word) => word === region!.words[0]),
        'nobody else wrote here',
      );
      arena.free(region!.unit, region!.bytes);
      continue;
    }
    const bytes = (1 + below(20_000)) * SLOT_BYTES;
    const unit = arena.allocate(bytes);
    const words = arena.wordsAt(unit, bytes / 4);
    assert.ok(words.every((word) => word === 0));
    words.fill(round);
    held.push({ unit, bytes, words });
  }
});

test('an arena that is used up says so, and gives again what was freed', () => {
  const arena = new Arena(createArena(64 * MIB));
  const unit = arena.allocate(50 * MIB);
  assert.throws(() => arena.allocate(50 * MIB), OfsError);
  arena.free(unit, 50 * MIB);
  assert.strictEqual(arena.allocate(50 * MIB), unit);
});

test('a volume is found by every view of the arena until it is dropped, and its entry is used again', () => {
  const buffer = createArena(64 * MIB);
  const [writer, reader] = [new Arena(buffer), new Arena(buffer)];
  const place = { unit: 500, capacity: 10, spread: 0, cookie: 0xffffffff };
  const [first, second] = [writer.claim(3), writer.claim(3 + 65_536)];
  assert.strictEqual(reader.generation(second) & 1, 1, 'odd until it is published');
  writer.publish(first, place);
  writer.publish(second, place);
  assert.deepStrictEqual(reader.place(reader.find(3 + 65_536)), place);
  const generation = reader.generation(first);
  writer.drop(first);
  assert.strictEqual(reader.find(3), -1);
  assert.strictEqual(reader.find(3 + 65_536), second);
  assert.notStrictEqual(reader.generation(first), generation);
  assert.strictEqual(writer.claim(3 + 2 * 65_536), first);
});

for (const kind of ['growing', 'exact'] as const) {
  test(`a full ${kind} table finds every needle, whatever the keys, in few probes`, () => {
    const below = seededBelow(`${kind} table`);
    const arena = new Arena(createArena(256 * MIB));
    const needles = 50_000;
    const shapes: Record<string, (at: number) => number> = {
      'one block a blob': (at) => at * 16,
      'full blobs': (at) => at,
      'first full blobs, then single blocks': (at) => (at < needles / 2 ? at : at * 16),
      'every 64th sequence': (at) => at * 16 * 64,
      random: () => below(2 ** 29),
    };
    for (const [name, shape] of Object.entries(shapes)) {
      const table = IndexTable.make(arena, needles, 1, kind);
      const model = new Map<number, number>();
      const started = performance.now();
      for (let at = 0; at < needles; at++) {
        const key = shape(at);
        if (model.has(key)) continue;
        model.set(key, at);
        table.insert(key, { offset: at * 8, length: at + 1, session: 2 ** 40 + at, stamp: 0 });
      }
      for (const [key, at] of model) {
        const slot = table.find(key);
        assert.ok(slot >= 0, `${name}: ${key}`);
        assert.strictEqual(table.key(slot), key);
        assert.strictEqual(table.offset(slot), at * 8);
        assert.strictEqual(table.length(slot), at + 1);
        assert.strictEqual(table.session(slot), 2 ** 40 + at);
        if (at % 3 === 0) table.markDead(slot);
      }
      for (const [key, at] of model) assert.strictEqual(table.find(key) === -2, at % 3 === 0);
      for (let at = 0; at < 1000; at++) {
        const key = below(2 ** 29);
        if (!model.has(key)) assert.strictEqual(table.find(key), -1);
      }
      // A table that degenerates takes minutes for this.
      assert.ok(performance.now() - started < 3000, `${name}: slow`);
      let living = 0;
      for (let from = 0; from < table.capacity; from += 1000) {
        table.forEachLive(from, 1000, () => {
          living++;
        });
      }
      assert.strictEqual(living, [...model.values()].filter((at) => at % 3 !== 0).length);
      const [known] = model.keys();
      assert.ok(!table.insert(known!, { offset: 8, length: 1, session: 0, stamp: 0 }), 'a key enters once');
      table.free();
    }
  });
}

test('a needle is warm when it was touched in this epoch or the last, and epochs end by bytes', () => {
  const arena = new Arena(createArena(64 * MIB));
  const table = IndexTable.make(arena, 10, 1, 'growing');
  table.insert(0, { offset: 64, length: 1, session: 0, stamp: 0 });
  const slot = table.find(0);
  assert.ok(!table.isWarm(slot), 'a start knows nothing of the page cache');
  table.touch(slot);
  const epoch = arena.epoch;
  assert.ok(table.isWarm(slot));
  while (arena.epoch === epoch) arena.touched(2 ** 30);
  assert.ok(table.isWarm(slot));
  while (arena.epoch === epoch + 1) arena.touched(2 ** 30);
  assert.ok(!table.isWarm(slot));
});
