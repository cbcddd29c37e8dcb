// The formats of entries, messages and the log: they keep what they are given, and no bytes whatever make a decoder
// crash, hang, or read past its end.

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, decode, encode, type Reader, Writer } from '../../../proto/codec.js';
import { entryCodec, type Message, messageCodec } from '../../../proto/raft/index.js';
import {
  BATCH_HEADER_BYTES,
  batchBegins,
  emptyBatchHeader,
  groupStateCodec,
  RecordKind,
  readBatch,
  readRecords,
  sealBatch,
  writeMark,
  writeRecord,
} from '../../../proto/wal.js';

const u53 = fc.maxSafeNat();
const u32 = fc.nat({ max: 0xffffffff });
const entry = fc.record(
  {
    index: u53,
    term: u53,
    kind: fc.nat({ max: 255 }),
    payload: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);
const message: fc.Arbitrary<Message> = fc.record(
  {
    kind: fc.nat({ max: 255 }),
    from: u32,
    to: u32,
    term: u53,
    index: u53,
    logTerm: u53,
    commit: u53,
    reject: fc.boolean(),
    hintIndex: u53,
    hintTerm: u53,
    context: u53,
    entries: fc.array(entry, { maxLength: 4 }),
  },
  { noNullPrototype: true },
);

/** Runs a decoder and lets it fail in the one way it may. */
function tolerate(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
}

function batchOf(records: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  writer.ensure(BATCH_HEADER_BYTES);
  writer.position = BATCH_HEADER_BYTES;
  records(writer);
  const batch = writer.take();
  const header = emptyBatchHeader();
  Object.assign(header, {
    segment: 2 ** 40 + 3,
    offset: 4096,
    previousCrc: 0xdeadbeef,
    syncedSegment: 2 ** 33,
    syncedOffset: 17,
  });
  sealBatch(batch, header);
  return batch;
}

test('a message comes out of its codec as it went in, and no part of it does', () => {
  fc.assert(
    fc.property(message, (value) => {
      const bytes = encode(messageCodec, value);
      assert.deepStrictEqual(decode(messageCodec, bytes), value);
      for (let length = 0; length < bytes.length; length += 1 + (length >> 2)) {
        assert.throws(() => decode(messageCodec, bytes.subarray(0, length)), DecodeError);
      }
    }),
  );
});

test('random and mutated bytes are a message, an entry or a DecodeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      for (const codec of [messageCodec, entryCodec, groupStateCodec]) tolerate(() => decode<unknown>(codec, buffer));
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(message, fc.nat(), fc.nat({ max: 255 }), (value, at, byte) => {
      const buffer = encode(messageCodec, value);
      buffer[at % buffer.length] = byte;
      tolerate(() => decode(messageCodec, buffer));
    }),
    { numRuns: 5000 },
  );
});

test('a batch is read only whole, at its place, with every bit as it was written', () => {
  const batch = batchOf((writer) =>
    writeRecord(writer, 7, RecordKind.ENTRY, entryCodec, { index: 1, term: 2, kind: 0, payload: Buffer.from('abc') }),
  );
  const header = emptyBatchHeader();
  assert(readBatch(batch, 2 ** 40 + 3, 4096, header, 4096));
  assert.deepStrictEqual(header, {
    length: batch.length,
    crc: batch.readUInt32LE(4),
    previousCrc: 0xdeadbeef,
    segment: 2 ** 40 + 3,
    offset: 4096,
    syncedSegment: 2 ** 33,
    syncedOffset: 17,
  });
  assert.strictEqual(readBatch(batch, 2 ** 40 + 4, 4096, header, 4096), false, 'another segment');
  assert.strictEqual(readBatch(batch, 2 ** 40 + 3, 4097, header, 4097), false, 'another place');
  assert.strictEqual(readBatch(batch, 2 ** 40 + 3, 4096, header, 5000), false, 'before the buffer');
  for (let length = 0; length < batch.length; length++) {
    assert.strictEqual(readBatch(batch.subarray(0, length), 2 ** 40 + 3, 4096, header, 4096), false, `${length} bytes`);
  }
  for (let bit = 0; bit < batch.length * 8; bit++) {
    const mutated = Buffer.from(batch);
    mutated[bit >> 3]! ^= 1 << (bit & 7); // within its length
    assert.strictEqual(readBatch(mutated, 2 ** 40 + 3, 4096, header, 4096), false, `bit ${bit}`);
  }
});

test('no bytes make the readers of the log throw anything but DecodeError, or read past the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (bytes, offset) => {
      const buffer = Buffer.from(bytes);
      assert.strictEqual(readBatch(buffer, 1, offset, emptyBatchHeader()), false);
      assert.strictEqual(batchBegins(buffer, 1, offset), false);
      tolerate(() =>
        readRecords(buffer, 0, buffer.length, (kind, _group, body) => {
          if (kind === RecordKind.STATE) groupStateCodec.read(body);
          if (kind === RecordKind.ENTRY) entryCodec.read(body);
        }),
      );
    }),
    { numRuns: 5000 },
  );
});

test('records come back in order, and one that is cut short or runs on is refused', () => {
  const state = { term: 3, vote: 2, firstIndex: 9, previousTerm: 1 };
  const value = { index: 9, term: 3, kind: 1, payload: Buffer.from('x') };
  const writer = new Writer();
  writeRecord(writer, 1, RecordKind.STATE, groupStateCodec, state);
  const lengths = [writer.position];
  lengths.push(writeRecord(writer, 0xffffffff, RecordKind.ENTRY, entryCodec, value));
  writeMark(writer, 5, RecordKind.REMOVED);
  lengths.push(writer.position - lengths[0]! - lengths[1]!); // pushed above
  const read = (end: number): unknown[] => {
    const seen: unknown[] = [];
    readRecords(writer.buffer, 0, end, (kind, group, body: Reader, offset, length) => {
      const decoded =
        kind === RecordKind.STATE
          ? groupStateCodec.read(body)
          : kind === RecordKind.ENTRY
            ? entryCodec.read(body)
            : null;
      seen.push([kind, group, decoded, offset, length]);
    });
    return seen;
  };
  const [first, second, third] = lengths as [number, number, number];
  assert.deepStrictEqual(read(writer.position), [
    [RecordKind.STATE, 1, state, 0, first],
    [RecordKind.ENTRY, 0xffffffff, value, first, second],
    [RecordKind.REMOVED, 5, null, first + second, third],
  ]);
  const whole = new Set([0, first, first + second, first + second + third]);
  for (let end = 0; end <= writer.position; end++) {
    if (whole.has(end)) read(end);
    else assert.throws(() => read(end), DecodeError, `${end} bytes`);
  }
  writer.buffer[8] = 9;
  assert.throws(() => read(writer.position), /log record of kind 9/);
});
