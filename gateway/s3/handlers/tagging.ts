// The tags of an object, and its attributes on request. Tags stand in the object's metadata: to change them is to copy
// the object onto itself with other metadata, bound to the state that was read.

import { limits } from '../../../proto/limits.js';
import { etagOf, type ObjectMeta } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { readDocument } from '../body/document.js';
import { S3Error } from '../errors.js';
import { httpDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';
import { childNodes, childText } from '../xml/parse.js';
import { document, element, escapeXml } from '../xml/writer.js';
import { refuseVersion } from './get.js';
import { ChecksumType, checksumElementName, checksumTypeName, encodeMeta, objectMetaOf } from './metadata.js';
import { held } from './put.js';
import { decodeTags, encodeTags, tagsXml } from './tags.js';

export async function getTagging(x: Exchange, service: S3Service): Promise<void> {
  refuseVersion(x);
  const attr = await service.pathfs(await service.volume(x)).head(x.key);
  x.sendXml(200, document('Tagging', tagsXml(decodeTags(objectMetaOf(attr).tags))));
}

export async function putTagging(x: Exchange, service: S3Service): Promise<void> {
  refuseVersion(x);
  const root = await readDocument(x, 'Tagging');
  const set = childNodes(root, 'TagSet')[0];
  const tags = (set === undefined ? [] : childNodes(set, 'Tag')).map((tag) => {
    const name = childText(tag, 'Key');
    if (name === undefined) throw new S3Error('MalformedXML');
    return { name, value: childText(tag, 'Value') ?? '' };
  });
  await setTags(x, service, encodeTags(tags));
  x.send(200, '');
}

export async function deleteTagging(x: Exchange, service: S3Service): Promise<void> {
  refuseVersion(x);
  await held(x, setTags(x, service, ''));
  x.send(204, '');
}

async function setTags(x: Exchange, service: S3Service, tags: ObjectMeta['tags']): Promise<void> {
  const volume = await service.volume(x);
  const pathfs = service.pathfs(volume);
  for (let attempt = 0; attempt < limits.s3CopyAttempts; attempt++) {
    const attr = await pathfs.head(x.key);
    const object = encodeMeta({ ...objectMetaOf(attr), tags });
    const sourceCondition = { ifNoneMatch: '', ifMatch: etagOf(attr) };
    try {
      const names = { source: x.key, target: x.key };
      await service.channel.call('objectCopy', volume.group, { ...names, object, sourceCondition, uid: 0, gid: 0 });
      return;
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      if (error.status === Status.FBIG) throw new S3Error('NotImplemented', 'Tags on an object of so many slices.');
      if (error.status !== Status.PRECONDITION_FAILED) throw error;
    }
  }
  throw new S3Error('ConditionalRequestConflict');
}

const attributeNames: ReadonlySet<string> = new Set(['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']);

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html */
export async function getObjectAttributes(x: Exchange, service: S3Service): Promise<void> {
  refuseVersion(x);
  const names = (x.headers.joined('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  if (names.some((name) => !attributeNames.has(name))) {
    throw new S3Error('InvalidArgument', 'Invalid attribute name specified.');
  }
  const attr = await service.pathfs(await service.volume(x)).head(x.key);
  const meta = objectMetaOf(attr);
  let content = '';
  if (names.includes('ETag')) content += `<ETag>${escapeXml(etagOf(attr))}</ETag>`;
  if (names.includes('Checksum') && meta.checksumAlgorithm !== 0)
    content += `<Checksum>${checksumXml(meta)}</Checksum>`;
  if (names.includes('ObjectParts') && meta.partCount > 0) content += partsXml(x, meta);
  if (names.includes('StorageClass')) content += '<StorageClass>STANDARD</StorageClass>';
  if (names.includes('ObjectSize')) content += element('ObjectSize', attr.size);
  x.sendXml(200, document('GetObjectAttributesResponse', content), `\r\nLast-Modified: ${httpDate(attr.mtime)}`);
}

function checksumXml(meta: ObjectMeta): string {
  const suffix = meta.checksumType === ChecksumType.COMPOSITE ? `-${meta.partCount}` : '';
  const value = Buffer.from(meta.checksum).toString('base64') + suffix;
  return element(checksumElementName(meta.checksumAlgorithm), value) + element('ChecksumType', checksumTypeName(meta));
}

function partsXml(x: Exchange, meta: ObjectMeta): string {
  const most = Number(x.headers.get('x-amz-max-parts') || limits.listPageEntries);
  const marker = Number(x.headers.get('x-amz-part-number-marker') || 0);
  if (!Number.isInteger(most) || !Number.isInteger(marker) || most < 0 || marker < 0) {
    throw new S3Error('InvalidArgument', 'x-amz-max-parts and x-amz-part-number-marker must be integers.');
  }
  const parts = meta.partSizes.slice(marker, marker + Math.min(most, limits.listPageEntries));
  let content = element('PartsCount', meta.partCount) + element('PartNumberMarker', marker);
  content += element('NextPartNumberMarker', marker + parts.length) + element('MaxParts', most);
  content += element('IsTruncated', String(marker + parts.length < meta.partSizes.length));
  parts.forEach((size, at) => {
    content += `<Part>${element('PartNumber', marker + at + 1)}${element('Size', size)}</Part>`;
  });
  return `<ObjectParts>${content}</ObjectParts>`;
}
