// Listings of a bucket: ListObjects (1 and 2) and ListObjectVersions, which for a bucket without versions is the same
// list in another form. The order of keys is the service's own; a page here is a page there.

import { Buffer } from 'node:buffer';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, etagOf, type MetaOperations } from '../../../proto/meta/index.js';
import type { AnswerOf } from '../../../proto/operation.js';
import { algorithmName } from '../body/plan.js';
import { S3Error } from '../errors.js';
import { isoDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import { encodePath } from '../http/uri.js';
import type { S3Service, Volume } from '../service.js';
import { document, element, escapeXml, etagElement } from '../xml/writer.js';
import { ownerXml } from './buckets.js';
import { checksumTypeName, objectMetaOf } from './metadata.js';

type Page = AnswerOf<MetaOperations['objectList']>;

/** How keys are written: escaped, or as encoding-type=url asks. */
export type KeyWriter = (name: string, key: ByteString) => ByteString;

export function keyWriter(x: Exchange): KeyWriter {
  const encoding = x.query.get('encoding-type');
  if (encoding === undefined || encoding === '') return element;
  if (encoding !== 'url') throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  return (name, key) => `<${name}>${encodePath(key)}</${name}>`;
}

export function encodingElement(x: Exchange): ByteString {
  return x.query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '';
}

/** A number of a query, at most `most`; `most` if it is not given. */
export function countParameter(x: Exchange, name: string, most: number): number {
  const text = x.query.get(name);
  if (text === undefined || text === '') return most;
  if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1) {
    throw new S3Error('InvalidArgument', `Argument ${name} must be an integer between 0 and 2147483647`, {
      ArgumentName: name,
      ArgumentValue: text,
    });
  }
  return Math.min(most, Number(text));
}

interface Listing {
  readonly prefix: ByteString;
  readonly delimiter: ByteString;
  readonly marker: ByteString;
  readonly limit: number;
}

const EMPTY: Page = { entries: [], prefixes: [], truncated: false, next: '' };

async function pageOf(service: S3Service, volume: Volume, listing: Listing): Promise<Page> {
  if (listing.limit === 0) return EMPTY;
  return service.read('objectList', volume.group, listing);
}

/** The same for clients that take an empty page for the end: goes on while pages are empty, within a bound. */
async function filledPage(service: S3Service, volume: Volume, listing: Listing): Promise<Page> {
  let page = await pageOf(service, volume, listing);
  for (let round = 0; round < limits.s3ListRounds; round++) {
    if (!page.truncated || page.entries.length + page.prefixes.length > 0) return page;
    page = await pageOf(service, volume, { ...listing, marker: page.next });
  }
  return page;
}

function contentsXml(page: Page, write: KeyWriter, owner: ByteString): ByteString {
  let xml = '';
  for (const { key, attr } of page.entries) {
    xml += `<Contents>${write('Key', key)}<LastModified>${isoDate(attr.mtime)}</LastModified>`;
    xml += `${etagElement(etagOf(attr))}<Size>${attr.size}</Size>${owner}`;
    xml += `${checksumElements(attr)}<StorageClass>STANDARD</StorageClass></Contents>`;
  }
  return xml;
}

function checksumElements(attr: Attr): ByteString {
  if (attr.object.length === 0) return '';
  const meta = objectMetaOf(attr);
  const name = algorithmName(meta.checksumAlgorithm);
  if (name === '') return '';
  return `<ChecksumAlgorithm>${name}</ChecksumAlgorithm><ChecksumType>${checksumTypeName(meta)}</ChecksumType>`;
}

function prefixesXml(prefixes: readonly ByteString[], write: KeyWriter): ByteString {
  return prefixes.map((prefix) => `<CommonPrefixes>${write('Prefix', prefix)}</CommonPrefixes>`).join('');
}

export async function listObjects(x: Exchange, service: S3Service): Promise<void> {
  const write = keyWriter(x);
  const listing: Listing = {
    prefix: x.query.get('prefix') ?? '',
    delimiter: x.query.get('delimiter') ?? '',
    marker: x.query.get('marker') ?? '',
    limit: countParameter(x, 'max-keys', limits.listPageEntries),
  };
  const volume = await service.volume(x);
  const page = await filledPage(service, volume, listing);
  const isEmpty = page.entries.length + page.prefixes.length === 0;
  const withNext = page.truncated && (listing.delimiter !== '' || isEmpty);
  let content = `${element('Name', x.bucket)}${write('Prefix', listing.prefix)}${write('Marker', listing.marker)}`;
  if (withNext) content += write('NextMarker', page.next);
  content += `${element('MaxKeys', listing.limit)}${delimiterXml(listing.delimiter, write)}`;
  content += `<IsTruncated>${page.truncated}</IsTruncated>${encodingElement(x)}`;
  content += contentsXml(page, write, ownerXml('Owner', volume.owner)) + prefixesXml(page.prefixes, write);
  x.sendXml(200, document('ListBucketResult', content));
}

export function delimiterXml(delimiter: ByteString, write: KeyWriter): ByteString {
  return delimiter === '' ? '' : write('Delimiter', delimiter);
}

/** A token is the marker in base64 behind a letter that says which form it has. */
const TOKEN_FORM = 'm';

function tokenOf(marker: ByteString): string {
  return TOKEN_FORM + Buffer.from(marker, 'latin1').toString('base64url');
}

function markerOf(token: string): ByteString {
  const marker = Buffer.from(token.slice(1), 'base64url').latin1Slice();
  if (tokenOf(marker) !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect', {
      ArgumentName: 'continuation-token',
    });
  }
  return marker;
}

export async function listObjectsV2(x: Exchange, service: S3Service): Promise<void> {
  const write = keyWriter(x);
  const token = x.query.get('continuation-token');
  const startAfter = x.query.get('start-after') ?? '';
  const listing: Listing = {
    prefix: x.query.get('prefix') ?? '',
    delimiter: x.query.get('delimiter') ?? '',
    marker: token === undefined || token === '' ? startAfter : markerOf(token),
    limit: countParameter(x, 'max-keys', limits.listPageEntries),
  };
  const volume = await service.volume(x);
  const page = await pageOf(service, volume, listing);
  const owner = x.query.get('fetch-owner') === 'true' ? ownerXml('Owner', volume.owner) : '';
  let content = `${element('Name', x.bucket)}${write('Prefix', listing.prefix)}`;
  if (token !== undefined) content += element('ContinuationToken', token);
  if (page.truncated) content += element('NextContinuationToken', tokenOf(page.next));
  if (startAfter !== '') content += write('StartAfter', startAfter);
  content += element('KeyCount', page.entries.length + page.prefixes.length) + element('MaxKeys', listing.limit);
  content += `${delimiterXml(listing.delimiter, write)}<IsTruncated>${page.truncated}</IsTruncated>`;
  content += encodingElement(x) + contentsXml(page, write, owner) + prefixesXml(page.prefixes, write);
  x.sendXml(200, document('ListBucketResult', content));
}

export async function listVersions(x: Exchange, service: S3Service): Promise<void> {
  const write = keyWriter(x);
  const listing: Listing = {
    prefix: x.query.get('prefix') ?? '',
    delimiter: x.query.get('delimiter') ?? '',
    marker: x.query.get('key-marker') ?? '',
    limit: countParameter(x, 'max-keys', limits.listPageEntries),
  };
  const volume = await service.volume(x);
  const page = await filledPage(service, volume, listing);
  const owner = ownerXml('Owner', volume.owner);
  let content = `${element('Name', x.bucket)}${write('Prefix', listing.prefix)}${write('KeyMarker', listing.marker)}`;
  content += `<VersionIdMarker>${escapeXml(x.query.get('version-id-marker') ?? '')}</VersionIdMarker>`;
  if (page.truncated) content += `${write('NextKeyMarker', page.next)}<NextVersionIdMarker>null</NextVersionIdMarker>`;
  content += `${element('MaxKeys', listing.limit)}${delimiterXml(listing.delimiter, write)}`;
  content += `<IsTruncated>${page.truncated}</IsTruncated>${encodingElement(x)}`;
  for (const { key, attr } of page.entries) {
    content += `<Version>${write('Key', key)}<VersionId>null</VersionId><IsLatest>true</IsLatest>`;
    content += `<LastModified>${isoDate(attr.mtime)}</LastModified>${etagElement(etagOf(attr))}`;
    content += `<Size>${attr.size}</Size><StorageClass>STANDARD</StorageClass>${owner}</Version>`;
  }
  x.sendXml(200, document('ListVersionsResult', content + prefixesXml(page.prefixes, write)));
}
