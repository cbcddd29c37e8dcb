// Binary encoding by description. A codec says how one value is written and read; codecs are composed (struct, list,
// optional) and the TypeScript type of the value follows from the composition. Every format that is not a fixed header
// is described this way, so one property test and one fuzz test cover them all (`Codec.shape` tells the test what to
// generate). Integers are LEB128 varints up to 2^53-1 unless a name says a width. Decoding never reads past its
// buffer: it throws DecodeError. Decoded bytes are views into the buffer that was read.

import { Buffer } from 'node:buffer';

/** Thrown when bytes are not what the format says. */
export class DecodeError extends Error {
  override name = 'DecodeError';
}

/** A string whose characters are bytes (0 to 255): names and paths, compared and sorted as bytes. */
export type ByteString = string;

/** What a codec holds, for tests that generate values. */
export type Shape =
  | { kind: 'uint'; max: number }
  | { kind: 'int' }
  | { kind: 'bool' }
  | { kind: 'bytes'; max: number }
  | { kind: 'byteString'; max: number }
  | { kind: 'text'; max: number }
  | { kind: 'list'; of: Shape; max: number }
  | { kind: 'optional'; of: Shape }
  | { kind: 'struct'; fields: Record<string, Shape> };

export interface Codec<T> {
  readonly shape: Shape;
  write(writer: Writer, value: T): void;
  read(reader: Reader): T;
}

export type Decoded<C> = C extends Codec<infer T> ? T : never;

/** Appends to a buffer that grows by doubling up to `limit` bytes (then RangeError). Reusable by `reset`. */
export class Writer {
  buffer: Buffer;
  position = 0;

  constructor(
    capacity = 512,
    private readonly limit = 0x7fffffff,
  ) {
    this.buffer = Buffer.allocUnsafeSlow(capacity);
  }

  reset(): void {
    this.position = 0;
  }

  /** The bytes written so far, as a view that the next write may invalidate. */
  view(): Buffer {
    return this.buffer.subarray(0, this.position);
  }

  /** The bytes written so far, copied. */
  take(): Buffer {
    const copy = Buffer.allocUnsafe(this.position);
    this.buffer.copy(copy, 0, 0, this.position);
    return copy;
  }

  ensure(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    if (needed > this.limit) throw new RangeError(`encoding needs ${needed} bytes, the limit is ${this.limit}`);
    const grown = Buffer.allocUnsafeSlow(Math.min(this.limit, Math.max(needed, this.buffer.length * 2)));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  varint(value: number): void {
    this.ensure(8);
    const buffer = this.buffer;
    let position = this.position;
    let rest = value;
    while (rest >= 0x10000000) {
      buffer[position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.position = position;
  }

  byte(value: number): void {
    this.ensure(1);
    this.buffer[this.position++] = value;
  }

  uint32(value: number): void {
    this.ensure(4);
    this.position = this.buffer.writeUInt32LE(value, this.position);
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.ensure(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }

  byteString(value: ByteString): void {
    this.varint(value.length);
    this.ensure(value.length);
    this.position += this.buffer.latin1Write(value, this.position);
  }
}

/** Reads from `buffer[position, end)`. */
export class Reader {
  buffer: Buffer = Buffer.alloc(0);
  position = 0;
  end = 0;

  constructor(buffer?: Buffer) {
    if (buffer !== undefined) this.reset(buffer);
  }

  reset(buffer: Buffer, start = 0, end = buffer.length): this {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
    return this;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  varint(): number {
    const buffer = this.buffer;
    let position = this.position;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      if (position >= this.end) throw new DecodeError('integer runs past the end');
      const byte = buffer[position++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new DecodeError('integer above 2^53-1');
        this.position = position;
        return value;
      }
      scale *= 128;
    }
    throw new DecodeError('integer of more than 8 bytes');
  }

  byte(): number {
    if (this.position >= this.end) throw new DecodeError('byte past the end');
    return this.buffer[this.position++]!;
  }

  uint32(): number {
    if (this.end - this.position < 4) throw new DecodeError('word past the end');
    const value = this.buffer.readUInt32LE(this.position);
    this.position += 4;
    return value;
  }

  bytes(max: number): Buffer {
    const start = this.span(max);
    return this.buffer.subarray(start, this.position);
  }

  byteString(max: number): ByteString {
    const start = this.span(max);
    return this.buffer.latin1Slice(start, this.position);
  }

  private span(max: number): number {
    const length = this.varint();
    if (length > max) throw new DecodeError(`length ${length} over the limit ${max}`);
    const start = this.position;
    if (length > this.end - start) throw new DecodeError('bytes run past the end');
    this.position = start + length;
    return start;
  }
}

function uint(max: number): Codec<number> {
  return {
    shape: { kind: 'uint', max },
    write: (writer, value) => writer.varint(value),
    read: (reader) => {
      const value = reader.varint();
      if (value > max) throw new DecodeError(`integer ${value} over ${max}`);
      return value;
    },
  };
}

/** Unsigned integer, varint. */
export const u53: Codec<number> = uint(Number.MAX_SAFE_INTEGER);
export const u32: Codec<number> = uint(0xffffffff);
export const u16: Codec<number> = uint(0xffff);
export const u8: Codec<number> = uint(0xff);

/** Signed integer of up to 52 bits, zigzag varint (times before 1970). */
export const i52: Codec<number> = {
  shape: { kind: 'int' },
  write: (writer, value) => writer.varint(value < 0 ? -value * 2 - 1 : value * 2),
  read: (reader) => {
    const value = reader.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  },
};

/** Unsigned 32-bit word in 4 little-endian bytes: checksums, which a varint would lengthen. */
export const fixed32: Codec<number> = {
  shape: { kind: 'uint', max: 0xffffffff },
  write: (writer, value) => writer.uint32(value),
  read: (reader) => reader.uint32(),
};

export const bool: Codec<boolean> = {
  shape: { kind: 'bool' },
  write: (writer, value) => writer.byte(value ? 1 : 0),
  read: (reader) => {
    const value = reader.byte();
    if (value > 1) throw new DecodeError(`boolean is ${value}`);
    return value === 1;
  },
};

export function bytes(max: number): Codec<Uint8Array> {
  return {
    shape: { kind: 'bytes', max },
    write: (writer, value) => writer.bytes(value),
    read: (reader) => reader.bytes(max),
  };
}

export function byteString(max: number): Codec<ByteString> {
  return {
    shape: { kind: 'byteString', max },
    write: (writer, value) => writer.byteString(value),
    read: (reader) => reader.byteString(max),
  };
}

/** UTF-8 text (messages for people, bucket names); `max` in bytes. */
export function text(max: number): Codec<string> {
  return {
    shape: { kind: 'text', max },
    write: (writer, value) => writer.bytes(Buffer.from(value, 'utf8')),
    read: (reader) => reader.bytes(max).toString('utf8'),
  };
}

export function list<T>(of: Codec<T>, max: number): Codec<T[]> {
  return {
    shape: { kind: 'list', of: of.shape, max },
    write: (writer, value) => {
      writer.varint(value.length);
      for (const item of value) of.write(writer, item);
    },
    read: (reader) => {
      const length = reader.varint();
      if (length > max || length > reader.remaining) throw new DecodeError(`list of ${length} items over its limit`);
      const items: T[] = [];
      for (let index = 0; index < length; index++) items.push(of.read(reader));
      return items;
    },
  };
}

export function optional<T>(of: Codec<T>): Codec<T | null> {
  return {
    shape: { kind: 'optional', of: of.shape },
    write: (writer, value) => {
      writer.byte(value === null ? 0 : 1);
      if (value !== null) of.write(writer, value);
    },
    read: (reader) => (bool.read(reader) ? of.read(reader) : null),
  };
}

type Fields = Record<string, Codec<unknown>>;
export type StructOf<F> = { [K in keyof F]: F[K] extends Codec<infer T> ? T : never };

/**
 * Fields in the order given, nothing between them. Encoder and decoder are compiled once, unrolled, so that each struct
 * has call sites and an object shape of its own (a loop over fields would be megamorphic for every format at once).
 */
export function struct<F extends Fields>(fields: F): Codec<StructOf<F>> {
  const names = Object.keys(fields);
  const codecs = names.map((name) => (fields as Record<string, Codec<unknown>>)[name]!);
  const parameters = names.map((_, index) => `c${index}`).join(',');
  const writes = names.map((name, index) => `c${index}.write(w,v[${JSON.stringify(name)}]);`).join('');
  const reads = names.map((_, index) => `const v${index}=c${index}.read(r);`).join('');
  const result = names.map((name, index) => `${JSON.stringify(name)}:v${index}`).join(',');
  const compiled = new Function(parameters, `return{write:(w,v)=>{${writes}},read:(r)=>{${reads}return{${result}}}}`)(
    ...codecs,
  ) as Pick<Codec<StructOf<F>>, 'write' | 'read'>;
  const shapes = Object.fromEntries(names.map((name, index) => [name, codecs[index]!.shape]));
  return { shape: { kind: 'struct', fields: shapes }, write: compiled.write, read: compiled.read };
}

/** Encodes into a buffer of its own. */
export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new Writer();
  codec.write(writer, value);
  return writer.take();
}

/** Decodes a buffer that must hold exactly one value. Throws DecodeError. */
export function decode<T>(codec: Codec<T>, buffer: Buffer): T {
  const reader = new Reader(buffer);
  const value = codec.read(reader);
  if (reader.remaining !== 0) throw new DecodeError(`${reader.remaining} bytes after the value`);
  return value;
}
