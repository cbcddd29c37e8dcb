// What S3 keeps of an object beyond its bytes: taken from the headers of a write, given back in the headers of a read.

import { Buffer } from 'node:buffer';
import { decode, encode } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  AttrFlag,
  ChecksumAlgorithm,
  etagOf,
  type ObjectMeta,
  objectMetaCodec,
} from '../../../proto/meta/index.js';
import { algorithmName, checksumHeader } from '../body/plan.js';
import { S3Error } from '../errors.js';
import { httpDate } from '../http/dates.js';
import { type Exchange, headerLine } from '../http/exchange.js';
import { tagsOfHeader } from './tags.js';

export const DEFAULT_CONTENT_TYPE = 'binary/octet-stream';

/** ChecksumType of ObjectMeta. */
export const ChecksumType = { FULL_OBJECT: 1, COMPOSITE: 2 } as const;

const keptHeaders = ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires'];
const USER_PREFIX = 'x-amz-meta-';

/** Headers that ask for something that is not there: to ignore one would be to lie about what was done. */
const refusedHeaders = [
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-website-redirect-location',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-write-offset-bytes',
  'x-amz-grant-full-control',
  'x-amz-grant-read',
  'x-amz-grant-read-acp',
  'x-amz-grant-write-acp',
];

/** An object of which nothing beyond its bytes is known. */
export function emptyMeta(): ObjectMeta {
  return {
    contentType: '',
    headers: [],
    user: [],
    checksumAlgorithm: ChecksumAlgorithm.NONE,
    checksum: Buffer.alloc(0),
    checksumType: 0,
    partSizes: [],
    partCount: 0,
    tags: '',
  };
}

/** Throws for what a write of an object asks and this gateway does not do. */
export function refuseUnsupported(x: Exchange): void {
  for (const name of refusedHeaders) {
    if (x.headers.has(name)) throw new S3Error('NotImplemented', `The header ${name} is not implemented.`);
  }
  const storageClass = x.headers.get('x-amz-storage-class');
  if (storageClass !== '' && storageClass !== 'STANDARD') throw new S3Error('InvalidStorageClass');
  refuseAcl(x);
}

/** Buckets have no ACLs: only the two that say nothing are taken, as AWS does for a bucket with owner enforced. */
export function refuseAcl(x: Exchange): void {
  const acl = x.headers.get('x-amz-acl');
  if (acl !== '' && acl !== 'private' && acl !== 'bucket-owner-full-control') {
    throw new S3Error('AccessControlListNotSupported');
  }
}

/** Reads the metadata headers of a write. Throws MetadataTooLarge. */
export function metaOfHeaders(x: Exchange): ObjectMeta {
  const meta = emptyMeta();
  meta.contentType = x.headers.get('content-type');
  for (const name of keptHeaders) {
    const value = name === 'content-encoding' ? contentEncoding(x) : x.headers.get(name);
    if (value !== '') meta.headers.push({ name, value });
  }
  let userBytes = 0;
  const { names } = x.headers;
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!;
    if (!name.startsWith(USER_PREFIX) || names.indexOf(name) !== at) continue;
    const value = x.headers.joined(name)!;
    userBytes += Buffer.byteLength(name) - USER_PREFIX.length + Buffer.byteLength(value);
    meta.user.push({ name: name.slice(USER_PREFIX.length), value });
  }
  if (userBytes > limits.s3UserMetadataBytes) {
    throw new S3Error('MetadataTooLarge', undefined, {
      Size: String(userBytes),
      MaxSizeAllowed: String(limits.s3UserMetadataBytes),
    });
  }
  meta.tags = tagsOfHeader(x.headers.get('x-amz-tagging'));
  return meta;
}

/** Without `aws-chunked`, which says how the request was sent and not what the object is. */
function contentEncoding(x: Exchange): string {
  const given = x.headers.get('content-encoding');
  if (!given.includes('aws-chunked')) return given;
  const kept = given.split(',').filter((item) => item.trim() !== 'aws-chunked');
  return kept.map((item) => item.trim()).join(', ');
}

/** The form in which metadata stores it; empty where there is nothing to store. */
export function encodeMeta(meta: ObjectMeta): Uint8Array {
  const plain =
    meta.contentType === '' &&
    meta.headers.length === 0 &&
    meta.user.length === 0 &&
    meta.tags === '' &&
    meta.checksumAlgorithm === ChecksumAlgorithm.NONE &&
    meta.partCount === 0;
  if (plain) return Buffer.alloc(0);
  const encoded = encode(objectMetaCodec, meta);
  if (encoded.length > limits.objectMetaBytes) throw new S3Error('MetadataTooLarge');
  return encoded;
}

export function decodeMeta(object: Uint8Array): ObjectMeta {
  if (object.length === 0) return emptyMeta();
  return decode(objectMetaCodec, Buffer.from(object.buffer, object.byteOffset, object.length));
}

/** What S3 said of an object. Checksums and parts are of the content that S3 wrote: after any other change they go. */
export function objectMetaOf(attr: Attr): ObjectMeta {
  const meta = decodeMeta(attr.object);
  if ((attr.flags & AttrFlag.S3_ETAG) !== 0) return meta;
  const { checksumAlgorithm, checksum, checksumType, partSizes, partCount } = emptyMeta();
  return { ...meta, checksumAlgorithm, checksum, checksumType, partSizes, partCount };
}

const overrides: readonly (readonly [string, string])[] = [
  ['cache-control', 'response-cache-control'],
  ['content-disposition', 'response-content-disposition'],
  ['content-encoding', 'response-content-encoding'],
  ['content-language', 'response-content-language'],
  ['expires', 'response-expires'],
];

/** The block of headers of a GET or HEAD of an object. */
export function objectBlock(x: Exchange, attr: Attr): string {
  const base = `\r\nETag: "${etagOf(attr)}"\r\nLast-Modified: ${httpDate(attr.mtime)}\r\nAccept-Ranges: bytes`;
  if (attr.object.length === 0 && x.rawQuery.indexOf('response-') < 0) {
    return `${base}\r\nContent-Type: ${DEFAULT_CONTENT_TYPE}`;
  }
  return base + storedBlock(x, objectMetaOf(attr));
}

function storedBlock(x: Exchange, meta: ObjectMeta): string {
  const type = x.query.get('response-content-type') ?? meta.contentType;
  let block = headerLine('Content-Type', type === '' ? DEFAULT_CONTENT_TYPE : type);
  for (const [name, override] of overrides) {
    const value = x.query.get(override) ?? meta.headers.find((header) => header.name === name)?.value;
    if (value !== undefined) block += headerLine(name, value);
  }
  for (const { name, value } of meta.user) block += headerLine(USER_PREFIX + name, value);
  if (meta.tags !== '') block += `\r\nx-amz-tagging-count: ${meta.tags.split('&').length}`;
  return block;
}

/** The headers that give a stored checksum, where there is one. */
export function checksumBlock(meta: ObjectMeta): string {
  if (meta.checksumAlgorithm === ChecksumAlgorithm.NONE) return '';
  const suffix = meta.checksumType === ChecksumType.COMPOSITE ? `-${meta.partCount}` : '';
  const value = Buffer.from(meta.checksum).toString('base64') + suffix;
  return `\r\n${checksumHeader(meta.checksumAlgorithm)}: ${value}\r\nx-amz-checksum-type: ${checksumTypeName(meta)}`;
}

export function checksumTypeName(meta: ObjectMeta): string {
  return meta.checksumType === ChecksumType.COMPOSITE ? 'COMPOSITE' : 'FULL_OBJECT';
}

/** `ChecksumCRC32` of an algorithm, the element that has its value. */
export function checksumElementName(algorithm: number): string {
  return `Checksum${algorithmName(algorithm)}`;
}
