import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, Reader, Writer } from '../../../proto/codec.js';
import { ROW_KEY_BYTES, readWriteSet, writeDelete, writePut } from '../../../proto/meta/index.js';
import { seedOf } from './support.js';

const seed = seedOf('writeset.test');

const key = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes).latin1Slice());
const change = fc.tuple(key, fc.option(fc.uint8Array({ maxLength: 300 })));

function encoded(changes: readonly (readonly [string, Uint8Array | null])[]): Buffer {
  const writer = new Writer();
  for (const [at, value] of changes) {
    if (value === null) writeDelete(writer, at);
    else writePut(writer, at, value);
  }
  return writer.take();
}

test('a write set is read back as it was written', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const found: [string, Buffer | null][] = [];
      readWriteSet(new Reader(encoded(changes)), (at, value) => {
        found.push([at, value === undefined ? null : Buffer.from(value)]);
      });
      assert.deepStrictEqual(
        found,
        changes.map(([at, value]) => [at, value === null ? null : Buffer.from(value)]),
      );
    }),
    { seed, numRuns: 300 },
  );
});

test('a damaged write set is refused with DecodeError and never read past its end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const whole = Buffer.concat([Buffer.from(bytes), Buffer.from('behind')]);
      const reader = new Reader().reset(whole, 0, bytes.length);
      try {
        readWriteSet(reader, (at, value) => {
          assert.ok(at.length > 0 && at.length <= ROW_KEY_BYTES);
          assert.ok(value === undefined || value.byteOffset + value.length <= whole.byteOffset + bytes.length);
        });
      } catch (error) {
        assert.ok(error instanceof DecodeError);
      }
    }),
    { seed, numRuns: 2000 },
  );
  const long = encoded([['k'.repeat(ROW_KEY_BYTES + 1), null]]);
  assert.throws(() => readWriteSet(new Reader(long), () => undefined), DecodeError);
});
