// The answers of a bucket that has no versions, no policy, no rules and one owner: what AWS says of such a bucket, so
// that tools which look before they act go on.

import type { ByteString } from '../../../proto/codec.js';
import { readDocument, readOptionalDocument } from '../body/document.js';
import { type S3Code, S3Error } from '../errors.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';
import { childNodes, childText } from '../xml/parse.js';
import { document, element } from '../xml/writer.js';
import { ownerXml } from './buckets.js';
import { refuseAcl } from './metadata.js';

type Handler = (x: Exchange, service: S3Service) => Promise<void>;

/** Answers one document for every bucket. */
function always(root: string, content: ByteString): Handler {
  return async (x, service) => {
    await service.volume(x);
    x.sendXml(200, document(root, content));
  };
}

/** Answers that the bucket has no such configuration. */
function never(code: S3Code): Handler {
  return async (x, service) => {
    await service.volume(x);
    throw new S3Error(code, undefined, { BucketName: x.bucket });
  };
}

/** To delete what is not there succeeds. */
async function deleteNothing(x: Exchange, service: S3Service): Promise<void> {
  await service.volume(x);
  x.send(204, '');
}

function grantXml(user: string): ByteString {
  const grantee = ownerXml('Grantee', user).replace(
    '<Grantee>',
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">',
  );
  return `<Grant>${grantee}<Permission>FULL_CONTROL</Permission></Grant>`;
}

function aclXml(user: string): ByteString {
  return document(
    'AccessControlPolicy',
    `${ownerXml('Owner', user)}<AccessControlList>${grantXml(user)}</AccessControlList>`,
  );
}

async function getBucketAcl(x: Exchange, service: S3Service): Promise<void> {
  const volume = await service.volume(x);
  x.sendXml(200, aclXml(volume.owner));
}

async function getObjectAcl(x: Exchange, service: S3Service): Promise<void> {
  const volume = await service.volume(x);
  await service.pathfs(volume).head(x.key);
  x.sendXml(200, aclXml(volume.owner));
}

/** Takes the ACL that stands anyway: private, or full control for the owner alone. */
async function putAcl(x: Exchange, service: S3Service): Promise<void> {
  refuseAcl(x);
  const policy = await readOptionalDocument(x, 'AccessControlPolicy');
  const volume = await service.volume(x);
  if (x.key !== '') await service.pathfs(volume).head(x.key);
  const list = policy === undefined ? undefined : childNodes(policy, 'AccessControlList')[0];
  const grants = list === undefined ? [] : childNodes(list, 'Grant');
  const isOwners = grants.every((grant) => {
    const id = childNodes(grant, 'Grantee').map((grantee) => childText(grantee, 'ID'))[0];
    return id === volume.owner && childText(grant, 'Permission') === 'FULL_CONTROL';
  });
  if (!isOwners) throw new S3Error('AccessControlListNotSupported');
  x.send(200, '');
}

/** A bucket cannot have versions; to suspend them changes nothing. */
async function putVersioning(x: Exchange, service: S3Service): Promise<void> {
  const configuration = await readDocument(x, 'VersioningConfiguration');
  await service.volume(x);
  if (childText(configuration, 'Status') !== 'Suspended') {
    throw new S3Error('NotImplemented', 'Versioning is not implemented.');
  }
  x.send(200, '');
}

const ownership = '<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>';

export const bucketSubresources: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  accelerate: { GET: always('AccelerateConfiguration', '') },
  acl: { GET: getBucketAcl, PUT: putAcl },
  cors: { GET: never('NoSuchCORSConfiguration'), DELETE: deleteNothing },
  encryption: { GET: never('ServerSideEncryptionConfigurationNotFoundError'), DELETE: deleteNothing },
  lifecycle: { GET: never('NoSuchLifecycleConfiguration'), DELETE: deleteNothing },
  logging: { GET: always('BucketLoggingStatus', '') },
  notification: { GET: always('NotificationConfiguration', '') },
  'object-lock': { GET: never('ObjectLockConfigurationNotFoundError') },
  ownershipControls: { GET: always('OwnershipControls', ownership) },
  policy: { GET: never('NoSuchBucketPolicy'), DELETE: deleteNothing },
  policyStatus: { GET: never('NoSuchBucketPolicy') },
  publicAccessBlock: { GET: never('NoSuchPublicAccessBlockConfiguration'), DELETE: deleteNothing },
  replication: { GET: never('ReplicationConfigurationNotFoundError'), DELETE: deleteNothing },
  requestPayment: { GET: always('RequestPaymentConfiguration', element('Payer', 'BucketOwner')) },
  tagging: { GET: never('NoSuchTagSet'), DELETE: deleteNothing },
  versioning: { GET: always('VersioningConfiguration', ''), PUT: putVersioning },
  website: { GET: never('NoSuchWebsiteConfiguration'), DELETE: deleteNothing },
};

export const objectSubresources: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  acl: { GET: getObjectAcl, PUT: putAcl },
  retention: { GET: never('NoSuchObjectLockConfiguration') },
  'legal-hold': { GET: never('NoSuchObjectLockConfiguration') },
};
