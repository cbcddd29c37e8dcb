// The formats of the block store: what is written is read, and no bytes whatever make a decoder do worse than refuse.

import assert from 'node:assert';
import { test } from 'node:test';
import {
  blockOperations,
  dataFits,
  emptyIndexLine,
  emptyNeedleHeader,
  INDEX_LINE_WORDS,
  IndexKind,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  pieceChecksums,
  readIndexLine,
  readNeedleHeader,
  readSuperblock,
  SUPERBLOCK_BYTES,
  trailerFits,
  writeIndexLine,
  writeNeedleFrame,
  writeSuperblock,
} from '../../../proto/block/index.js';
import { DecodeError, decode } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { patternBytes, seededBelow } from './support.js';

const superblock = { volume: 0xfffffe, cookie: 0xdeadbeef, sealed: true, nextSequence: 33_000_000 };

test('a superblock is read as it was written, and refused with any bit flipped', () => {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  writeSuperblock(bytes, superblock);
  assert.deepStrictEqual(readSuperblock(bytes), superblock);
  for (let bit = 0; bit < SUPERBLOCK_BYTES * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => readSuperblock(flipped), DecodeError);
  }
});

test('an index line is read as it was written, and refused with any bit flipped or under another cookie', () => {
  const cookie = 0xcafebabe;
  const line = {
    kind: IndexKind.NEEDLE,
    blocks: 0,
    key: 2 ** 29 - 1,
    offset: 2 ** 33 + 8,
    length: limits.blockBytes,
    session: Number.MAX_SAFE_INTEGER,
  };
  const words = new Int32Array(INDEX_LINE_WORDS);
  writeIndexLine(words, 0, line, cookie);
  const back = emptyIndexLine();
  assert.ok(readIndexLine(words, 0, back, cookie));
  assert.deepStrictEqual(back, line);
  assert.ok(!readIndexLine(words, 0, back, cookie + 1));
  for (let bit = 0; bit < words.byteLength * 8; bit++) {
    const flipped = Int32Array.from(words);
    flipped[bit >> 5]! ^= 1 << (bit & 31);
    assert.ok(!readIndexLine(flipped, 0, back, cookie), `bit ${bit}`);
  }
  assert.ok(!readIndexLine(new Int32Array(INDEX_LINE_WORDS), 0, back, cookie), 'zeros are no line');
});

/** A needle as it lies on disk. */
function needle(data: Buffer): Buffer {
  const header = { tombstone: false, blocks: 0, id: 2 ** 29 + 5, cookie: 77, length: data.length, session: 12 };
  const frame = Buffer.alloc(needleBytes(data.length) - data.length);
  assert.strictEqual(writeNeedleFrame(frame, 0, header, pieceChecksums(data)), frame.length);
  return Buffer.concat([frame.subarray(0, NEEDLE_HEADER_BYTES), data, frame.subarray(NEEDLE_HEADER_BYTES)]);
}

function verifies(bytes: Buffer): boolean {
  const header = emptyNeedleHeader();
  if (!readNeedleHeader(bytes, 0, header)) return false;
  const end = NEEDLE_HEADER_BYTES + header.length;
  if (!trailerFits(bytes, 0, bytes, end)) return false;
  return dataFits(bytes.subarray(NEEDLE_HEADER_BYTES, end), 0, bytes, end);
}

test('a needle verifies as written and with no bit of its header, data or checksums flipped', () => {
  for (const length of [1, 8, 100, 70_000]) {
    const bytes = needle(patternBytes(length, length));
    assert.strictEqual(bytes.length % 8, 0);
    assert.ok(verifies(bytes));
    const checked = NEEDLE_HEADER_BYTES + length + pieceChecksums(patternBytes(length, length)).length * 4 + 4;
    const step = length > 1000 ? 997 : 1;
    for (let bit = 0; bit < checked * 8; bit += step) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.ok(!verifies(flipped), `length ${length}, bit ${bit}`);
    }
  }
});

test('random bytes never make a decoder throw anything but DecodeError', () => {
  const below = seededBelow('decoders');
  const sample = needle(patternBytes(200, 1));
  for (let round = 0; round < 20_000; round++) {
    const bytes = round % 2 === 0 ? patternBytes(below(300), round) : Buffer.from(sample.subarray(0, below(300)));
    if (bytes.length > 0) bytes[below(bytes.length)] = below(256);
    verifies(bytes);
    const words = new Int32Array(INDEX_LINE_WORDS).map(() => below(2 ** 32) | 0);
    words[0] = below(8);
    readIndexLine(words, 0, emptyIndexLine(), below(2 ** 32));
    const decoders = Object.values(blockOperations).flatMap(({ request, answer }) => [request, answer]);
    for (const read of [
      () => readSuperblock(bytes),
      ...decoders.map((codec) => () => decode<unknown>(codec as never, bytes)),
    ]) {
      try {
        read();
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }
  }
});
