import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeSlices, type Slice } from '../../proto/meta/index.js';
import { seeded } from './arbitrary.js';

const SPAN = 60;
const sliceArbitrary = fc
  .record({
    offset: fc.nat({ max: SPAN - 1 }),
    length: fc.integer({ min: 1, max: 30 }),
    blobOffset: fc.nat({ max: 9 }),
  })
  .map(({ offset, length, blobOffset }) => ({ offset, length: Math.min(length, SPAN - offset), blobOffset }));

test('merged slices show at every byte the newest slice that covers it', () => {
  fc.assert(
    fc.property(
      fc.array(sliceArbitrary, { maxLength: 12 }),
      fc.nat({ max: SPAN }),
      fc.nat({ max: SPAN }),
      (parts, a, b) => {
        const slices: Slice[] = parts.map((part, index) => ({ ...part, blob: (index + 1) * 16, blobLength: 100 }));
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        let at = start;
        for (const segment of mergeSlices(slices, start, end)) {
          assert.strictEqual(segment.offset, at, 'segments follow each other');
          for (let byte = at; byte < at + segment.length; byte++) {
            const top = slices.findLast((slice) => byte >= slice.offset && byte < slice.offset + slice.length);
            assert.strictEqual(segment.blob, top?.blob ?? 0);
            if (top !== undefined) {
              assert.strictEqual(segment.blobOffset + byte - segment.offset, top.blobOffset + byte - top.offset);
            }
          }
          at += segment.length;
        }
        assert.strictEqual(at, end);
      },
    ),
    { numRuns: 1000, ...seeded },
  );
});
