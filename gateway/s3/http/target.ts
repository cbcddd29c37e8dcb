// Which bucket and key a request names, path style or virtual-host style, and what names there can be.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { S3Error } from '../errors.js';
import { decodePath } from './uri.js';

/**
 * Splits a path as it was sent into bucket and key. `domains` are the suffixes under which a host name's front part is
 * a bucket; with such a host all of the path is the key.
 */
export function targetOf(path: string, host: string, domains: readonly string[]): { bucket: string; key: ByteString } {
  const bucket = domains.length === 0 ? '' : hostBucket(host, domains);
  if (bucket !== '') return { bucket, key: checkedKey(decodePath(path.slice(1))) };
  const slash = path.indexOf('/', 1);
  if (slash < 0) return { bucket: decodePath(path.slice(1)), key: '' };
  return { bucket: decodePath(path.slice(1, slash)), key: checkedKey(decodePath(path.slice(slash + 1))) };
}

function hostBucket(host: string, domains: readonly string[]): string {
  const colon = host.lastIndexOf(':');
  const name = (colon > host.lastIndexOf(']') ? host.slice(0, colon) : host).toLowerCase();
  for (const domain of domains) {
    if (name.endsWith(`.${domain}`)) return name.slice(0, -domain.length - 1);
  }
  return '';
}

/** Throws for a key that no object can have. */
export function checkedKey(key: ByteString): ByteString {
  if (key.length > limits.keyBytes) {
    throw new S3Error('KeyTooLongError', undefined, {
      Size: String(key.length),
      MaxSizeAllowed: String(limits.keyBytes),
    });
  }
  if (key.includes('\0')) throw new S3Error('InvalidArgument', 'A key must not contain the byte 0.');
  return key;
}

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const IP_ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;
const RESERVED = /^(?:xn--|sthree-|amzn-s3-demo-)|(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/;

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
export function validBucketName(name: string): boolean {
  return BUCKET_NAME.test(name) && !/\.\.|\.-|-\./.test(name) && !IP_ADDRESS.test(name) && !RESERVED.test(name);
}
