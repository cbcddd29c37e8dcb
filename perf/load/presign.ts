// Pre-signed S3 requests (AWS Signature Version 4, query parameters), so that the generator costs little.

import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
}

const EXPIRES_SECONDS = 86_400;

/** Path and query of a pre-signed request for `path`, which must need no escaping. */
export function presign(
  method: string,
  host: string,
  path: string,
  keys: Credentials,
  query = '',
  now = new Date(),
): string {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/${keys.region}/s3/aws4_request`;
  const signed =
    `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`${keys.accessKey}/${scope}`)}` +
    `&X-Amz-Date=${time}&X-Amz-Expires=${EXPIRES_SECONDS}&X-Amz-SignedHeaders=host`;
  const parameters = [...signed.split('&'), ...(query === '' ? [] : query.split('&'))].sort().join('&');
  const canonical = [method, path, parameters, `host:${host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = signingKey(keys.secretKey, scope);
  return `${path}?${parameters}&X-Amz-Signature=${createHmac('sha256', key).update(text).digest('hex')}`;
}

let last: { readonly of: string; readonly key: Buffer } = { of: '', key: Buffer.alloc(0) };

function signingKey(secretKey: string, scope: string): Buffer {
  const of = `${secretKey}/${scope}`;
  if (last.of !== of) {
    let key: Buffer = Buffer.from(`AWS4${secretKey}`);
    for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
    last = { of, key };
  }
  return last.key;
}
