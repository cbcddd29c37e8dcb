// Values for any codec, from its shape.

import fc from 'fast-check';
import type { Shape } from '../../proto/codec.js';

const SMALL = 200;

export function arbitraryOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'uint':
      return fc.oneof(
        fc.maxSafeNat().map((value) => value % (shape.max + 1)),
        fc.constantFrom(0, 127, 128, shape.max).map((value) => Math.min(value, shape.max)),
      );
    case 'int':
      return fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
    case 'bool':
      return fc.boolean();
    case 'bytes':
      return fc.uint8Array({ maxLength: Math.min(shape.max, SMALL) }).map((value) => Buffer.from(value));
    case 'byteString':
      return fc.uint8Array({ maxLength: Math.min(shape.max, SMALL) }).map((value) => Buffer.from(value).latin1Slice());
    case 'text':
      return fc
        .string({ unit: 'grapheme', maxLength: SMALL })
        .filter((value) => Buffer.byteLength(value, 'utf8') <= shape.max);
    case 'list':
      return fc.array(arbitraryOf(shape.of), { maxLength: Math.min(shape.max, 5) });
    case 'optional':
      return fc.option(arbitraryOf(shape.of), { nil: null });
    case 'struct':
      return fc.record(
        Object.fromEntries(Object.entries(shape.fields).map(([name, field]) => [name, arbitraryOf(field)])),
        { noNullPrototype: true },
      );
  }
}

/** Seed of a randomised test: printed by fast-check when it fails, taken back from the environment. */
export const seeded = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };
