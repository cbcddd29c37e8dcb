// Everything that an answer of the gateway can fail with: S3's codes with their HTTP status and message, and how a
// status of the services below becomes one of them. A handler throws S3Error; nothing else decides a status code.

import { OfsError, Status } from '../../proto/status.js';

const codes = {
  AccessControlListNotSupported: [400, 'The bucket does not allow ACLs.'],
  AccessDenied: [403, 'Access Denied'],
  AccessForbidden: [403, 'CORSResponse: CORS is not enabled for this bucket.'],
  AuthorizationHeaderMalformed: [400, 'The authorization header is malformed.'],
  AuthorizationQueryParametersError: [400, 'The authorization query parameters are malformed.'],
  BadDigest: [400, 'The Content-MD5 or checksum value that you specified did not match what the server received.'],
  BucketAlreadyExists: [409, 'The requested bucket name is not available. Select another name and try again.'],
  BucketAlreadyOwnedByYou: [409, 'The bucket that you tried to create already exists, and you own it.'],
  BucketNotEmpty: [409, 'The bucket that you tried to delete is not empty.'],
  ConditionalRequestConflict: [409, 'The object changed while it was copied. Try again.'],
  EntityTooLarge: [400, 'Your proposed upload exceeds the maximum allowed object size.'],
  EntityTooSmall: [400, 'Your proposed upload is smaller than the minimum allowed object size.'],
  IncompleteBody: [400, 'You did not provide the number of bytes specified by the Content-Length HTTP header.'],
  InternalError: [500, 'An internal error occurred. Try again.'],
  InvalidAccessKeyId: [403, 'The access key ID that you provided does not exist in our records.'],
  InvalidArgument: [400, 'Invalid Argument'],
  InvalidBucketName: [400, 'The specified bucket is not valid.'],
  InvalidDigest: [400, 'The Content-MD5 or checksum value that you specified is not valid.'],
  InvalidLocationConstraint: [400, 'The specified location constraint is not valid.'],
  InvalidObjectState: [403, 'The operation is not valid for the current state of the object.'],
  InvalidPart: [400, 'One or more of the specified parts could not be found or does not have the given entity tag.'],
  InvalidPartOrder: [400, 'The list of parts was not in ascending order.'],
  InvalidRange: [416, 'The requested range is not satisfiable.'],
  InvalidRequest: [400, 'Invalid Request'],
  InvalidStorageClass: [400, 'The storage class that you specified is not valid.'],
  InvalidTag: [400, 'The tag provided was not a valid tag.'],
  InvalidToken: [400, 'The provided token is malformed or otherwise not valid.'],
  InvalidURI: [400, 'The specified URI could not be parsed.'],
  KeyTooLongError: [400, 'Your key is too long.'],
  MalformedXML: [400, 'The XML that you provided was not well-formed or did not validate against the schema.'],
  MaxMessageLengthExceeded: [400, 'Your request was too large.'],
  MetadataTooLarge: [400, 'Your metadata headers exceed the maximum allowed metadata size.'],
  MethodNotAllowed: [405, 'The specified method is not allowed against this resource.'],
  MissingContentLength: [411, 'You must provide the Content-Length HTTP header.'],
  NoSuchBucket: [404, 'The specified bucket does not exist.'],
  NoSuchBucketPolicy: [404, 'The bucket policy does not exist.'],
  NoSuchCORSConfiguration: [404, 'The CORS configuration does not exist.'],
  NoSuchKey: [404, 'The specified key does not exist.'],
  NoSuchLifecycleConfiguration: [404, 'The lifecycle configuration does not exist.'],
  NoSuchObjectLockConfiguration: [404, 'The specified object does not have an ObjectLock configuration.'],
  NoSuchPublicAccessBlockConfiguration: [404, 'The public access block configuration was not found.'],
  NoSuchTagSet: [404, 'The TagSet does not exist.'],
  NoSuchUpload: [404, 'The specified multipart upload does not exist. It might have been aborted or completed.'],
  NoSuchVersion: [404, 'The specified version does not exist.'],
  NoSuchWebsiteConfiguration: [404, 'The specified bucket does not have a website configuration.'],
  NotImplemented: [501, 'A header or query that you provided implies functionality that is not implemented.'],
  NotModified: [304, 'Not Modified'],
  ObjectLockConfigurationNotFoundError: [404, 'Object Lock configuration does not exist for this bucket.'],
  OwnershipControlsNotFoundError: [404, 'The bucket ownership controls were not found.'],
  PreconditionFailed: [412, 'At least one of the preconditions that you specified did not hold.'],
  ReplicationConfigurationNotFoundError: [404, 'The replication configuration was not found.'],
  RequestTimeTooSkewed: [403, 'The difference between the request time and the server time is too large.'],
  ServerSideEncryptionConfigurationNotFoundError: [404, 'The server-side encryption configuration was not found.'],
  ServiceUnavailable: [503, 'Service is unable to handle the request. Try again.'],
  SignatureDoesNotMatch: [
    403,
    'The request signature that we calculated does not match the signature that you provided. Check your key and ' +
      'signing method.',
  ],
  SlowDown: [503, 'Please reduce your request rate.'],
  StorageFull: [507, 'No space is left for the data. Delete something or add storage.'],
  XAmzContentSHA256Mismatch: [400, "The provided 'x-amz-content-sha256' header does not match what was computed."],
} as const satisfies Record<string, readonly [number, string]>;

export type S3Code = keyof typeof codes;

/** The error that a request is answered with. `details` become elements of its XML (Key, BucketName, …). */
export class S3Error extends Error {
  override name = 'S3Error';

  constructor(
    readonly code: S3Code,
    message: string = codes[code][1],
    readonly details: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  get httpStatus(): number {
    return codes[this.code][0];
  }
}

const fromStatus: Partial<Record<Status, S3Code>> = {
  [Status.NOENT]: 'NoSuchKey',
  [Status.STALE]: 'NoSuchKey',
  [Status.INVAL]: 'InvalidArgument',
  [Status.RANGE]: 'InvalidRange',
  [Status.NAMETOOLONG]: 'KeyTooLongError',
  [Status.NOTEMPTY]: 'BucketNotEmpty',
  [Status.ACCES]: 'AccessDenied',
  [Status.PERM]: 'AccessDenied',
  [Status.ROFS]: 'AccessDenied',
  [Status.NOSPC]: 'StorageFull',
  [Status.FBIG]: 'EntityTooLarge',
  [Status.ISDIR]: 'InvalidRequest',
  [Status.NOTDIR]: 'InvalidRequest',
  [Status.OPNOTSUPP]: 'NotImplemented',
  [Status.BUSY]: 'SlowDown',
  [Status.TIMEOUT]: 'ServiceUnavailable',
  [Status.NOT_LEADER]: 'ServiceUnavailable',
  [Status.CLOSED]: 'ServiceUnavailable',
  // What was written may have been freed, and has to be sent again.
  [Status.SESSION_ENDED]: 'ServiceUnavailable',
  [Status.NO_SUCH_GROUP]: 'NoSuchBucket',
  [Status.NO_SUCH_VOLUME]: 'NoSuchBucket',
  [Status.VOLUME_EXISTS]: 'BucketAlreadyExists',
  [Status.NO_SUCH_KEY_ID]: 'InvalidAccessKeyId',
  [Status.PRECONDITION_FAILED]: 'PreconditionFailed',
  [Status.NO_SUCH_UPLOAD]: 'NoSuchUpload',
  [Status.INVALID_PART]: 'InvalidPart',
  [Status.INVALID_PART_ORDER]: 'InvalidPartOrder',
  [Status.PART_TOO_SMALL]: 'EntityTooSmall',
};

/** Codes whose standard message says less than the service's own. */
const ownMessage: ReadonlySet<S3Code> = new Set(['InvalidArgument', 'InvalidRequest', 'InvalidPart', 'NotImplemented']);

/** What a client is told about an error from anywhere below; undefined for what nobody foresaw (log it). */
export function s3ErrorOf(error: unknown): S3Error | undefined {
  if (error instanceof S3Error) return error;
  if (!(error instanceof OfsError)) return undefined;
  const code = fromStatus[error.status];
  if (code === undefined) return undefined;
  return new S3Error(code, ownMessage.has(code) ? error.message : undefined);
}
