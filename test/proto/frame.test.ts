import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../proto/codec.js';
import { emptyHeader, FRAME_HEADER_BYTES, FrameFlag, frameLength, writeHeader } from '../../proto/frame.js';
import { FrameAssembler } from '../../proto/frame-stream.js';
import { seeded } from './arbitrary.js';

interface Frame {
  kind: number;
  number: number;
  group: number;
  window: number;
  status: number;
  flags: number;
  body: Uint8Array;
  payload: Uint8Array;
}

const u32 = fc.nat().map((value) => value >>> 0);
const frameArbitrary: fc.Arbitrary<Frame> = fc.record(
  {
    kind: fc.nat({ max: 0xffff }),
    number: fc.maxSafeNat(),
    group: u32,
    window: u32,
    status: fc.nat({ max: 0xffff }),
    flags: fc.constantFrom(0, FrameFlag.ANSWER),
    body: fc.uint8Array({ maxLength: 300 }),
    payload: fc.uint8Array({ maxLength: 3000 }),
  },
  { noNullPrototype: true },
);

function bytesOf(frame: Frame): Buffer {
  const header = { ...emptyHeader(), ...frame, bodyLength: frame.body.length, payloadLength: frame.payload.length };
  const buffer = Buffer.alloc(frameLength(header));
  writeHeader(buffer, 0, header, frame.body);
  buffer.set(frame.body, FRAME_HEADER_BYTES);
  buffer.set(frame.payload, FRAME_HEADER_BYTES + frame.body.length);
  return buffer;
}

function collect(pieces: Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const assembler = new FrameAssembler((header, body, payload) => {
    const { kind, number, group, window, status, flags } = header;
    frames.push({
      kind,
      number,
      group,
      window,
      status,
      flags,
      body: new Uint8Array(body),
      payload: new Uint8Array(payload),
    });
  });
  for (const piece of pieces) assembler.push(piece);
  return frames;
}

function split(buffer: Buffer, cuts: number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (buffer.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((place, index) => buffer.subarray(place, places[index] ?? buffer.length));
}

test('frames come out as they went in, however the stream is split', () => {
  fc.assert(
    fc.property(fc.array(frameArbitrary, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, cuts) => {
      const stream = Buffer.concat(frames.map(bytesOf));
      assert.deepStrictEqual(collect(split(stream, cuts)), frames);
      assert.deepStrictEqual(collect(split(stream, Array.from(stream.keys()).slice(0, 100))), frames);
    }),
    seeded,
  );
});

test('a changed byte in header or body is refused', () => {
  fc.assert(
    fc.property(frameArbitrary, fc.nat(), fc.integer({ min: 1, max: 255 }), (frame, at, flip) => {
      const buffer = bytesOf({ ...frame, flags: 0 });
      const place = at % (FRAME_HEADER_BYTES + frame.body.length);
      buffer[place]! ^= flip;
      let frames: Frame[] = [];
      try {
        frames = collect([buffer]);
      } catch (error) {
        assert(error instanceof DecodeError);
        return;
      }
      // A length that grew waits for more bytes; nothing may have come out.
      assert.deepStrictEqual(frames, []);
    }),
    { numRuns: 500, ...seeded },
  );
});

test('random bytes never crash the reader of a stream', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (pieces) => {
      try {
        collect(pieces.map((piece) => Buffer.from(piece)));
      } catch (error) {
        assert(error instanceof DecodeError);
      }
    }),
    { numRuns: 500, ...seeded },
  );
});
