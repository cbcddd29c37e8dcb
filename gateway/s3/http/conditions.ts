// Conditions and ranges of reads (RFC 9110, sections 13 and 14, as S3 applies them).

import type { ByteString } from '../../../proto/codec.js';
import { S3Error } from '../errors.js';
import { parseHttpDate } from './dates.js';
import type { Headers } from './headers.js';

/** Names of the four headers that make a condition: of the object itself, or of the source of a copy. */
export interface ConditionHeaders {
  readonly match: string;
  readonly noneMatch: string;
  readonly modifiedSince: string;
  readonly unmodifiedSince: string;
}

export const objectConditions: ConditionHeaders = {
  match: 'if-match',
  noneMatch: 'if-none-match',
  modifiedSince: 'if-modified-since',
  unmodifiedSince: 'if-unmodified-since',
};

export const sourceConditions: ConditionHeaders = {
  match: 'x-amz-copy-source-if-match',
  noneMatch: 'x-amz-copy-source-if-none-match',
  modifiedSince: 'x-amz-copy-source-if-modified-since',
  unmodifiedSince: 'x-amz-copy-source-if-unmodified-since',
};

function etagListed(list: string, etag: string): boolean {
  if (list === '*') return true;
  for (const item of list.split(',')) {
    const bare = item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    if (bare === etag) return true;
  }
  return false;
}

/** What a condition says of an object with this ETag, changed at this second. */
export function conditionFails(
  headers: Headers,
  names: ConditionHeaders,
  etag: string,
  modifiedSec: number,
): '' | 'PreconditionFailed' | 'NotModified' {
  const match = headers.get(names.match);
  if (match !== '') {
    if (!etagListed(match, etag)) return 'PreconditionFailed';
  } else {
    const since = headers.get(names.unmodifiedSince);
    if (since !== '' && modifiedSec > parseHttpDate(since)) return 'PreconditionFailed';
  }
  const noneMatch = headers.get(names.noneMatch);
  if (noneMatch !== '') return etagListed(noneMatch, etag) ? 'NotModified' : '';
  const since = headers.get(names.modifiedSince);
  return since !== '' && modifiedSec <= parseHttpDate(since) ? 'NotModified' : '';
}

/** The conditions of a write, decided where it is committed. */
export function writeCondition(headers: Headers): { ifNoneMatch: ByteString; ifMatch: ByteString } {
  const ifNoneMatch = headers.get('if-none-match');
  if (ifNoneMatch !== '' && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', 'A write takes If-None-Match: * only.');
  }
  return { ifNoneMatch, ifMatch: writeEtag(headers.get('if-match')) };
}

function writeEtag(value: string): ByteString {
  const bare = value.trim().replace(/^"(.*)"$/, '$1');
  if (bare.length > 128 || /[^\x20-\x7e]/.test(bare)) throw new S3Error('PreconditionFailed');
  return bare;
}

/** Bytes [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range of a Range header. Undefined where there is none to obey: no header, several ranges (S3 serves all of
 * the object), or not of the form. Throws InvalidRange where it lies behind the end.
 */
export function rangeOf(header: string, size: number): Range | undefined {
  if (header === '') return undefined;
  const parts = /^bytes=\s*(\d{0,16})\s*-\s*(\d{0,16})\s*$/.exec(header);
  if (parts === null || (parts[1] === '' && parts[2] === '')) return undefined;
  let range: Range;
  if (parts[1] === '') {
    const suffix = Number(parts[2]);
    range = { start: Math.max(0, size - suffix), end: suffix === 0 ? 0 : size };
  } else {
    const start = Number(parts[1]);
    const last = parts[2] === '' ? size - 1 : Number(parts[2]);
    if (parts[2] !== '' && last < start) return undefined;
    range = { start, end: Math.min(size, last + 1) };
  }
  if (range.start >= range.end) {
    throw new S3Error('InvalidRange', undefined, {
      RangeRequested: header,
      ActualObjectSize: String(size),
      headers: `\r\nContent-Range: bytes */${size}`,
    });
  }
  return range;
}
