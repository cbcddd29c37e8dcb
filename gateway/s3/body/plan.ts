// What the head of a request says of its body: how long it is, how it is encoded, and what it must hash to.

import { Buffer } from 'node:buffer';
import { limits } from '../../../proto/limits.js';
import { ChecksumAlgorithm } from '../../../proto/meta/index.js';
import { UNSIGNED_PAYLOAD } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';
import type { Exchange } from '../http/exchange.js';

export interface BodyPlan {
  /** Bytes of content; -1 where the client does not say (Transfer-Encoding: chunked). */
  readonly length: number;
  readonly maxBytes: number;
  /** aws-chunked: chunks with signatures, and whether trailers follow the last. */
  readonly chunked: { readonly signed: boolean; readonly trailers: boolean } | undefined;
  /** What x-amz-content-sha256 promises, in hexadecimal; '' if nothing. */
  readonly sha256: string;
  /** What Content-MD5 promises. */
  readonly md5: Buffer | undefined;
  /** A ChecksumAlgorithm, which may be wanted though nothing is promised. */
  readonly algorithm: number;
  /** What a header promises. */
  readonly checksum: Buffer | undefined;
  /** The promise comes in the trailers. */
  readonly trailing: boolean;
}

const algorithms: readonly { readonly name: string; readonly algorithm: number; readonly bytes: number }[] = [
  { name: 'CRC32', algorithm: ChecksumAlgorithm.CRC32, bytes: 4 },
  { name: 'CRC32C', algorithm: ChecksumAlgorithm.CRC32C, bytes: 4 },
  { name: 'CRC64NVME', algorithm: ChecksumAlgorithm.CRC64NVME, bytes: 8 },
  { name: 'SHA1', algorithm: ChecksumAlgorithm.SHA1, bytes: 20 },
  { name: 'SHA256', algorithm: ChecksumAlgorithm.SHA256, bytes: 32 },
];

/** The name S3 gives an algorithm; '' for none. */
export function algorithmName(algorithm: number): string {
  return algorithms.find((entry) => entry.algorithm === algorithm)?.name ?? '';
}

/** The algorithm of a name in any case. Throws InvalidRequest for another. */
export function algorithmOf(name: string): number {
  const entry = algorithms.find((candidate) => candidate.name === name.toUpperCase());
  if (entry === undefined) {
    throw new S3Error('InvalidRequest', 'Checksum algorithm provided is unsupported. Please try again.');
  }
  return entry.algorithm;
}

/** `x-amz-checksum-crc32` of an algorithm. */
export function checksumHeader(algorithm: number): string {
  return `x-amz-checksum-${algorithmName(algorithm).toLowerCase()}`;
}

/** Bytes of a base64 value of exactly that length; undefined if it is not one. */
export function decodeBase64(text: string, bytes: number): Buffer | undefined {
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === text ? decoded : undefined;
}

/** The checksum that a header gives for an algorithm. Throws InvalidRequest for one that cannot be. */
export function parseChecksum(algorithm: number, text: string): Buffer {
  const { bytes } = algorithms.find((entry) => entry.algorithm === algorithm)!;
  const value = decodeBase64(text, bytes);
  if (value === undefined) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  }
  return value;
}

/** The one x-amz-checksum-* header of a request. */
export function givenChecksum(x: Exchange): { algorithm: number; checksum: Buffer | undefined } {
  let algorithm: number = ChecksumAlgorithm.NONE;
  let checksum: Buffer | undefined;
  for (const name of x.headers.names) {
    if (!name.startsWith('x-amz-checksum-') || name.endsWith('-mode') || name.endsWith('-type')) continue;
    if (name === 'x-amz-checksum-algorithm') continue;
    if (checksum !== undefined) {
      throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header.');
    }
    algorithm = algorithmOf(name.slice('x-amz-checksum-'.length));
    checksum = parseChecksum(algorithm, x.headers.get(name));
  }
  return { algorithm, checksum };
}

function trailerAlgorithm(x: Exchange): number {
  const names = x.headers.get('x-amz-trailer').toLowerCase().split(',');
  const checksums = names.map((name) => name.trim()).filter((name) => name.startsWith('x-amz-checksum-'));
  if (checksums.length > 1) throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- trailer.');
  return checksums[0] === undefined
    ? ChecksumAlgorithm.NONE
    : algorithmOf(checksums[0].slice('x-amz-checksum-'.length));
}

function encodingOf(payload: string): Pick<BodyPlan, 'chunked' | 'sha256'> {
  switch (payload) {
    case UNSIGNED_PAYLOAD:
      return { chunked: undefined, sha256: '' };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { chunked: { signed: true, trailers: false }, sha256: '' };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { chunked: { signed: true, trailers: true }, sha256: '' };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { chunked: { signed: false, trailers: true }, sha256: '' };
    default:
      if (/^[0-9a-fA-F]{64}$/.test(payload)) return { chunked: undefined, sha256: payload.toLowerCase() };
      if (payload.startsWith('STREAMING-')) throw new S3Error('NotImplemented', `Payloads of ${payload}.`);
      throw new S3Error(
        'InvalidArgument',
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, ' +
          'STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
      );
  }
}

export interface PlanOptions {
  readonly maxBytes: number;
  /** Whose x-amz-checksum-* headers are: of the body, or of an object that the body only speaks about. */
  readonly checksumOf: 'body' | 'object';
}

/** Reads the plan from an authenticated request. Throws S3Error. */
export function bodyPlan(x: Exchange, { maxBytes, checksumOf }: PlanOptions): BodyPlan {
  const { chunked, sha256 } = encodingOf(x.claim.payload);
  const length = x.length(chunked === undefined ? 'content-length' : 'x-amz-decoded-content-length');
  if (length < 0 && (chunked !== undefined || !x.headers.has('transfer-encoding'))) {
    throw new S3Error('MissingContentLength');
  }
  if (length > maxBytes) throw tooLarge(length, maxBytes);
  const md5Text = x.headers.get('content-md5');
  const md5 = md5Text === '' ? undefined : decodeBase64(md5Text, 16);
  if (md5 === undefined && x.headers.has('content-md5')) throw new S3Error('InvalidDigest');
  const promised = checksumOf === 'body' ? promisedChecksum(x, chunked?.trailers === true) : nothingPromised;
  return { length, maxBytes, chunked, sha256, md5, ...promised };
}

export function tooLarge(size: number, maxBytes: number): S3Error {
  return new S3Error('EntityTooLarge', undefined, { ProposedSize: String(size), MaxSizeAllowed: String(maxBytes) });
}

type Promised = Pick<BodyPlan, 'algorithm' | 'checksum' | 'trailing'>;
const nothingPromised: Promised = { algorithm: ChecksumAlgorithm.NONE, checksum: undefined, trailing: false };

function promisedChecksum(x: Exchange, trailers: boolean): Promised {
  const given = givenChecksum(x);
  const trailing = trailers ? trailerAlgorithm(x) : ChecksumAlgorithm.NONE;
  if (given.checksum !== undefined && trailing !== ChecksumAlgorithm.NONE) {
    throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header or trailer.');
  }
  if (given.checksum !== undefined) return { ...given, trailing: false };
  if (trailing !== ChecksumAlgorithm.NONE) return { algorithm: trailing, checksum: undefined, trailing: true };
  if (x.headers.get('x-amz-sdk-checksum-algorithm') !== '') {
    throw new S3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  return nothingPromised;
}

/** For the body of a PUT, which becomes an object or a part. */
export const UPLOAD: PlanOptions = { maxBytes: limits.s3PartBytes, checksumOf: 'body' };
