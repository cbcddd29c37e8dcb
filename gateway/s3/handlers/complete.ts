// CompleteMultipartUpload: the list of parts becomes an object; no byte is read. ETag and checksum of the whole follow
// from those of the parts.

import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import type { ByteString } from '../../../proto/codec.js';
import { encode } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  ChecksumAlgorithm,
  etagOf,
  type MetaOperations,
  type ObjectMeta,
  objectMetaCodec,
} from '../../../proto/meta/index.js';
import type { AnswerOf } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';
import { combineChecksums } from '../body/combine.js';
import { checksumOf } from '../body/digests.js';
import { readDocument } from '../body/document.js';
import { checksumHeader } from '../body/plan.js';
import { S3Error } from '../errors.js';
import { writeCondition } from '../http/conditions.js';
import type { Exchange } from '../http/exchange.js';
import { encodePath, toBytes } from '../http/uri.js';
import type { S3Service, Volume } from '../service.js';
import { childNodes, childText, type XmlNode } from '../xml/parse.js';
import { document, element, etagElement } from '../xml/writer.js';
import { ChecksumType, checksumElementName, checksumTypeName, encodeMeta, objectMetaOf } from './metadata.js';
import { uploadIdOf, uploadState } from './uploads.js';

interface NamedPart {
  readonly part: number;
  readonly etag: ByteString;
  /** The element with the part's checksum, by its name; '' where the client gave none. */
  readonly checksum: (name: string) => ByteString;
}

type StoredPart = AnswerOf<MetaOperations['uploadParts']>['parts'][number];

export async function completeUpload(x: Exchange, service: S3Service): Promise<void> {
  const upload = uploadIdOf(x);
  const condition = writeCondition(x.headers);
  const root = await readDocument(x, 'CompleteMultipartUpload', 'object');
  const volume = await service.volume(x);
  const parts = childNodes(root, 'Part').map(partOf);
  if (parts.length === 0 || parts.length > limits.multipartParts) throw new S3Error('MalformedXML');
  const etag = uploadEtag(parts);
  let attr: Attr;
  let meta: ObjectMeta;
  try {
    const state = await uploadState(x, service, volume);
    const stored = await storedParts(x, service, volume, parts);
    meta = wholeMeta(x, state.meta, parts, stored);
    const request = { upload, path: x.key, parts: parts.map(({ part, etag }) => ({ part, etag })) };
    const object = encodeMeta(meta);
    const answer = await service.channel.call('uploadComplete', volume.group, { ...request, etag, object, condition });
    attr = answer.attr;
  } catch (error) {
    attr = await completedBefore(x, service, volume, { error, etag });
    meta = objectMetaOf(attr);
  }
  let content = element('Location', `http://${toBytes(x.headers.get('host'))}/${x.bucket}/${encodePath(x.key)}`);
  content += element('Bucket', x.bucket) + element('Key', x.key) + etagElement(etagOf(attr)) + checksumXml(meta);
  x.sendXml(200, document('CompleteMultipartUploadResult', content));
}

/** A client that lost the first answer asks again: the object that stands is the one it asked for. */
async function completedBefore(
  x: Exchange,
  service: S3Service,
  volume: Volume,
  { error, etag }: { error: unknown; etag: ByteString },
): Promise<Attr> {
  if (!(error instanceof OfsError) || error.status !== Status.NO_SUCH_UPLOAD) throw error;
  try {
    const { attr } = await service.read('objectHead', volume.group, { path: x.key });
    if (etagOf(attr) === etag) return attr;
  } catch (absent) {
    if (!(absent instanceof OfsError) || absent.status !== Status.NOENT) throw absent;
  }
  throw error;
}

function partOf(node: XmlNode): NamedPart {
  const number = childText(node, 'PartNumber')?.trim() ?? '';
  const etag = childText(node, 'ETag')
    ?.trim()
    .replace(/^"(.*)"$/, '$1');
  if (!/^\d{1,5}$/.test(number) || etag === undefined) throw new S3Error('MalformedXML');
  if (etag.length > 128) throw new S3Error('InvalidPart');
  return { part: Number(number), etag, checksum: (name) => childText(node, name)?.trim() ?? '' };
}

/** MD5 of the parts' MD5s, and how many there are. */
function uploadEtag(parts: readonly NamedPart[]): ByteString {
  const digests = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex')));
  return `${hash('md5', digests, 'hex')}-${parts.length}`;
}

/** What the service has of the parts that the client names, in the client's order. Throws InvalidPart. */
async function storedParts(
  x: Exchange,
  service: S3Service,
  volume: Volume,
  wanted: readonly NamedPart[],
): Promise<StoredPart[]> {
  const byNumber = new Map<number, StoredPart>();
  let after = 0;
  for (let more = true; more; ) {
    const request = { upload: uploadIdOf(x), path: x.key, after, limit: limits.listPageEntries };
    const page = await service.read('uploadParts', volume.group, request);
    for (const part of page.parts) byNumber.set(part.part, part);
    more = page.truncated && page.parts.length > 0;
    after = page.parts.at(-1)?.part ?? after;
  }
  return wanted.map(({ part, etag }, at) => {
    if (at > 0 && part <= wanted[at - 1]!.part) throw new S3Error('InvalidPartOrder');
    const stored = byNumber.get(part);
    if (stored === undefined || stored.etag !== etag) {
      throw new S3Error('InvalidPart', undefined, { PartNumber: String(part), ETag: etag });
    }
    return stored;
  });
}

/** The metadata of the whole: what the upload was begun with, and what follows from its parts. */
function wholeMeta(
  x: Exchange,
  begun: ObjectMeta,
  parts: readonly NamedPart[],
  stored: readonly StoredPart[],
): ObjectMeta {
  const meta: ObjectMeta = { ...begun, partCount: stored.length, partSizes: [] };
  const size = stored.reduce((sum, part) => sum + part.size, 0);
  const promisedSize = x.length('x-amz-mp-object-size');
  if (promisedSize >= 0 && promisedSize !== size) {
    throw new S3Error('InvalidRequest', `The parts have ${size} bytes, x-amz-mp-object-size says ${promisedSize}.`);
  }
  if (meta.checksumAlgorithm !== ChecksumAlgorithm.NONE) addChecksum(x, meta, parts, stored);
  if (stored.length <= limits.listPageEntries) {
    meta.partSizes = stored.map((part) => part.size);
    if (encode(objectMetaCodec, meta).length > limits.objectMetaBytes) meta.partSizes = [];
  }
  return meta;
}

function addChecksum(x: Exchange, meta: ObjectMeta, parts: readonly NamedPart[], stored: readonly StoredPart[]): void {
  const algorithm = meta.checksumAlgorithm;
  const name = checksumElementName(algorithm);
  const checksums = stored.map((part, at) => {
    const checksum = part.checksum.subarray(1);
    const given = parts[at]!.checksum(name);
    const isRight = given === '' || given === Buffer.from(checksum).toString('base64');
    if (part.checksum[0] !== algorithm || !isRight) {
      throw new S3Error('InvalidPart', undefined, { PartNumber: String(part.part) });
    }
    return { checksum, size: part.size };
  });
  meta.checksum =
    meta.checksumType === ChecksumType.FULL_OBJECT
      ? combineChecksums(algorithm, checksums)
      : checksumOf(algorithm, Buffer.concat(checksums.map(({ checksum }) => checksum)));
  const promised = x.headers.get(checksumHeader(algorithm)).replace(/-\d+$/, '');
  if (promised !== '' && promised !== Buffer.from(meta.checksum).toString('base64')) throw new S3Error('BadDigest');
}

function checksumXml(meta: ObjectMeta): ByteString {
  if (meta.checksumAlgorithm === ChecksumAlgorithm.NONE) return '';
  const suffix = meta.checksumType === ChecksumType.COMPOSITE ? `-${meta.partCount}` : '';
  const value = Buffer.from(meta.checksum).toString('base64') + suffix;
  return element(checksumElementName(meta.checksumAlgorithm), value) + element('ChecksumType', checksumTypeName(meta));
}
