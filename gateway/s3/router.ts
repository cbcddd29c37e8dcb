// Which operation a request is: method, whether it names a bucket or an object, and the subresource in its query.

import { S3Error } from './errors.js';
import { createBucket, deleteBucket, getBucketLocation, headBucket, listBuckets } from './handlers/buckets.js';
import { completeUpload } from './handlers/complete.js';
import { copyObject } from './handlers/copy.js';
import { deleteObject, deleteObjects } from './handlers/delete.js';
import { getObject, headObject } from './handlers/get.js';
import { listObjects, listObjectsV2, listVersions } from './handlers/list.js';
import { uploadPart, uploadPartCopy } from './handlers/parts.js';
import { putObject } from './handlers/put.js';
import { bucketSubresources, objectSubresources } from './handlers/subresources.js';
import { deleteTagging, getObjectAttributes, getTagging, putTagging } from './handlers/tagging.js';
import { abortUpload, createUpload, listParts, listUploads } from './handlers/uploads.js';
import type { Exchange } from './http/exchange.js';
import type { S3Service } from './service.js';

export type Handler = (x: Exchange, service: S3Service) => void | Promise<void>;

/** Handlers by method, for one subresource or for none (''). */
type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

const bucketRoutes: Routes = {
  ...bucketSubresources,
  '': { GET: listObjects, PUT: createBucket, HEAD: headBucket, DELETE: deleteBucket },
  location: { GET: getBucketLocation },
  versions: { GET: listVersions },
  delete: { POST: deleteObjects },
  uploads: { GET: listUploads },
};

/** A PUT with a source is a copy, of an object or into a part. */
const putOrCopy: Handler = (x, service) => (isCopy(x) ? copyObject : putObject)(x, service);
const partOrCopy: Handler = (x, service) => (isCopy(x) ? uploadPartCopy : uploadPart)(x, service);

function isCopy(x: Exchange): boolean {
  return x.headers.has('x-amz-copy-source');
}

const objectRoutes: Routes = {
  ...objectSubresources,
  '': { GET: getObject, HEAD: headObject, PUT: putOrCopy, DELETE: deleteObject },
  attributes: { GET: getObjectAttributes },
  tagging: { GET: getTagging, PUT: putTagging, DELETE: deleteTagging },
  uploads: { POST: createUpload },
  uploadId: { GET: listParts, PUT: partOrCopy, POST: completeUpload, DELETE: abortUpload },
};

/** Names in a query that make it a request for something else than the bucket or object itself. */
const subresources: ReadonlySet<string> = new Set([
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'delete',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'location',
  'logging',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versioning',
  'versions',
  'website',
]);

const CAPITAL_X = 0x58;

function subresourceOf(x: Exchange): string {
  if (x.rawQuery === '') return '';
  for (const name of x.query.names) {
    // Names of a presigned URL, six of them, are all that most requests have.
    if (name.charCodeAt(0) !== CAPITAL_X && subresources.has(name)) return name;
  }
  return '';
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS']);

/** The handler of a request whose target is known. Throws MethodNotAllowed or NotImplemented where there is none. */
export function routeOf(x: Exchange): Handler {
  if (!methods.has(x.method)) throw notAllowed(x);
  if (x.method === 'OPTIONS') throw new S3Error('AccessForbidden');
  if (x.bucket === '') {
    if (x.method === 'GET') return listBuckets;
    throw notAllowed(x);
  }
  const subresource = subresourceOf(x);
  if (x.key === '') return bucketRoute(x, subresource);
  const handlers = objectRoutes[subresource];
  if (handlers === undefined) throw notImplemented(x, subresource);
  return handlers[x.method] ?? refuse(x, subresource);
}

function bucketRoute(x: Exchange, subresource: string): Handler {
  if (subresource === '' && x.method === 'GET' && x.query.get('list-type') === '2') return listObjectsV2;
  const handlers = bucketRoutes[subresource];
  if (handlers === undefined) throw notImplemented(x, subresource);
  return handlers[x.method] ?? refuse(x, subresource);
}

function refuse(x: Exchange, subresource: string): never {
  throw subresource === '' ? notAllowed(x) : notImplemented(x, subresource);
}

function notAllowed(x: Exchange): S3Error {
  return new S3Error('MethodNotAllowed', undefined, {
    Method: x.method,
    ResourceType: x.key === '' ? 'BUCKET' : 'OBJECT',
  });
}

function notImplemented(x: Exchange, subresource: string): S3Error {
  return new S3Error('NotImplemented', `${x.method} ?${subresource} is not implemented.`);
}
