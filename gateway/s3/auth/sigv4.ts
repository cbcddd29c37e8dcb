// AWS Signature Version 4 for S3, headers and presigned URLs: what a request claims (`readClaim`), and whether the
// signature holds (`verifyClaim`). Pure: the clock and the key come from outside.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html

import { hash } from 'node:crypto';
import { limits } from '../../../proto/limits.js';
import { S3Error } from '../errors.js';
import { stampToMs } from '../http/dates.js';
import type { Headers } from '../http/headers.js';
import { decodePath, decodeQuery, encodePath, encodeQuery, type Query } from '../http/uri.js';
import { type HmacKey, sameSignature } from './hmac.js';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const EXPIRES_MAX_S = 604_800;

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** The parts of a request that a signature covers. `path` and `query` as they were sent. */
export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly rawQuery: string;
  readonly query: Query;
  readonly headers: Headers;
}

export interface Claim {
  readonly accessKey: string;
  /** YYYYMMDD of the credential's scope. */
  readonly date: string;
  readonly region: string;
  /** X-Amz-Date as it was sent. */
  readonly stamp: string;
  readonly signedHeaders: string;
  readonly signature: string;
  /** What stands for the hash of the body in the canonical request. */
  readonly payload: string;
  readonly presigned: boolean;
}

/** `date/region/s3/aws4_request`. */
export function scopeOf(claim: Claim): string {
  return `${claim.date}/${claim.region}/s3/aws4_request`;
}

/**
 * Reads who a request says it is from, and checks all of it that needs no key: form, age, headers that must be signed.
 * Throws S3Error; AccessDenied for a request that is not signed at all.
 */
export function readClaim(request: SignedRequest, nowMs: number): Claim {
  const authorization = request.headers.get('authorization');
  const presigned = request.query.has('X-Amz-Algorithm') || request.query.has('X-Amz-Signature');
  if (authorization !== '' && presigned) {
    throw new S3Error('InvalidArgument', 'Only one auth mechanism allowed: the Authorization header or the query.');
  }
  if (presigned) return presignedClaim(request, nowMs);
  if (authorization !== '') return headerClaim(request, authorization, nowMs);
  if (request.query.has('Signature') && request.query.has('AWSAccessKeyId')) throw unsupported();
  throw new S3Error('AccessDenied');
}

function unsupported(): S3Error {
  return new S3Error(
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  );
}

function headerClaim(request: SignedRequest, authorization: string, nowMs: number): Claim {
  if (!authorization.startsWith(ALGORITHM) || authorization[ALGORITHM.length] !== ' ') throw unsupported();
  const malformed = (message: string): S3Error => new S3Error('AuthorizationHeaderMalformed', message);
  let credential = '';
  let signedHeaders = '';
  let signature = '';
  for (const field of authorization.slice(ALGORITHM.length + 1).split(',')) {
    const equals = field.indexOf('=');
    const name = field.slice(0, equals).trim();
    const value = field.slice(equals + 1).trim();
    if (name === 'Credential') credential = value;
    else if (name === 'SignedHeaders') signedHeaders = value;
    else if (name === 'Signature') signature = value;
    else throw malformed(`The authorization header is malformed; it has an unknown field in "${field.trim()}".`);
  }
  if (credential === '' || signedHeaders === '' || signature === '') {
    throw malformed('The authorization header requires three components: Credential, SignedHeaders, and Signature.');
  }
  const stamp = headerStamp(request.headers);
  const claim = claimOf(
    { credential, signedHeaders, signature, stamp, payload: headerPayload(request.headers), presigned: false },
    malformed,
  );
  if (Math.abs(nowMs - stampToMs(stamp)) > limits.clockSkewMs) {
    throw new S3Error('RequestTimeTooSkewed', undefined, {
      RequestTime: stamp,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: String(limits.clockSkewMs),
    });
  }
  requireSigned(request.headers, signedHeaders, '');
  return claim;
}

/** X-Amz-Date, or Date in its place; AccessDenied where neither is there. */
function headerStamp(headers: Headers): string {
  const stamp = headers.get('x-amz-date');
  if (stamp !== '' && !Number.isNaN(stampToMs(stamp))) return stamp;
  const ms = Date.parse(stamp === '' ? headers.get('date') : stamp);
  if (Number.isNaN(ms)) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

function headerPayload(headers: Headers): string {
  const payload = headers.get('x-amz-content-sha256');
  if (payload === '') {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  return payload;
}

function presignedClaim(request: SignedRequest, nowMs: number): Claim {
  const { query, headers } = request;
  const malformed = (message: string): S3Error => new S3Error('AuthorizationQueryParametersError', message);
  if (query.get('X-Amz-Algorithm') !== ALGORITHM) {
    throw malformed(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
  }
  const credential = query.get('X-Amz-Credential') ?? '';
  const signedHeaders = query.get('X-Amz-SignedHeaders') ?? '';
  const signature = query.get('X-Amz-Signature') ?? '';
  const stamp = query.get('X-Amz-Date') ?? '';
  const expires = query.get('X-Amz-Expires') ?? '';
  if (credential === '' || signedHeaders === '' || signature === '' || stamp === '' || expires === '') {
    throw malformed(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, ' +
        'X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  }
  if (!/^-?\d{1,9}$/.test(expires)) throw malformed('X-Amz-Expires should be a number');
  if (Number(expires) > EXPIRES_MAX_S) {
    throw malformed('X-Amz-Expires must be less than a week (in seconds); that is, it must be less than 604800');
  }
  const payload = isSigned(signedHeaders, 'x-amz-content-sha256')
    ? headers.get('x-amz-content-sha256')
    : (query.get('X-Amz-Content-Sha256') ?? UNSIGNED_PAYLOAD);
  const claim = claimOf({ credential, signedHeaders, signature, stamp, payload, presigned: true }, malformed);
  const startMs = stampToMs(stamp);
  if (nowMs > startMs + Number(expires) * 1000) {
    throw new S3Error('AccessDenied', 'Request has expired', {
      'X-Amz-Expires': expires,
      Expires: new Date(startMs + Number(expires) * 1000).toISOString(),
      ServerTime: new Date(nowMs).toISOString(),
    });
  }
  if (startMs > nowMs + limits.clockSkewMs) throw new S3Error('AccessDenied', 'Request is not valid yet');
  requireSigned(headers, signedHeaders, 'x-amz-content-sha256');
  return claim;
}

function claimOf(
  fields: Pick<Claim, 'signedHeaders' | 'signature' | 'stamp' | 'payload' | 'presigned'> & { credential: string },
  malformed: (message: string) => S3Error,
): Claim {
  const { signedHeaders, signature, stamp, payload, presigned } = fields;
  const { accessKey, date, region } = credentialOf(fields.credential, malformed);
  if (Number.isNaN(stampToMs(stamp))) throw malformed('X-Amz-Date must be in the ISO8601 Long Format');
  if (!stamp.startsWith(date)) {
    throw malformed(`The Credential has the date "${date}", which does not match X-Amz-Date "${stamp}".`);
  }
  return { accessKey, date, region, stamp, signedHeaders, signature, payload, presigned };
}

type Credential = Pick<Claim, 'accessKey' | 'date' | 'region'>;

/** The last one taken apart: a client sends the same all day. */
let lastText = '';
let lastCredential: Credential = { accessKey: '', date: '', region: '' };

function credentialOf(text: string, malformed: (message: string) => S3Error): Credential {
  if (text === lastText) return lastCredential;
  const parts = text.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  if (parts.length < 5 || date?.length !== 8 || region === undefined) {
    throw malformed(
      `The Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request", not "${text}".`,
    );
  }
  if (service !== 's3') throw malformed(`The Credential has the service "${service}"; this endpoint belongs to "s3".`);
  if (terminator !== 'aws4_request') {
    throw malformed(`The Credential has the terminal "${terminator}"; the terminal must be "aws4_request".`);
  }
  lastText = text;
  lastCredential = { accessKey: parts.slice(0, -4).join('/'), date, region };
  return lastCredential;
}

function isSigned(signedHeaders: string, name: string): boolean {
  if (signedHeaders === 'host') return name === 'host';
  return signedHeaders === name || signedHeaders.split(';').includes(name);
}

/** Host and every x-amz-* header must be signed, or whoever carries a request could change what it asks. */
function requireSigned(headers: Headers, signedHeaders: string, except: string): void {
  const signed = signedHeaders === 'host' ? undefined : signedHeaders.split(';');
  if (signed !== undefined && !signed.includes('host')) {
    throw new S3Error('SignatureDoesNotMatch', 'The host header must be signed.');
  }
  for (const name of headers.names) {
    if (!name.startsWith('x-amz-') || name === except || signed?.includes(name)) continue;
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: name,
    });
  }
}

/**
 * Throws SignatureDoesNotMatch unless the claim's signature is the one of the request under `key`. Path and query
 * count in the form that AWS prescribes, and, where it was sent in another, also as it was sent: both name the same.
 */
export function verifyClaim(request: SignedRequest, claim: Claim, key: HmacKey): void {
  const tail = `\n${canonicalHeaders(request.headers, claim.signedHeaders)}\n${claim.signedHeaders}\n${claim.payload}`;
  const path = canonicalPath(request.path);
  const query = canonicalQuery(request.rawQuery, true);
  if (matches(`${request.method}\n${path}\n${query}${tail}`, claim, key)) return;
  const sentQuery = canonicalQuery(request.rawQuery, false);
  if (path !== request.path || query !== sentQuery) {
    if (matches(`${request.method}\n${request.path}\n${sentQuery}${tail}`, claim, key)) return;
  }
  throw new S3Error('SignatureDoesNotMatch', undefined, {
    AWSAccessKeyId: claim.accessKey,
    SignatureProvided: claim.signature,
    CanonicalRequest: `${request.method}\n${path}\n${query}${tail}`,
  });
}

function matches(canonical: string, claim: Claim, key: HmacKey): boolean {
  const message = `${ALGORITHM}\n${claim.stamp}\n${scopeOf(claim)}\n${hash('sha256', canonical, 'hex')}`;
  return sameSignature(key.sign(message), claim.signature);
}

const CANONICAL_PATH = /^[A-Za-z0-9\-._~/]*$/;
const CANONICAL_QUERY = /^(?:[A-Za-z0-9\-._~=&]|%[0-9A-F]{2})*$/;
const OWN_PIECE = 'X-Amz-Signature=';
const EQUALS = 0x3d;

/** Exported for the tests. */
export function canonicalPath(raw: string): string {
  return CANONICAL_PATH.test(raw) ? raw : encodePath(decodePath(raw));
}

/** The pieces of a query in order, without the signature; with `normalise` each encoded as AWS prescribes. */
export function canonicalQuery(raw: string, normalise: boolean): string {
  if (raw === '') return '';
  const isClean = !normalise || CANONICAL_QUERY.test(raw);
  if (isClean) {
    const ordered = withoutSignature(raw);
    if (ordered !== undefined) return ordered;
  }
  const pieces: string[] = [];
  for (const piece of raw.split('&')) {
    if (piece !== '' && !piece.startsWith(OWN_PIECE)) pieces.push(isClean ? withEquals(piece) : normalised(piece));
  }
  return pieces.sort(comparePieces).join('&');
}

/**
 * What most clients send needs no more than its signature cut off: pieces in order, each with its equals sign, the
 * signature last or not there. Undefined for anything else.
 */
function withoutSignature(raw: string): string | undefined {
  const cut = raw.lastIndexOf('&');
  const isSignature = raw.startsWith(OWN_PIECE, cut + 1);
  const end = isSignature ? Math.max(cut, 0) : raw.length;
  for (let start = 0, last = -1; start < end; ) {
    const next = raw.indexOf('&', start);
    const stop = next < 0 || next > end ? end : next;
    const equals = raw.indexOf('=', start);
    if (equals < 0 || equals >= stop || raw.startsWith(OWN_PIECE, start)) return undefined;
    if (last >= 0 && !isBefore(raw, last, start, stop)) return undefined;
    last = start;
    start = stop + 1;
    if (start === end) return undefined;
  }
  return raw.slice(0, end);
}

/** Whether the piece at `a`, which ends before the one at [b, end), may stand before it; decided by their names alone. */
function isBefore(raw: string, a: number, b: number, end: number): boolean {
  for (let at = 0; b + at < end; at++) {
    const left = raw.charCodeAt(a + at);
    const right = raw.charCodeAt(b + at);
    if (left === right) {
      if (left === EQUALS) return false;
    } else {
      return left === EQUALS || (right !== EQUALS && left < right);
    }
  }
  return false;
}

function withEquals(piece: string): string {
  return piece.includes('=') ? piece : `${piece}=`;
}

function normalised(piece: string): string {
  const equals = piece.indexOf('=');
  if (equals < 0) return `${encodeQuery(decodeQuery(piece))}=`;
  return `${encodeQuery(decodeQuery(piece.slice(0, equals)))}=${encodeQuery(decodeQuery(piece.slice(equals + 1)))}`;
}

/** By name, then by value: `a=` stands before `a-b=`, though `=` is above `-`. */
function comparePieces(a: string, b: string): number {
  const nameA = a.slice(0, a.indexOf('='));
  const nameB = b.slice(0, b.indexOf('='));
  if (nameA !== nameB) return nameA < nameB ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function canonicalHeaders(headers: Headers, signedHeaders: string): string {
  if (signedHeaders === 'host') return `host:${headers.get('host')}\n`;
  let result = '';
  for (const name of signedHeaders.split(';')) {
    const value = headers.joined(name) ?? '';
    result += `${name}:${/ {2}|^ | $/.test(value) ? value.trim().replace(/ +/g, ' ') : value}\n`;
  }
  return result;
}
