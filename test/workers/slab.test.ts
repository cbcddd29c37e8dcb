// The slab's allocator, against a model of which bytes are whose.

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../proto/limits.js';
import { createSlab, Slab, viewSlab } from '../../workers/index.js';
import { seedOf } from './random.js';

const MIB = 1 << 20;

function newSlab(mib = 16): Slab {
  return new Slab(createSlab(mib * MIB));
}

/** Takes everything, in the largest spans. */
function exhaust(slab: Slab): Buffer[] {
  const all: Buffer[] = [];
  for (let view = slab.allocate(limits.slabMaxBytes); view !== null; view = slab.allocate(limits.slabMaxBytes)) {
    all.push(view);
  }
  return all;
}

function assertDisjoint(views: readonly Buffer[]): void {
  const sorted = [...views].sort((one, other) => one.byteOffset - other.byteOffset);
  for (let index = 1; index < sorted.length; index++) {
    const before = sorted[index - 1]!;
    assert(before.byteOffset + before.length <= sorted[index]!.byteOffset, 'two spans overlap');
  }
}

test('spans never overlap, have the length asked for, and all memory comes back whole', () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: limits.slabMaxBytes }) }),
    fc.record({ take: fc.constantFrom(1, limits.slabMinBytes, limits.slabMinBytes + 1, limits.slabMaxBytes) }),
    fc.record({ give: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const slab = newSlab();
      const held: Buffer[] = [];
      for (const one of steps) {
        if ('take' in one) {
          const view = slab.allocate(one.take);
          if (view === null) continue;
          assert.strictEqual(view.length, one.take);
          assert.strictEqual(view.byteOffset % limits.slabMinBytes, 0);
          assert(view.byteOffset + view.length <= slab.shared.byteLength);
          held.push(view);
          assertDisjoint(held);
        } else if (held.length > 0) {
          slab.release(held.splice(one.give % held.length, 1)[0]!);
        }
      }
      for (const view of held) slab.release(view);
      assert.strictEqual(slab.usedBytes, 0);
      assert.strictEqual(exhaust(slab).length, slab.shared.byteLength / limits.slabMaxBytes);
    }),
    { seed: seedOf(), numRuns: 100 },
  );
});

test('a slab gives out all of its memory in the smallest spans, and then null', () => {
  const slab = newSlab();
  for (let unit = 0; unit < (16 * MIB) / limits.slabMinBytes; unit++) assert(slab.allocate(1), `unit ${unit}`);
  assert.strictEqual(slab.allocate(1), null);
  assert.strictEqual(slab.usedBytes, 16 * MIB);
});

test('releasing twice, a part of a span, an older view of it or bytes from elsewhere is an assert', () => {
  const slab = newSlab();
  const view = slab.allocate(100)!;
  assert.throws(() => slab.release(view.subarray(0, 50)), /not given out/);
  assert.throws(() => slab.release(newSlab().allocate(100)!), /not of this slab/);
  slab.release(view);
  assert.throws(() => slab.release(view), /not given out/);
  const again = slab.allocate(100)!;
  assert.strictEqual(again.byteOffset, view.byteOffset);
  assert.throws(() => slab.release(view), /not given out/);
  slab.release(again);
  assert.throws(() => slab.allocate(0), /impossible length/);
  assert.throws(() => slab.allocate(limits.slabMaxBytes + 1), /impossible length/);
});

test('another thread sees through offset and length what the owner wrote', () => {
  const slab = newSlab();
  slab.allocate(1);
  const view = slab.allocate(MIB)!;
  view.fill('orange');
  const part = view.subarray(6, 12);
  assert.strictEqual(viewSlab(slab.shared, slab.offsetOf(part), part.length).toString(), 'orange');
  assert.throws(() => viewSlab(slab.shared, slab.shared.byteLength - 1, 2), /outside/);
});

test('those who wait for space are served in their order, and newcomers stand behind them', async () => {
  const slab = newSlab();
  const held = exhaust(slab);
  const served: string[] = [];
  const done = new Promise<void>((resolve) => {
    const want = (name: string, bytes: number) => {
      const attempt = (): void => {
        const view = slab.allocate(bytes);
        if (view === null) {
          assert(slab.onSpace(attempt));
          return;
        }
        served.push(name);
        held.push(view);
        if (name === 'small') resolve();
        else if (name === 'large') want('newcomer', 1);
      };
      assert(slab.onSpace(attempt));
    };
    want('large', limits.slabMaxBytes);
    want('small', 1);
  });
  // Two halves of the largest span: after the first, the small one would fit and the large one not yet.
  slab.release(held.pop()!);
  assert.strictEqual(slab.allocate(1), null, 'a newcomer does not pass those who wait');
  await new Promise(setImmediate);
  assert.deepStrictEqual(served, ['large']);
  slab.release(held.shift()!);
  await done;
  assert.deepStrictEqual(served.slice(0, 2), ['large', 'small']);
});

test('one that needs much is not starved by many that need little', async () => {
  const slab = newSlab();
  const small: Buffer[] = [];
  for (let view = slab.allocate(1); view !== null; view = slab.allocate(1)) small.push(view);
  let large: Buffer | null = null;
  let passed = 0;
  const wantLarge = (): void => {
    large = slab.allocate(limits.slabMaxBytes);
    if (large === null) slab.onSpace(wantLarge);
  };
  slab.onSpace(wantLarge);
  const wantSmall = (): void => {
    if (slab.allocate(1) === null) slab.onSpace(wantSmall);
    else passed++;
  };
  for (let round = 0; round < 400 && large === null; round++) {
    wantSmall();
    slab.release(small.shift()!);
    await new Promise(setImmediate);
  }
  assert(large !== null, 'the large one never had its turn');
  assert.strictEqual(passed, 0, 'a small one went past the large one');
});

test('waiting without anything given out calls back, and waiters are bounded', async () => {
  const slab = newSlab();
  await new Promise<void>((resolve) => assert(slab.onSpace(resolve)));
  exhaust(slab);
  for (let waiter = 0; waiter < limits.slabWaiters; waiter++) assert(slab.onSpace(() => {}));
  assert.strictEqual(
    slab.onSpace(() => {}),
    false,
  );
});
