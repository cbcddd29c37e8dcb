// Structures of fixed layout, described by the offset of each field. Reading checks the length once and throws
// DecodeError; writing covers every byte of the structure, so padding is zero. Reader and writer are compiled once and
// unrolled. Numbers are little-endian: the kernel speaks in the byte order of the host, and ours are little-endian.

import { DecodeError } from '../codec.js';

type Kind = 'u16' | 'u32' | 'i32' | 'id' | 'u64' | 'i64';

export interface Field {
  readonly kind: Kind;
  readonly offset: number;
}

const kind =
  (name: Kind) =>
  (offset: number): Field => ({ kind: name, offset });

export const u16 = kind('u16');
export const u32 = kind('u32');
export const i32 = kind('i32');
/** 64 bits that must be exact: node ids, handles, request numbers. Above 2^53-1: DecodeError. */
export const id = kind('id');
/** 64 bits as the nearest number: offsets and sizes, which whoever uses them checks against a limit. */
export const u64 = kind('u64');
export const i64 = kind('i64');

export interface Layout<T> {
  readonly bytes: number;
  readonly fields: Readonly<Record<string, Field>>;
  /** Throws DecodeError unless all of the structure lies in [at, end). */
  read(buffer: Buffer, at: number, end: number): T;
  /** Throws RangeError when the buffer ends before the structure does. */
  write(buffer: Buffer, at: number, value: T): void;
}

export type LayoutOf<L> = L extends Layout<infer T> ? T : never;

const WORD = 0x1_0000_0000;

export function readWord64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at + 4) * WORD + buffer.readUInt32LE(at);
}

function readId(buffer: Buffer, at: number): number {
  const value = readWord64(buffer, at);
  if (value > Number.MAX_SAFE_INTEGER) throw new DecodeError('64-bit identity above 2^53-1');
  return value;
}

function readSigned64(buffer: Buffer, at: number): number {
  return buffer.readInt32LE(at + 4) * WORD + buffer.readUInt32LE(at);
}

/** Two's complement; right for negative numbers too, because the division rounds down. */
function writeWord64(buffer: Buffer, at: number, value: number): void {
  const high = Math.floor(value / WORD);
  buffer.writeUInt32LE(value - high * WORD, at);
  buffer.writeUInt32LE(high >>> 0, at + 4);
}

function shortOf(bytes: number, have: number): never {
  throw new DecodeError(`structure of ${bytes} bytes, only ${have} are there`);
}

const widths: Record<Kind, number> = { u16: 2, u32: 4, i32: 4, id: 8, u64: 8, i64: 8 };

const readers: Record<Kind, string> = {
  u16: 'b.readUInt16LE',
  u32: 'b.readUInt32LE',
  i32: 'b.readInt32LE',
  id: 'readId',
  u64: 'readWord64',
  i64: 'readSigned64',
};

const writers: Record<Kind, string> = {
  u16: 'b.writeUInt16LE',
  u32: 'b.writeUInt32LE',
  i32: 'b.writeInt32LE',
  id: '',
  u64: '',
  i64: '',
};

/** A structure of `bytes` bytes. Fields may leave holes; they must not lie over each other or past the end. */
export function layout<F extends Record<string, Field>>(bytes: number, fields: F): Layout<{ [K in keyof F]: number }> {
  const entries = Object.entries(fields).sort((left, right) => left[1].offset - right[1].offset);
  let reached = 0;
  for (const [name, field] of entries) {
    const end = field.offset + widths[field.kind];
    if (field.offset < reached || end > bytes) throw new Error(`field ${name} lies over another or past the end`);
    reached = end;
  }
  const reads = entries.map(([name, { kind, offset }]) => {
    const call = readers[kind];
    return `${name}:${call.startsWith('b.') ? `${call}(a+${offset})` : `${call}(b,a+${offset})`}`;
  });
  const writes = entries.map(([name, { kind, offset }]) =>
    writers[kind] === '' ? `writeWord64(b,a+${offset},v.${name})` : `${writers[kind]}(v.${name},a+${offset})`,
  );
  const source = `return{
    read:(b,a,e)=>{if(e-a<${bytes})shortOf(${bytes},e-a);return{${reads.join(',')}}},
    write:(b,a,v)=>{b.fill(0,a,a+${bytes});${writes.join(';')}}}`;
  type T = { [K in keyof F]: number };
  const compiled = new Function('readId', 'readWord64', 'readSigned64', 'writeWord64', 'shortOf', source)(
    readId,
    readWord64,
    readSigned64,
    writeWord64,
    shortOf,
  ) as Pick<Layout<T>, 'read' | 'write'>;
  return { bytes, fields, read: compiled.read, write: compiled.write };
}
