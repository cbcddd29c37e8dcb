// The write set of a transaction as it goes through raft: the rows that it puts and deletes, never the operation, so
// that replicas write bytes and decide nothing. One after another until the payload ends:
//
//   varint  length of the key * 2, plus 1 when the row is deleted
//   bytes   key
//   varint  length of the value   } only when the row is put
//   bytes   value                 }

import type { Buffer } from 'node:buffer';
import { type ByteString, DecodeError, type Reader, type Writer } from '../codec.js';

/** Longest key of any table: an upload's path and id (proto/meta/rows.ts), or what tableScan can name. */
export const ROW_KEY_BYTES = 1200;

export function writePut(writer: Writer, key: ByteString, value: Uint8Array): void {
  writer.varint(key.length * 2);
  rawKey(writer, key);
  writer.bytes(value);
}

export function writeDelete(writer: Writer, key: ByteString): void {
  writer.varint(key.length * 2 + 1);
  rawKey(writer, key);
}

/**
 * Gives every change of a write set in order; `value` is undefined for a delete, else a view into the reader's buffer.
 * Throws DecodeError at the first damaged change, after those before it were given.
 */
export function readWriteSet(reader: Reader, change: (key: ByteString, value: Buffer | undefined) => void): void {
  while (reader.remaining > 0) {
    const head = reader.varint();
    const length = Math.floor(head / 2);
    if (length === 0 || length > ROW_KEY_BYTES) throw new DecodeError(`key of ${length} bytes in a write set`);
    if (length > reader.remaining) throw new DecodeError('key runs past the end of a write set');
    const key = reader.buffer.latin1Slice(reader.position, reader.position + length);
    reader.position += length;
    change(key, head % 2 === 1 ? undefined : reader.bytes(reader.remaining));
  }
}

function rawKey(writer: Writer, key: ByteString): void {
  writer.ensure(key.length);
  writer.position += writer.buffer.latin1Write(key, writer.position);
}
