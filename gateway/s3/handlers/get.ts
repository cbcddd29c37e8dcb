// GET and HEAD of an object. Where metadata and bytes are at hand everything happens in the request's first turn, with
// one write to the socket; otherwise the same steps wait.

import { Buffer } from 'node:buffer';
import type { OpenObject, PathFs } from '../../../client/pathfs/interface.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, etagOf } from '../../../proto/meta/index.js';
import { S3Error } from '../errors.js';
import { conditionFails, objectConditions, type Range, rangeOf } from '../http/conditions.js';
import { parseHttpDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';
import { checksumBlock, objectBlock, objectMetaOf } from './metadata.js';
import { streamObject } from './stream.js';

/** Small objects pass through this one buffer: the server has copied or sent it when the answer's call returns. */
const small = Buffer.allocUnsafeSlow(limits.syncReadBytes);

export function getObject(x: Exchange, service: S3Service): void | Promise<void> {
  refuseVersion(x);
  const volume = service.volumeSync(x);
  if (volume === undefined) return getWaiting(x, service);
  const pathfs = service.pathfs(volume);
  const object = pathfs.openSync(x.key);
  return object === undefined ? openWaiting(x, service, pathfs) : answer(x, service, pathfs, object);
}

async function getWaiting(x: Exchange, service: S3Service): Promise<void> {
  return openWaiting(x, service, service.pathfs(await service.volume(x)));
}

async function openWaiting(x: Exchange, service: S3Service, pathfs: PathFs): Promise<void> {
  return answer(x, service, pathfs, await pathfs.open(x.key));
}

/** What of an object is to be sent, and with which headers. */
interface Reading {
  readonly range: Range;
  readonly status: 200 | 206;
  readonly block: string;
}

function answer(x: Exchange, service: S3Service, pathfs: PathFs, object: OpenObject): void | Promise<void> {
  const reading = readingOf(x, object.attr);
  const { start, end } = reading.range;
  const length = end - start;
  if (length === 0) return x.send(reading.status, reading.block);
  if (length <= limits.syncReadBytes) {
    const target = length === small.length ? small : small.subarray(0, length);
    if (pathfs.readSync(object, start, target)) return x.send(reading.status, reading.block, target);
  }
  return streamObject(x, service, pathfs, object, reading);
}

export function headObject(x: Exchange, service: S3Service): void | Promise<void> {
  refuseVersion(x);
  const volume = service.volumeSync(x);
  if (volume === undefined) return headWaiting(x, service);
  const pathfs = service.pathfs(volume);
  const attr = pathfs.headSync(x.key);
  return attr === undefined ? pathfs.head(x.key).then((found) => answerHead(x, found)) : answerHead(x, attr);
}

async function headWaiting(x: Exchange, service: S3Service): Promise<void> {
  answerHead(x, await service.pathfs(await service.volume(x)).head(x.key));
}

function answerHead(x: Exchange, attr: Attr): void {
  const reading = readingOf(x, attr);
  x.sendHead(reading.status, reading.block, reading.range.end - reading.range.start);
}

/** There is one version of an object, which AWS calls `null`. */
export function refuseVersion(x: Exchange): void {
  if (x.rawQuery.indexOf('versionId') < 0) return;
  const version = x.query.get('versionId');
  if (version !== undefined && version !== 'null')
    throw new S3Error('NoSuchVersion', undefined, { VersionId: version });
}

function readingOf(x: Exchange, attr: Attr): Reading {
  const failed = conditionFails(x.headers, objectConditions, etagOf(attr), attr.mtime.sec);
  let block = objectBlock(x, attr);
  if (failed === 'NotModified') throw new S3Error('NotModified', undefined, { headers: block });
  if (failed !== '') throw new S3Error(failed);
  const part = x.rawQuery.indexOf('partNumber') < 0 ? undefined : x.query.get('partNumber');
  const partRange = part === undefined ? undefined : rangeOfPart(attr, part);
  if (partRange !== undefined) {
    const count = objectMetaOf(attr).partCount;
    if (count > 0) block += `\r\nx-amz-mp-parts-count: ${count}`;
  }
  const range = partRange ?? rangeOf(rangeHeader(x, attr), attr.size);
  if (range === undefined) {
    if (attr.object.length > 0 && x.headers.get('x-amz-checksum-mode').toUpperCase() === 'ENABLED') {
      block += checksumBlock(objectMetaOf(attr));
    }
    return { range: { start: 0, end: attr.size }, status: 200, block };
  }
  if (attr.size > 0) block += `\r\nContent-Range: bytes ${range.start}-${range.end - 1}/${attr.size}`;
  return { range, status: 206, block };
}

/** Range, unless If-Range names another state of the object. */
function rangeHeader(x: Exchange, attr: Attr): string {
  const range = x.headers.get('range');
  if (range === '') return '';
  const condition = x.headers.get('if-range');
  if (condition === '' || condition === `"${etagOf(attr)}"`) return range;
  return parseHttpDate(condition) === attr.mtime.sec ? range : '';
}

function rangeOfPart(attr: Attr, text: string): Range {
  const part = Number(text);
  if (!/^\d{1,5}$/.test(text) || part < 1 || part > limits.multipartParts) {
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
  }
  const { partSizes, partCount } = objectMetaOf(attr);
  if (partCount === 0 && part === 1) return { start: 0, end: attr.size };
  if (part > partCount) throw new S3Error('InvalidPart');
  if (partSizes.length !== partCount) throw new S3Error('NotImplemented', 'partNumber of an object of so many parts.');
  let start = 0;
  for (let index = 0; index < part - 1; index++) start += partSizes[index]!;
  return { start, end: start + partSizes[part - 1]! };
}
