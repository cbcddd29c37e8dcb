import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { blockOperations } from '../../proto/block/index.js';
import { type Codec, DecodeError, decode, encode } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import {
  chunkRowCodec,
  dentryCodec,
  linkRowCodec,
  metaOperations,
  objectMetaCodec,
  reclaimRowCodec,
  uploadPartRowCodec,
} from '../../proto/meta/index.js';
import { arbitraryOf, seeded } from './arbitrary.js';

const rows: Record<string, Codec<unknown>> = {
  linkRowCodec: linkRowCodec as Codec<unknown>,
  chunkRowCodec: chunkRowCodec as Codec<unknown>,
  objectMetaCodec: objectMetaCodec as Codec<unknown>,
  reclaimRowCodec: reclaimRowCodec as Codec<unknown>,
  uploadPartRowCodec: uploadPartRowCodec as Codec<unknown>,
};
const formats: [string, Codec<unknown>][] = Object.entries(rows);
for (const [name, operation] of [...Object.entries(metaOperations), ...Object.entries(blockOperations)]) {
  formats.push([`${name} request`, operation.request as Codec<unknown>]);
  formats.push([`${name} answer`, operation.answer as Codec<unknown>]);
}

test('every format gives back what was written', () => {
  for (const [name, codec] of formats) {
    const check = (value: unknown): void => assert.deepStrictEqual(decode(codec, encode(codec, value)), value, name);
    fc.assert(fc.property(arbitraryOf(codec.shape), check), { numRuns: 60, ...seeded });
  }
});

test('a dentry row gives back attributes or the inode of a hard link', () => {
  const attributes = arbitraryOf(linkRowCodec.shape).map((row) => (row as { attr: never }).attr);
  fc.assert(
    fc.property(attributes, fc.maxSafeNat(), (attr, inode) => {
      for (const dentry of [{ attr, link: 0 } as const, { attr: null, link: inode } as const]) {
        assert.deepStrictEqual(decode(dentryCodec, encode(dentryCodec, dentry)), dentry);
      }
    }),
    seeded,
  );
});

test('random and mutated bytes are refused by every format or decode within their bounds', () => {
  for (const [name, codec] of formats) {
    const good = arbitraryOf(codec.shape).map((value) => encode(codec, value));
    const mutated = fc.tuple(good, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([buffer, at, flip]) => {
      const copy = Buffer.from(buffer);
      if (copy.length > 0) copy[at % copy.length]! ^= flip;
      return copy;
    });
    const cut = fc.tuple(good, fc.nat()).map(([buffer, at]) => buffer.subarray(0, at % (buffer.length + 1)));
    const random = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value));
    fc.assert(
      fc.property(fc.oneof(mutated, cut, random), (buffer) => {
        try {
          decode(codec, buffer);
        } catch (error) {
          assert(error instanceof DecodeError, `${name}: ${error}`);
        }
      }),
      { numRuns: 60, ...seeded },
    );
  }
});

test('a list that claims more items than its bytes could hold is refused before memory is taken', () => {
  const claim = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x07]), Buffer.alloc(8)]);
  assert.throws(() => decode(blockOperations.blockDelete.request, claim), DecodeError);
  assert.throws(() => decode(chunkRowCodec, encode(chunkRowCodec, { slices: manySlices() })), DecodeError);
});

function manySlices() {
  const slice = { offset: 0, length: 1, blob: 16, blobOffset: 0, blobLength: 1 };
  return Array.from({ length: limits.slicesPerChunk + 1 }, () => slice);
}
