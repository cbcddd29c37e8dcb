// Percent-encoding between the text of a request and the bytes of keys, and the canonical forms that SigV4 signs
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html: unreserved characters stand as they
// are, every other byte is %XX in upper case, a space is %20).

import { Buffer } from 'node:buffer';
import type { ByteString } from '../../../proto/codec.js';
import { S3Error } from '../errors.js';

const NEEDS_DECODING = /[%+\u0080-\uffff]/;
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const UNRESERVED_OR_SLASH = /^[A-Za-z0-9\-._~/]*$/;

const encoded: string[] = [];
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(byte);
  encoded.push(UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** UTF-8 bytes of a text as a byte string. */
export function toBytes(text: string): ByteString {
  return /[\u0080-\uffff]/.test(text) ? Buffer.from(text, 'utf8').latin1Slice() : text;
}

/** The text that bytes of UTF-8 stand for; a wrong sequence becomes U+FFFD. */
export function toText(bytes: ByteString): string {
  return /[\u0080-\u00ff]/.test(bytes) ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
}

/** Bytes of a part of a path. Throws InvalidURI on a `%` that two hexadecimal digits do not follow. */
export function decodePath(text: string): ByteString {
  return NEEDS_DECODING.test(text) ? decode(text, '+') : text;
}

/** Bytes of a name or value of a query, in which `+` is a space. */
export function decodeQuery(text: string): ByteString {
  return NEEDS_DECODING.test(text) ? decode(text, ' ') : text;
}

function decode(text: string, plus: string): ByteString {
  const bytes = toBytes(text);
  let result = '';
  for (let at = 0; at < bytes.length; at++) {
    const character = bytes[at]!;
    if (character === '+') {
      result += plus;
    } else if (character !== '%') {
      result += character;
    } else {
      const high = hexDigit(bytes.charCodeAt(at + 1));
      const low = hexDigit(bytes.charCodeAt(at + 2));
      if (!(high >= 0 && low >= 0)) throw new S3Error('InvalidURI');
      result += String.fromCharCode(high * 16 + low);
      at += 2;
    }
  }
  return result;
}

function encode(bytes: ByteString, plain: RegExp, slash: string): string {
  if (plain.test(bytes)) return bytes;
  let result = '';
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes.charCodeAt(at);
    result += byte === 0x2f ? slash : encoded[byte]!;
  }
  return result;
}

export function encodePath(bytes: ByteString): string {
  return encode(bytes, UNRESERVED_OR_SLASH, '/');
}

export function encodeQuery(bytes: ByteString): string {
  return encode(bytes, UNRESERVED, '%2F');
}

/** Names and values of a query, decoded, in the order given. */
export class Query {
  readonly names: ByteString[] = [];
  readonly values: ByteString[] = [];

  constructor(raw: string) {
    if (raw === '') return;
    let start = 0;
    while (start <= raw.length) {
      const next = raw.indexOf('&', start);
      const end = next < 0 ? raw.length : next;
      if (end > start) this.piece(raw, start, end);
      start = end + 1;
    }
  }

  private piece(raw: string, start: number, end: number): void {
    const equals = raw.indexOf('=', start);
    const split = equals < 0 || equals >= end ? end : equals;
    this.names.push(decodeQuery(raw.slice(start, split)));
    this.values.push(split === end ? '' : decodeQuery(raw.slice(split + 1, end)));
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** The first value of a name; undefined if it is not there, '' if it has no value. */
  get(name: string): ByteString | undefined {
    const at = this.names.indexOf(name);
    return at < 0 ? undefined : this.values[at]!;
  }
}
