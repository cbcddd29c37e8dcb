// SigV4 against the examples of AWS's documentation, and against what must not pass.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkedDecoder, ChunkVerifier } from '../../../gateway/s3/auth/chunked.js';
import { HmacKey, signingKey } from '../../../gateway/s3/auth/hmac.js';
import {
  canonicalPath,
  canonicalQuery,
  readClaim,
  type SignedRequest,
  verifyClaim,
} from '../../../gateway/s3/auth/sigv4.js';
import { S3Error } from '../../../gateway/s3/errors.js';
import { Headers } from '../../../gateway/s3/http/headers.js';
import { Query } from '../../../gateway/s3/http/uri.js';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const CREDENTIAL = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request';
const NOW = Date.UTC(2013, 4, 24);
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const key = signingKey(SECRET, '20130524', 'us-east-1');

function request(method: string, url: string, headers: Record<string, string>): SignedRequest {
  const [path, rawQuery = ''] = url.split('?') as [string, string?];
  const given = new Headers();
  for (const [name, value] of Object.entries(headers)) given.add(name, value);
  return { method, path, rawQuery, query: new Query(rawQuery), headers: given };
}

/** A request of the documentation's examples: its other headers are signed as they stand. */
function example(method: string, url: string, signature: string, headers: Record<string, string> = {}): SignedRequest {
  const all = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': EMPTY,
    'x-amz-date': '20130524T000000Z',
    ...headers,
  };
  const signed = Object.keys(all).sort().join(';');
  const authorization = `AWS4-HMAC-SHA256 Credential=${CREDENTIAL},SignedHeaders=${signed},Signature=${signature}`;
  return request(method, url, { ...all, authorization });
}

function accept(signed: SignedRequest, nowMs = NOW): void {
  verifyClaim(signed, readClaim(signed, nowMs), key);
}

function refusal(signed: SignedRequest, nowMs = NOW): string {
  try {
    accept(signed, nowMs);
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return 'accepted';
}

const getExample = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41';

test("the examples of AWS's documentation are accepted", () => {
  accept(example('GET', '/test.txt', getExample, { range: 'bytes=0-9' }));
  accept(
    example('PUT', '/test%24file.text', '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd', {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    }),
  );
  accept(example('GET', '/?lifecycle', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'));
  const list = '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7';
  accept(example('GET', '/?max-keys=2&prefix=J', list));
  accept(example('GET', '/?prefix=J&max-keys=2', list));
});

test('a key that the client sent less encoded than it signed it is accepted', () => {
  accept(
    example('PUT', '/test$file.text', '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd', {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    }),
  );
});

const presignedUrl =
  `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${CREDENTIAL.replaceAll('/', '%2F')}` +
  '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
  '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404';
const presignedHost = { host: 'examplebucket.s3.amazonaws.com' };

test('the presigned example is accepted until it expires, and not before its time', () => {
  accept(request('GET', presignedUrl, presignedHost));
  accept(request('GET', presignedUrl, presignedHost), NOW + 86_400_000);
  assert.equal(refusal(request('GET', presignedUrl, presignedHost), NOW + 86_400_001), 'AccessDenied');
  assert.equal(refusal(request('GET', presignedUrl, presignedHost), NOW - 16 * 60_000), 'AccessDenied');
});

test('a presigned URL with anything changed is refused', () => {
  const changed: [string, string, Record<string, string>][] = [
    ['PUT', presignedUrl, presignedHost],
    ['GET', presignedUrl.replace('/test.txt', '/test.tx'), presignedHost],
    ['GET', presignedUrl.replace('Expires=86400', 'Expires=86401'), presignedHost],
    ['GET', `${presignedUrl}&acl`, presignedHost],
    ['GET', presignedUrl, { host: 'other.s3.amazonaws.com' }],
    ['GET', presignedUrl.replace(/.$/, '5'), presignedHost],
    ['GET', presignedUrl.slice(0, -1), presignedHost],
  ];
  for (const [method, url, headers] of changed) {
    assert.equal(refusal(request(method, url, headers)), 'SignatureDoesNotMatch', `${method} ${url}`);
  }
  const smuggled = { ...presignedHost, 'x-amz-copy-source': '/other/key' };
  assert.equal(refusal(request('GET', presignedUrl, smuggled)), 'AccessDenied');
  for (const expires of ['604801', 'x', '1.5', '']) {
    const url = presignedUrl.replace('Expires=86400', `Expires=${expires}`);
    assert.equal(refusal(request('GET', url, presignedHost)), 'AuthorizationQueryParametersError', expires);
  }
  const past = presignedUrl.replace('Expires=86400', 'Expires=-1');
  assert.equal(refusal(request('GET', past, presignedHost)), 'AccessDenied');
});

test('a signed request with anything changed is refused', () => {
  const range = { range: 'bytes=0-9' };
  assert.equal(refusal(example('HEAD', '/test.txt', getExample, range)), 'SignatureDoesNotMatch');
  assert.equal(refusal(example('GET', '/test.txT', getExample, range)), 'SignatureDoesNotMatch');
  assert.equal(refusal(example('GET', '/test.txt', getExample, { range: 'bytes=0-8' })), 'SignatureDoesNotMatch');
  assert.equal(refusal(example('GET', '/test.txt', getExample)), 'SignatureDoesNotMatch');
  assert.equal(refusal(example('GET', '/test.txt', getExample, range), NOW + 15 * 60_000), 'accepted');
  assert.equal(refusal(example('GET', '/test.txt', getExample, range), NOW + 15 * 60_000 + 1), 'RequestTimeTooSkewed');
  assert.equal(refusal(example('GET', '/test.txt', getExample, range), NOW - 15 * 60_000 - 1), 'RequestTimeTooSkewed');
});

test('an Authorization header that is not of the form is refused with what is wrong', () => {
  const headers = { ...presignedHost, 'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': EMPTY };
  const signed = 'SignedHeaders=host;x-amz-content-sha256;x-amz-date';
  const cases: [string, string][] = [
    ['AWS AKIA:signature', 'InvalidRequest'],
    ['AWS4-HMAC-SHA256', 'InvalidRequest'],
    ['AWS4-HMAC-SHA256 Credential=x', 'AuthorizationHeaderMalformed'],
    [`AWS4-HMAC-SHA256 Credential=a/b/c, ${signed}, Signature=0`, 'AuthorizationHeaderMalformed'],
    [`AWS4-HMAC-SHA256 Credential=${CREDENTIAL}, Signature=0`, 'AuthorizationHeaderMalformed'],
    [
      `AWS4-HMAC-SHA256 Credential=${CREDENTIAL.replace('24', '25')}, ${signed}, Signature=0`,
      'AuthorizationHeaderMalformed',
    ],
    [
      `AWS4-HMAC-SHA256 Credential=${CREDENTIAL.replace('/s3/', '/ec2/')}, ${signed}, Signature=0`,
      'AuthorizationHeaderMalformed',
    ],
    [`AWS4-HMAC-SHA256 Credential=${CREDENTIAL}, SignedHeaders=x-amz-date, Signature=0`, 'SignatureDoesNotMatch'],
    [`AWS4-HMAC-SHA256 Credential=${CREDENTIAL}, SignedHeaders=host, Signature=0`, 'AccessDenied'],
    [`AWS4-HMAC-SHA256 Credential=${CREDENTIAL}, ${signed}, Signature=0`, 'SignatureDoesNotMatch'],
  ];
  for (const [authorization, code] of cases) {
    assert.equal(refusal(request('GET', '/', { ...headers, authorization })), code, authorization);
  }
  assert.equal(refusal(request('GET', '/', headers)), 'AccessDenied');
});

test('queries are put in the order of names and then of values, however they were sent', () => {
  assert.equal(canonicalQuery('b=1&a-b=2&a=3&a=%2f&X-Amz-Signature=0', true), 'a=%2F&a=3&a-b=2&b=1');
  assert.equal(canonicalQuery('acl', true), 'acl=');
  assert.equal(canonicalQuery('a+b=c+d&&e=', true), 'a%20b=c%20d&e=');
  assert.equal(canonicalQuery('prefix=ü', true), 'prefix=%C3%BC');
  assert.equal(canonicalPath('/b/a b+c%2fü'), '/b/a%20b%2Bc/%C3%BC');
});

test('the prepared HMAC is the HMAC', () => {
  const secret = Buffer.alloc(32, 7);
  const prepared = new HmacKey(secret);
  for (const length of [0, 1, 63, 64, 1000, 1024, 1025, 5000]) {
    const message = 'x'.repeat(length);
    assert.equal(prepared.sign(message), createHmac('sha256', secret).update(message).digest('hex'), String(length));
  }
});

const chunkHeaders = {
  host: 's3.amazonaws.com',
  'content-encoding': 'aws-chunked',
  'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'x-amz-decoded-content-length': '66560',
  'x-amz-storage-class': 'REDUCED_REDUNDANCY',
};

function chunk(bytes: number, signature: string): string {
  return `${bytes.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(bytes)}${bytes === 0 ? '' : '\r\n'}`;
}

test('the example of a body in signed chunks is accepted, and one byte less right is not', () => {
  const put = example(
    'PUT',
    '/examplebucket/chunkObject.txt',
    '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    { ...chunkHeaders, 'content-length': '66824' },
  );
  accept(put);
  const body = Buffer.from(
    chunk(65_536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
      chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
      `${chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9')}\r\n`,
  );
  assert.equal(body.length, 66_824);
  const decode = (bytes: Buffer): number => {
    let size = 0;
    const verifier = new ChunkVerifier(readClaim(put, NOW), key);
    const decoder = new ChunkedDecoder({ verifier, trailers: false }, (piece) => {
      size += piece.length;
    });
    decoder.push(bytes);
    decoder.finish();
    return size;
  };
  assert.equal(decode(body), 66_560);
  const wrong = Buffer.from(body);
  wrong[66_000] = 0x62;
  assert.throws(() => decode(wrong), { code: 'SignatureDoesNotMatch' });
});

test('the example of signed chunks with a signed trailer is accepted, and with another trailer is not', () => {
  const put = example(
    'PUT',
    '/examplebucket/chunkObject.txt',
    '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    {
      ...chunkHeaders,
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      'x-amz-trailer': 'x-amz-checksum-crc32c',
    },
  );
  accept(put);
  const decode = (trailer: string): Map<string, string> => {
    const verifier = new ChunkVerifier(readClaim(put, NOW), key);
    const decoder = new ChunkedDecoder({ verifier, trailers: true }, () => {});
    decoder.push(
      Buffer.from(
        chunk(65_536, 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2') +
          chunk(1024, '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7') +
          `${chunk(0, '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992')}${trailer}\r\n` +
          'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
      ),
    );
    decoder.finish();
    return decoder.trailers;
  };
  assert.equal(decode('x-amz-checksum-crc32c:sOO8/Q==').get('x-amz-checksum-crc32c'), 'sOO8/Q==');
  assert.throws(() => decode('x-amz-checksum-crc32c:sOO8/A=='), { code: 'SignatureDoesNotMatch' });
});

test('a canonical query is the same whether its pieces came in order or not', () => {
  const name = fc.constantFrom('a', 'a-b', 'a.b', 'ab', 'b', 'A', 'X-Amz-Date', 'X-Amz-Signature', '%C3%BC', '');
  const value = fc.constantFrom('', '1', '2', '%2F', 'a-b');
  const piece = fc.tuple(name, value, fc.boolean()).map(([left, right, bare]) => (bare ? left : `${left}=${right}`));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), (pieces) => {
      const model = pieces
        .filter((text) => text !== '' && !text.startsWith('X-Amz-Signature='))
        .map((text) => text.split('=') as [string, string?])
        .map(([left, right = '']) => ({ left, right }))
        .sort((a, b) =>
          a.left < b.left ? -1 : a.left > b.left ? 1 : a.right < b.right ? -1 : a.right > b.right ? 1 : 0,
        )
        .map(({ left, right }) => `${left}=${right}`)
        .join('&');
      for (const sent of [pieces, [...pieces].sort()]) assert.equal(canonicalQuery(sent.join('&'), true), model);
    }),
    { numRuns: 2000 },
  );
});
