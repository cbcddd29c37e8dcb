// Multipart uploads: begin, list, abort. Parts are in parts.ts, completion in complete.ts.

import { Buffer } from 'node:buffer';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { ChecksumAlgorithm, type MetaOperations, type ObjectMeta, type Time } from '../../../proto/meta/index.js';
import type { AnswerOf } from '../../../proto/operation.js';
import { algorithmName, algorithmOf } from '../body/plan.js';
import { S3Error } from '../errors.js';
import { isoDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import { toBytes } from '../http/uri.js';
import type { S3Service, Volume } from '../service.js';
import { document, element, etagElement } from '../xml/writer.js';
import { ownerXml } from './buckets.js';
import { countParameter, delimiterXml, encodingElement, type KeyWriter, keyWriter } from './list.js';
import {
  ChecksumType,
  checksumElementName,
  checksumTypeName,
  decodeMeta,
  encodeMeta,
  metaOfHeaders,
  refuseUnsupported,
} from './metadata.js';
import { held } from './put.js';

const UPLOAD_ID = /^[A-Za-z0-9._~-]{1,64}$/;

/** The uploadId of a query. Throws NoSuchUpload for what cannot be one. */
export function uploadIdOf(x: Exchange): ByteString {
  const upload = x.query.get('uploadId') ?? '';
  if (!UPLOAD_ID.test(upload)) throw new S3Error('NoSuchUpload', undefined, { UploadId: upload });
  return upload;
}

export interface UploadState {
  readonly meta: ObjectMeta;
  readonly initiator: string;
}

/** What is known of an upload. Rejects with NoSuchUpload. */
export async function uploadState(x: Exchange, service: S3Service, volume: Volume): Promise<UploadState> {
  const info = await service.read('uploadInfo', volume.group, { upload: uploadIdOf(x), path: x.key });
  return { meta: decodeMeta(info.object), initiator: info.initiator };
}

export async function createUpload(x: Exchange, service: S3Service): Promise<void> {
  refuseUnsupported(x);
  const meta = metaOfHeaders(x);
  chooseChecksum(x, meta);
  const object = encodeMeta(meta);
  const volume = await held(x, service.volume(x));
  const request = { path: x.key, object, uid: 0, gid: 0, initiator: x.identity.user };
  const { upload } = await service.channel.call('uploadCreate', volume.group, request);
  const content = element('Bucket', x.bucket) + element('Key', x.key) + element('UploadId', upload);
  let block = '';
  if (meta.checksumAlgorithm !== ChecksumAlgorithm.NONE) {
    block = `\r\nx-amz-checksum-algorithm: ${algorithmName(meta.checksumAlgorithm)}`;
    block += `\r\nx-amz-checksum-type: ${checksumTypeName(meta)}`;
  }
  x.sendXml(200, document('InitiateMultipartUploadResult', content), block);
}

/** Which checksum the parts and the whole will have. */
function chooseChecksum(x: Exchange, meta: ObjectMeta): void {
  const name = x.headers.get('x-amz-checksum-algorithm');
  const type = x.headers.get('x-amz-checksum-type').toUpperCase();
  if (name === '') {
    if (type !== '') throw new S3Error('InvalidRequest', 'x-amz-checksum-type needs x-amz-checksum-algorithm.');
    return;
  }
  const algorithm = algorithmOf(name);
  const isSha = algorithm === ChecksumAlgorithm.SHA1 || algorithm === ChecksumAlgorithm.SHA256;
  const isNvme = algorithm === ChecksumAlgorithm.CRC64NVME;
  if (type !== '' && type !== 'COMPOSITE' && type !== 'FULL_OBJECT') {
    throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
  }
  if ((type === 'FULL_OBJECT' && isSha) || (type === 'COMPOSITE' && isNvme)) {
    throw new S3Error('InvalidRequest', `The ${type} checksum type cannot be used with the ${name} algorithm.`);
  }
  const isFull = type === '' ? isNvme : type === 'FULL_OBJECT';
  meta.checksumAlgorithm = algorithm;
  meta.checksumType = isFull ? ChecksumType.FULL_OBJECT : ChecksumType.COMPOSITE;
}

export async function abortUpload(x: Exchange, service: S3Service): Promise<void> {
  const upload = uploadIdOf(x);
  const volume = await service.volume(x);
  await service.channel.call('uploadAbort', volume.group, { upload, path: x.key });
  x.send(204, '');
}

export async function listParts(x: Exchange, service: S3Service): Promise<void> {
  const upload = uploadIdOf(x);
  const most = countParameter(x, 'max-parts', limits.listPageEntries);
  const after = countParameter(x, 'part-number-marker', Number.MAX_SAFE_INTEGER);
  const marker = x.query.has('part-number-marker') ? after : 0;
  const volume = await service.volume(x);
  const state = await uploadState(x, service, volume);
  const request = { upload, path: x.key, after: marker, limit: most };
  const page = most === 0 ? { parts: [], truncated: false } : await service.read('uploadParts', volume.group, request);
  let content = element('Bucket', x.bucket) + keyWriter(x)('Key', x.key) + element('UploadId', upload);
  content += ownerXml('Initiator', state.initiator) + ownerXml('Owner', volume.owner);
  content += `<StorageClass>STANDARD</StorageClass>${element('PartNumberMarker', marker)}`;
  content += element('NextPartNumberMarker', page.parts.at(-1)?.part ?? marker) + element('MaxParts', most);
  content += `<IsTruncated>${page.truncated}</IsTruncated>${encodingElement(x)}`;
  if (state.meta.checksumAlgorithm !== ChecksumAlgorithm.NONE) {
    content += element('ChecksumAlgorithm', algorithmName(state.meta.checksumAlgorithm));
    content += element('ChecksumType', checksumTypeName(state.meta));
  }
  for (const part of page.parts) {
    content += `<Part>${element('PartNumber', part.part)}<LastModified>${isoDate(part.modified)}</LastModified>`;
    content += `${etagElement(part.etag)}${element('Size', part.size)}${partChecksumXml(part.checksum)}</Part>`;
  }
  x.sendXml(200, document('ListPartsResult', content));
}

/** The checksum of a part as it is stored: a byte for the algorithm, then its value; nothing where there is none. */
export function encodePartChecksum(algorithm: number, checksum: Buffer): Buffer {
  return checksum.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(algorithm), checksum]);
}

function partChecksumXml(stored: Uint8Array): ByteString {
  if (stored.length === 0) return '';
  return element(checksumElementName(stored[0]!), Buffer.from(stored.subarray(1)).toString('base64'));
}

type Listed = AnswerOf<MetaOperations['uploadList']>['uploads'][number];

interface UploadsListing {
  readonly prefix: ByteString;
  readonly delimiter: ByteString;
  readonly limit: number;
}

interface UploadsPage {
  readonly uploads: Listed[];
  readonly prefixes: ByteString[];
  truncated: boolean;
  nextKey: ByteString;
  nextUpload: ByteString;
}

export async function listUploads(x: Exchange, service: S3Service): Promise<void> {
  const write = keyWriter(x);
  const keyMarker = x.query.get('key-marker') ?? '';
  const uploadMarker = keyMarker === '' ? '' : (x.query.get('upload-id-marker') ?? '');
  const listing: UploadsListing = {
    prefix: x.query.get('prefix') ?? '',
    delimiter: x.query.get('delimiter') ?? '',
    limit: countParameter(x, 'max-uploads', limits.listPageEntries),
  };
  const volume = await service.volume(x);
  const page = await uploadsPage(service, volume, listing, { key: keyMarker, upload: uploadMarker });
  let content = element('Bucket', x.bucket) + write('KeyMarker', keyMarker);
  content += element('UploadIdMarker', uploadMarker);
  if (page.truncated) content += write('NextKeyMarker', page.nextKey) + element('NextUploadIdMarker', page.nextUpload);
  content += write('Prefix', listing.prefix) + delimiterXml(listing.delimiter, write) + encodingElement(x);
  content += `${element('MaxUploads', listing.limit)}<IsTruncated>${page.truncated}</IsTruncated>`;
  for (const upload of page.uploads) content += uploadXml(upload, volume, write);
  for (const prefix of page.prefixes) content += `<CommonPrefixes>${write('Prefix', prefix)}</CommonPrefixes>`;
  x.sendXml(200, document('ListMultipartUploadsResult', content));
}

function uploadXml(upload: Listed, volume: Volume, write: KeyWriter): ByteString {
  const initiated = `<Initiated>${isoDate(upload.created as Time)}</Initiated>`;
  const people = ownerXml('Initiator', upload.initiator) + ownerXml('Owner', volume.owner);
  const names = write('Key', upload.key) + element('UploadId', toBytes(upload.upload));
  return `<Upload>${names}${people}<StorageClass>STANDARD</StorageClass>${initiated}</Upload>`;
}

/** Groups the service's list by the delimiter, reading on until a page is full. */
async function uploadsPage(
  service: S3Service,
  volume: Volume,
  { prefix, delimiter, limit }: UploadsListing,
  from: { key: ByteString; upload: ByteString },
): Promise<UploadsPage> {
  const page: UploadsPage = { uploads: [], prefixes: [], truncated: false, nextKey: '', nextUpload: '' };
  if (limit === 0) return page;
  let marker = from;
  for (let round = 0; round < limits.s3ListRounds; round++) {
    const request = { prefix, keyMarker: marker.key, uploadMarker: marker.upload, limit: limits.listPageEntries };
    const { uploads, truncated } = await service.read('uploadList', volume.group, request);
    for (const upload of uploads) {
      const cut = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length);
      const shown = cut < 0 ? '' : upload.key.slice(0, cut + delimiter.length);
      if (shown !== '' && (page.prefixes.at(-1) === shown || from.key.startsWith(shown))) continue;
      if (page.uploads.length + page.prefixes.length === limit) {
        page.truncated = true;
        return page;
      }
      if (shown === '') page.uploads.push(upload);
      else page.prefixes.push(shown);
      page.nextKey = shown === '' ? upload.key : shown;
      page.nextUpload = shown === '' ? upload.upload : '';
    }
    const last = uploads.at(-1);
    if (!truncated || last === undefined) return page;
    marker = { key: last.key, upload: last.upload };
  }
  page.truncated = true;
  page.nextKey = marker.key;
  page.nextUpload = marker.upload;
  return page;
}
