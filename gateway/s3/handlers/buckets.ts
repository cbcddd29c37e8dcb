// Buckets are volumes: made, found and deleted at the root group.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { readOptionalDocument } from '../body/document.js';
import { S3Error } from '../errors.js';
import { isoDate } from '../http/dates.js';
import { type Exchange, headerLine } from '../http/exchange.js';
import { validBucketName } from '../http/target.js';
import { toBytes } from '../http/uri.js';
import { mayUse, ROOT_GROUP, type S3Service, type Volume } from '../service.js';
import { childText } from '../xml/parse.js';
import { document, element } from '../xml/writer.js';
import { refuseAcl } from './metadata.js';
import { held } from './put.js';

export function ownerXml(name: string, user: string): ByteString {
  const id = toBytes(user);
  return `<${name}>${element('ID', id)}${element('DisplayName', id)}</${name}>`;
}

export async function listBuckets(x: Exchange, service: S3Service): Promise<void> {
  const prefix = x.query.get('prefix') ?? '';
  const most = Number(x.query.get('max-buckets') ?? limits.s3BucketsListed);
  if (!Number.isInteger(most) || most < 1 || most > limits.s3BucketsListed) {
    throw new S3Error('InvalidArgument', `max-buckets must be between 1 and ${limits.s3BucketsListed}.`);
  }
  let after = x.query.get('continuation-token') ?? '';
  const shown: Volume[] = [];
  let more = true;
  while (more && shown.length < most) {
    const page = await service.read('volumeList', ROOT_GROUP, { after, limit: limits.listPageEntries });
    more = page.truncated;
    for (const volume of page.volumes) {
      if (shown.length === most) {
        more = true;
        break;
      }
      after = volume.name;
      if (mayUse(x.identity.user, volume) && volume.name.startsWith(prefix)) shown.push(volume);
    }
    if (page.volumes.length === 0) break;
  }
  const buckets = shown.map((volume) => {
    return `<Bucket>${element('Name', toBytes(volume.name))}${element('CreationDate', isoDate(volume.created))}</Bucket>`;
  });
  const token = more ? element('ContinuationToken', toBytes(after)) : '';
  const content = `${ownerXml('Owner', x.identity.user)}<Buckets>${buckets.join('')}</Buckets>${token}`;
  x.sendXml(200, document('ListAllMyBucketsResult', content));
}

export async function createBucket(x: Exchange, service: S3Service): Promise<void> {
  if (!validBucketName(x.bucket)) throw new S3Error('InvalidBucketName', undefined, { BucketName: x.bucket });
  refuseAcl(x);
  if (x.headers.get('x-amz-bucket-object-lock-enabled').toLowerCase() === 'true') {
    throw new S3Error('NotImplemented', 'Object Lock is not implemented.');
  }
  const configuration = await readOptionalDocument(x, 'CreateBucketConfiguration');
  const constraint = configuration === undefined ? undefined : childText(configuration, 'LocationConstraint');
  if (constraint !== undefined && constraint !== '' && constraint !== toBytes(service.region)) {
    throw new S3Error('InvalidLocationConstraint', undefined, { LocationConstraint: constraint });
  }
  try {
    await service.channel.call('volumeCreate', ROOT_GROUP, { name: x.bucket, owner: x.identity.user });
  } catch (error) {
    if (!(error instanceof OfsError && error.status === Status.VOLUME_EXISTS)) throw error;
    await mayCreateAgain(x, service);
  }
  x.send(200, headerLine('Location', `/${x.bucket}`));
}

/** In us-east-1 to create one's own bucket again succeeds; everywhere else it is an error, as AWS has it. */
async function mayCreateAgain(x: Exchange, service: S3Service): Promise<void> {
  const volume = await service.anyVolume(x.bucket);
  const isOwn = volume.owner === x.identity.user;
  if (isOwn && service.region === 'us-east-1') return;
  throw new S3Error(isOwn ? 'BucketAlreadyOwnedByYou' : 'BucketAlreadyExists', undefined, { BucketName: x.bucket });
}

export async function headBucket(x: Exchange, service: S3Service): Promise<void> {
  await service.volume(x);
  x.sendHead(200, headerLine('x-amz-bucket-region', service.region), 0);
}

export async function deleteBucket(x: Exchange, service: S3Service): Promise<void> {
  const volume = await held(x, service.volume(x));
  const request = { prefix: '', delimiter: '', marker: '', limit: 1 };
  let page = await service.channel.call('objectList', volume.group, request);
  for (let round = 0; page.truncated && page.entries.length + page.prefixes.length === 0; round++) {
    if (round === limits.s3ListRounds) throw new S3Error('BucketNotEmpty', undefined, { BucketName: x.bucket });
    page = await service.channel.call('objectList', volume.group, { ...request, marker: page.next });
  }
  if (page.entries.length + page.prefixes.length > 0) {
    throw new S3Error('BucketNotEmpty', undefined, { BucketName: x.bucket });
  }
  await service.channel.call('volumeDelete', ROOT_GROUP, { name: x.bucket, force: false });
  x.send(204, '');
}

export async function getBucketLocation(x: Exchange, service: S3Service): Promise<void> {
  await service.volume(x);
  const region = service.region === 'us-east-1' ? '' : toBytes(service.region);
  x.sendXml(200, document('LocationConstraint', region));
}
