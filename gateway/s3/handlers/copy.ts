// CopyObject: within a volume the new object names the same blobs; from another bucket, under a condition on the
// target, or where the service says it is too much for one step, the bytes are read and written.

import type { OpenObject, PathFs } from '../../../client/pathfs/interface.js';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, etagOf, type ObjectMeta } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { Digests } from '../body/digests.js';
import { checksumHeader } from '../body/plan.js';
import { S3Error } from '../errors.js';
import { conditionFails, type Range, sourceConditions, writeCondition } from '../http/conditions.js';
import { isoDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import { checkedKey } from '../http/target.js';
import { decodePath, Query } from '../http/uri.js';
import { mayUse, type S3Service, type Volume } from '../service.js';
import { document, element, etagElement } from '../xml/writer.js';
import {
  ChecksumType,
  checksumElementName,
  checksumTypeName,
  encodeMeta,
  metaOfHeaders,
  objectMetaOf,
  refuseUnsupported,
} from './metadata.js';
import { tagsOfHeader } from './tags.js';

export interface CopySource {
  readonly volume: Volume;
  readonly pathfs: PathFs;
  readonly key: ByteString;
}

const NO_CONDITION = { ifNoneMatch: '', ifMatch: '' };

/** Reads x-amz-copy-source: `bucket/key`, percent-encoded, perhaps with a slash before and a version behind it. */
export async function copySource(x: Exchange, service: S3Service): Promise<CopySource> {
  const given = x.headers.get('x-amz-copy-source');
  const question = given.indexOf('?');
  const path = decodePath(question < 0 ? given : given.slice(0, question)).replace(/^\//, '');
  const slash = path.indexOf('/');
  if (slash <= 0 || slash === path.length - 1) {
    throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey');
  }
  if (question >= 0) {
    const version = new Query(given.slice(question + 1)).get('versionId');
    if (version !== undefined && version !== 'null') throw new S3Error('NoSuchVersion');
  }
  const volume = await service.anyVolume(path.slice(0, slash));
  if (!mayUse(x.identity.user, volume)) throw new S3Error('AccessDenied');
  return { volume, pathfs: service.pathfs(volume), key: checkedKey(path.slice(slash + 1)) };
}

/** Throws PreconditionFailed unless the conditions on the source hold. */
export function checkSource(x: Exchange, attr: Attr): void {
  if (conditionFails(x.headers, sourceConditions, etagOf(attr), attr.mtime.sec) !== '') {
    throw new S3Error('PreconditionFailed');
  }
}

export async function copyObject(x: Exchange, service: S3Service): Promise<void> {
  refuseUnsupported(x);
  const target = await service.volume(x);
  const source = await copySource(x, service);
  const condition = writeCondition(x.headers);
  const sameVolume = source.volume.group === target.group;
  const replaces = directive(x, 'x-amz-metadata-directive') || directive(x, 'x-amz-tagging-directive');
  if (sameVolume && source.key === x.key && !replaces) {
    throw new S3Error(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing its metadata.',
    );
  }
  const unconditional = condition.ifMatch === '' && condition.ifNoneMatch === '';
  const copied = sameVolume && unconditional ? await copyByName(x, service, source) : undefined;
  const attr = copied ?? (await copyByReading(x, service.pathfs(target), source, condition));
  const meta = objectMetaOf(attr);
  let content = `<LastModified>${isoDate(attr.mtime)}</LastModified>${etagElement(etagOf(attr))}`;
  if (meta.checksumAlgorithm !== 0 && meta.checksumType === ChecksumType.FULL_OBJECT) {
    content += element(checksumElementName(meta.checksumAlgorithm), Buffer.from(meta.checksum).toString('base64'));
    content += `<ChecksumType>${checksumTypeName(meta)}</ChecksumType>`;
  }
  x.sendXml(200, document('CopyObjectResult', content));
}

/** Whether a directive header says REPLACE; COPY is the default. */
function directive(x: Exchange, name: string): boolean {
  const value = x.headers.get(name);
  if (value === '' || value === 'COPY') return false;
  if (value === 'REPLACE') return true;
  throw new S3Error('InvalidArgument', `Unknown ${name.replace('x-amz-', '')}.`);
}

/** The metadata of the copy: what tells of the content is the source's, the rest as the directives say. */
function targetMeta(x: Exchange, source: Attr): ObjectMeta {
  const kept = objectMetaOf(source);
  if (directive(x, 'x-amz-metadata-directive')) {
    const given = metaOfHeaders(x);
    kept.contentType = given.contentType;
    kept.headers = given.headers;
    kept.user = given.user;
  }
  if (directive(x, 'x-amz-tagging-directive')) kept.tags = tagsOfHeader(x.headers.get('x-amz-tagging'));
  return kept;
}

/**
 * Undefined where the service refuses to do it in one step. The copy is bound to the state of the source that its
 * metadata was taken from: when that has gone meanwhile, it begins again.
 */
async function copyByName(x: Exchange, service: S3Service, source: CopySource): Promise<Attr | undefined> {
  for (let attempt = 0; attempt < limits.s3CopyAttempts; attempt++) {
    const attr = await source.pathfs.head(source.key);
    checkSource(x, attr);
    const meta = encodeMeta(targetMeta(x, attr));
    try {
      const answer = await service.channel.call('objectCopy', source.volume.group, {
        source: source.key,
        target: x.key,
        object: meta,
        sourceCondition: { ifNoneMatch: '', ifMatch: etagOf(attr) },
        uid: 0,
        gid: 0,
      });
      return answer.attr;
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      if (error.status === Status.FBIG) return undefined;
      if (error.status !== Status.PRECONDITION_FAILED) throw error;
    }
  }
  throw new S3Error('ConditionalRequestConflict');
}

async function copyByReading(
  x: Exchange,
  target: PathFs,
  source: CopySource,
  condition: typeof NO_CONDITION,
): Promise<Attr> {
  const object = await source.pathfs.open(source.key);
  checkSource(x, object.attr);
  if (object.attr.size > limits.s3PartBytes) throw new S3Error('EntityTooLarge');
  const meta = targetMeta(x, object.attr);
  const writer = target.createWriter(object.attr.size);
  try {
    const range = { start: 0, end: object.attr.size };
    const { md5 } = await pump(x, source.pathfs, object, { range, writer, checksum: 0 });
    const etag = md5.toString('hex');
    // What told of the parts of the source tells nothing of a copy that was written in one.
    meta.partSizes = [];
    meta.partCount = 0;
    if (meta.checksumType === ChecksumType.COMPOSITE) {
      meta.checksumAlgorithm = 0;
      meta.checksum = Buffer.alloc(0);
      meta.checksumType = 0;
    }
    return await target.put(x.key, writer, etag, { object: encodeMeta(meta), condition, uid: 0, gid: 0 });
  } catch (error) {
    writer.abort();
    throw error;
  }
}

interface PumpTarget {
  readonly range: Range;
  readonly writer: ReturnType<PathFs['createWriter']>;
  /** A ChecksumAlgorithm. */
  readonly checksum: number;
}

/** Reads a range of an object and writes it, with its digests. Stops when the client has gone. */
export async function pump(
  x: Exchange,
  pathfs: PathFs,
  object: OpenObject,
  { range, writer, checksum }: PumpTarget,
): Promise<{ md5: Buffer; checksum: Buffer }> {
  const digests = new Digests({ md5: true, sha256: false, checksum });
  const buffer = Buffer.allocUnsafeSlow(Math.min(limits.s3ReadPieceBytes, Math.max(1, range.end - range.start)));
  pathfs.hold(object);
  try {
    for (let offset = range.start; offset < range.end; ) {
      if (x.gone) throw new S3Error('IncompleteBody');
      const piece = buffer.subarray(0, Math.min(buffer.length, range.end - offset));
      await pathfs.read(object, offset, piece);
      digests.update(piece);
      offset += piece.length;
      if (!writer.write(piece)) await new Promise<void>((resolve) => writer.onDrain(resolve));
    }
  } finally {
    pathfs.unhold(object);
  }
  const made = digests.finish();
  return { md5: made.md5!, checksum: made.checksum ?? Buffer.alloc(0) };
}

/** `x-amz-checksum-…` header line of a copied part. */
export function checksumLine(algorithm: number, checksum: Buffer): string {
  return checksum.length === 0 ? '' : `\r\n${checksumHeader(algorithm)}: ${checksum.toString('base64')}`;
}
