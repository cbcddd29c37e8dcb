// The pure pieces of the gateway, each against a model or a published value, for any input.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { ChunkedDecoder, ChunkVerifier } from '../../../gateway/s3/auth/chunked.js';
import { signingKey } from '../../../gateway/s3/auth/hmac.js';
import type { Claim } from '../../../gateway/s3/auth/sigv4.js';
import { combineChecksums } from '../../../gateway/s3/body/combine.js';
import { checksumOf, Digests } from '../../../gateway/s3/body/digests.js';
import { S3Error } from '../../../gateway/s3/errors.js';
import { conditionFails, objectConditions, rangeOf } from '../../../gateway/s3/http/conditions.js';
import { stampToMs } from '../../../gateway/s3/http/dates.js';
import { Headers } from '../../../gateway/s3/http/headers.js';
import { targetOf, validBucketName } from '../../../gateway/s3/http/target.js';
import { decodePath, decodeQuery, encodePath, encodeQuery, Query } from '../../../gateway/s3/http/uri.js';
import { childNodes, childText, parseXml } from '../../../gateway/s3/xml/parse.js';
import { escapeXml } from '../../../gateway/s3/xml/writer.js';
import { ChecksumAlgorithm } from '../../../proto/meta/index.js';

const seed = Number(process.env.SEED ?? Date.now() % 1e9);
process.stdout.write(`# SEED=${seed}\n`);
const runs = { seed, numRuns: 200 };

const bytes = fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data));
const byteString = bytes.map((data) => data.latin1Slice());

const claim: Claim = {
  accessKey: 'a',
  date: '20261124',
  region: 'r',
  stamp: '20261124T000000Z',
  signedHeaders: 'host',
  signature: '0'.repeat(64),
  payload: '',
  presigned: false,
};
const key = signingKey('secret', '20261124', 'r');

/** A body of chunks as a client makes it; signed by a verifier's own arithmetic run in step. */
function encodeChunks(chunks: readonly Buffer[], signed: boolean, trailer: string): Buffer {
  let previous = claim.signature;
  const empty = createHash('sha256').digest('hex');
  const scope = `${claim.stamp}\n20261124/r/s3/aws4_request\n`;
  const parts = [...chunks.filter((data) => data.length > 0), Buffer.alloc(0)].map((data) => {
    const content = createHash('sha256').update(data).digest('hex');
    previous = key.sign(`AWS4-HMAC-SHA256-PAYLOAD\n${scope}${previous}\n${empty}\n${content}`);
    const head = `${data.length.toString(16)}${signed ? `;chunk-signature=${previous}` : ''}\r\n`;
    return Buffer.concat([Buffer.from(head), data, Buffer.from(data.length === 0 ? '' : '\r\n')]);
  });
  if (trailer !== '') {
    parts.push(Buffer.from(`${trailer}\r\n`));
    const content = createHash('sha256').update(`${trailer}\n`).digest('hex');
    const signature = key.sign(`AWS4-HMAC-SHA256-TRAILER\n${scope}${previous}\n${content}`);
    if (signed) parts.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
  }
  return Buffer.concat([...parts, Buffer.from('\r\n')]);
}

function decodeSplit(body: Buffer, cuts: readonly number[], signed: boolean, trailers: boolean) {
  const pieces: Buffer[] = [];
  const verifier = signed ? new ChunkVerifier(claim, key) : undefined;
  const decoder = new ChunkedDecoder({ verifier, trailers }, (piece) => pieces.push(Buffer.from(piece)));
  let at = 0;
  for (const cut of [...cuts.map((part) => part % (body.length + 1)).sort((a, b) => a - b), body.length]) {
    decoder.push(body.subarray(at, cut));
    at = cut;
  }
  decoder.finish();
  return { data: Buffer.concat(pieces), trailers: decoder.trailers };
}

const splits = fc.array(fc.nat(5000), { maxLength: 40 });

test('a chunked body decodes to the same bytes however it is split', () => {
  fc.assert(
    fc.property(
      fc.array(bytes, { maxLength: 6 }),
      splits,
      fc.boolean(),
      fc.boolean(),
      (chunks, cuts, signed, trails) => {
        const body = encodeChunks(chunks, signed, trails ? 'x-amz-checksum-crc32:AAAAAA==' : '');
        const decoded = decodeSplit(body, cuts, signed, trails);
        assert.deepEqual(decoded.data, Buffer.concat(chunks));
        assert.equal(decoded.trailers.get('x-amz-checksum-crc32'), trails ? 'AAAAAA==' : undefined);
      },
    ),
    runs,
  );
});

test('a chunked body split into single bytes is the same as whole', () => {
  const body = encodeChunks([Buffer.from('hello'), Buffer.from('world')], true, 'a:b');
  const cuts = Array.from({ length: body.length }, (_, at) => at);
  assert.equal(decodeSplit(body, cuts, true, true).data.toString(), 'helloworld');
});

test('a signed body with any byte changed, missing or added is refused', () => {
  const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 1, max: 255 }), kind: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 1, maxLength: 4 }), change, splits, (chunks, { at, byte, kind }, cuts) => {
      const body = encodeChunks(chunks, true, 'x-amz-checksum-crc32:AAAAAA==');
      const where = at % body.length;
      const changed =
        kind === 0
          ? Buffer.concat([body.subarray(0, where), body.subarray(where + 1)])
          : Buffer.concat([body.subarray(0, where), Buffer.of(body[where]! ^ byte), body.subarray(where + kind - 0)]);
      let decoded: ReturnType<typeof decodeSplit>;
      try {
        decoded = decodeSplit(changed, cuts, true, true);
      } catch (error) {
        assert.ok(error instanceof S3Error, String(error));
        return;
      }
      // What is not covered by a signature is the form: a length in capitals, a CR left out. The content is the same.
      assert.deepEqual(decoded.data, Buffer.concat(chunks));
      assert.equal(decoded.trailers.get('x-amz-checksum-crc32'), 'AAAAAA==');
    }),
    runs,
  );
});

test('the chunk decoder answers any bytes with a result or an error of S3', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        bytes,
        fc.stringMatching(/^[0-9a-f;\r\n:=x-]*$/).map((text) => Buffer.from(text)),
      ),
      (body) => {
        for (const signed of [true, false]) {
          try {
            decodeSplit(body, [], signed, true);
          } catch (error) {
            assert.ok(error instanceof S3Error, String(error));
          }
        }
      },
    ),
    runs,
  );
});

test('a chunk head without end is refused before it takes memory', () => {
  const decoder = new ChunkedDecoder({ trailers: true }, () => {});
  assert.throws(
    () => {
      for (let at = 0; at < 1000; at++) decoder.push(Buffer.from('1'.repeat(100)));
    },
    { code: 'IncompleteBody' },
  );
});

test('percent-encoding gives back every byte, and refuses what is not hexadecimal', () => {
  fc.assert(
    fc.property(byteString, (text) => {
      assert.equal(decodePath(encodePath(text)), text);
      assert.equal(decodeQuery(encodeQuery(text)), text);
      assert.match(encodeQuery(text), /^[A-Za-z0-9\-._~%]*$/);
    }),
    runs,
  );
  assert.equal(decodePath('a+b%20c'), 'a+b c');
  assert.equal(decodeQuery('a+b%20c%2B'), 'a b c+');
  assert.equal(decodePath('ü'), Buffer.from('ü').latin1Slice());
  for (const wrong of ['%', '%2', '%zz', 'a%f']) assert.throws(() => decodePath(wrong), { code: 'InvalidURI' });
  const query = new Query('a=1&b&a=2&c=&=d&e=f=g');
  assert.deepEqual(query.names, ['a', 'b', 'a', 'c', '', 'e']);
  assert.deepEqual(query.values, ['1', '', '2', '', 'd', 'f=g']);
});

test('escaped XML parses back to the text, or to U+FFFD where it was none', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 50 }), (text) => {
      fc.pre(!/[^\t\n -\u{10ffff}]/u.test(text));
      const written = escapeXml(Buffer.from(text, 'utf8').latin1Slice());
      const parsed = parseXml(Buffer.from(`<A><B>${written}</B></A>`, 'latin1'), 'A');
      assert.equal(childText(parsed, 'B'), Buffer.from(text, 'utf8').latin1Slice());
    }),
    runs,
  );
  assert.equal(escapeXml('\xff'), '\xef\xbf\xbd');
  assert.equal(escapeXml('a\x01\r'), 'a&#x1;&#xd;');
});

test('documents that are not XML, have entities of their own or another root are refused', () => {
  const parse = (text: string) => parseXml(Buffer.from(text), 'Delete');
  const wrong = [
    '',
    'x',
    '<Delete>',
    '<Other/>',
    '<Delete></Delet>',
    '<!DOCTYPE d [<!ENTITY e "x">]><Delete>&e;</Delete>',
  ];
  for (const text of wrong) assert.throws(() => parse(text), { code: 'MalformedXML' }, text);
  const root = parse(
    '<?xml version="1.0"?><s:Delete xmlns:s="u"><Object><Key> a &amp;&#x41; </Key></Object><Object/></s:Delete>',
  );
  assert.equal(childText(childNodes(root, 'Object')[0]!, 'Key'), ' a &A ');
  assert.throws(() => childText(parse('<Delete><Quiet>&nbsp;</Quiet></Delete>'), 'Quiet'), { code: 'MalformedXML' });
});

test('every checksum has its published value and is the same in pieces', () => {
  const check = Buffer.from('123456789');
  const published: [number, string][] = [
    [ChecksumAlgorithm.CRC32, 'cbf43926'],
    [ChecksumAlgorithm.CRC32C, 'e3069283'],
    [ChecksumAlgorithm.CRC64NVME, 'ae8b14860a799888'],
    [ChecksumAlgorithm.SHA1, 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
    [ChecksumAlgorithm.SHA256, '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225'],
  ];
  for (const [algorithm, value] of published) {
    assert.equal(checksumOf(algorithm, check).toString('hex'), value);
    const [one, two] = [0, 1].map(() => new Digests({ md5: true, sha256: true, checksum: algorithm })) as [
      Digests,
      Digests,
    ];
    for (const byte of check) {
      one.update(Buffer.of(byte));
      two.update(Buffer.of(byte, byte));
    }
    assert.equal(one.finish().checksum?.toString('hex'), value, 'two that run side by side do not disturb each other');
  }
});

test('checksums of parts combine to the checksum of the whole', () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 6 });
  fc.assert(
    fc.property(parts, (pieces) => {
      for (const algorithm of [ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC64NVME]) {
        const known = pieces.map((piece) => ({ checksum: checksumOf(algorithm, piece), size: piece.length }));
        assert.deepEqual(combineChecksums(algorithm, known), checksumOf(algorithm, Buffer.concat(pieces)));
      }
    }),
    { seed, numRuns: 50 },
  );
  const huge = { checksum: checksumOf(ChecksumAlgorithm.CRC32, Buffer.alloc(1 << 20)), size: 1 << 20 };
  const combined = combineChecksums(
    ChecksumAlgorithm.CRC32,
    Array.from({ length: 8 }, () => huge),
  );
  assert.equal(combined.readUInt32BE(), crc32(Buffer.alloc(8 << 20)));
});

test('ranges are those of RFC 9110, and one behind the end is refused', () => {
  const cases: [string, number, [number, number] | undefined][] = [
    ['', 10, undefined],
    ['bytes=0-0', 10, [0, 1]],
    ['bytes=2-', 10, [2, 10]],
    ['bytes=-3', 10, [7, 10]],
    ['bytes=-30', 10, [0, 10]],
    ['bytes=5-100', 10, [5, 10]],
    ['bytes=5-2', 10, undefined],
    ['bytes=0-1,3-4', 10, undefined],
    ['bytes=-', 10, undefined],
    ['chars=0-1', 10, undefined],
  ];
  for (const [header, size, want] of cases) {
    const range = rangeOf(header, size);
    assert.deepEqual(range === undefined ? undefined : [range.start, range.end], want, header);
  }
  for (const [header, size] of [
    ['bytes=10-', 10],
    ['bytes=0-0', 0],
    ['bytes=-0', 10],
    ['bytes=99-100', 10],
  ] as const) {
    assert.throws(() => rangeOf(header, size), { code: 'InvalidRange' }, header);
  }
});

test('conditions follow the precedence of RFC 9110', () => {
  const at = Date.UTC(2026, 0, 2) / 1000;
  const fails = (given: Record<string, string>): string => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(given)) headers.add(name, value);
    return conditionFails(headers, objectConditions, 'tag', at);
  };
  const before = 'Thu, 01 Jan 2026 00:00:00 GMT';
  const same = 'Fri, 02 Jan 2026 00:00:00 GMT';
  assert.equal(fails({}), '');
  assert.equal(fails({ 'if-match': '"tag"', 'if-unmodified-since': before }), '');
  assert.equal(fails({ 'if-match': '"a", "tag"' }), '');
  assert.equal(fails({ 'if-match': '*' }), '');
  assert.equal(fails({ 'if-match': '"other"' }), 'PreconditionFailed');
  assert.equal(fails({ 'if-unmodified-since': before }), 'PreconditionFailed');
  assert.equal(fails({ 'if-unmodified-since': same }), '');
  assert.equal(fails({ 'if-none-match': 'W/"tag"' }), 'NotModified');
  assert.equal(fails({ 'if-none-match': '"other"', 'if-modified-since': same }), '');
  assert.equal(fails({ 'if-modified-since': same }), 'NotModified');
  assert.equal(fails({ 'if-modified-since': before }), '');
  assert.equal(fails({ 'if-modified-since': 'no date' }), '');
});

test('a target is found in the path or in the host', () => {
  const domains = ['s3.example.com'];
  assert.deepEqual(targetOf('/', 'h', []), { bucket: '', key: '' });
  assert.deepEqual(targetOf('/b', 'h', []), { bucket: 'b', key: '' });
  assert.deepEqual(targetOf('/b/', 'h', []), { bucket: 'b', key: '' });
  assert.deepEqual(targetOf('/b//k/', 'h', []), { bucket: 'b', key: '/k/' });
  assert.deepEqual(targetOf('/b/k', 'B.S3.example.com:9000', domains), { bucket: 'b', key: 'b/k' });
  assert.deepEqual(targetOf('/', 'my.dots.s3.example.com', domains), { bucket: 'my.dots', key: '' });
  assert.deepEqual(targetOf('/b/k', 's3.example.com', domains), { bucket: 'b', key: 'k' });
  assert.deepEqual(targetOf('/b/k', '[::1]:9000', domains), { bucket: 'b', key: 'k' });
  assert.throws(() => targetOf('/b/a%00', 'h', []), { code: 'InvalidArgument' });
  assert.throws(() => targetOf(`/b/${'%C3'.repeat(1025)}`, 'h', []), { code: 'KeyTooLongError' });
});

test('bucket names are those that AWS takes', () => {
  for (const name of ['abc', 'a-b.c', '1a2', 'a'.repeat(63)]) assert.ok(validBucketName(name), name);
  const wrong = [
    'ab',
    'Abc',
    'a_b',
    '-ab',
    'ab-',
    'a..b',
    'a.-b',
    '1.2.3.4',
    'xn--abc',
    'abc-s3alias',
    'a'.repeat(64),
    'ü12',
  ];
  for (const name of wrong) assert.ok(!validBucketName(name), name);
});

test('a time stamp is read only in its one form', () => {
  assert.equal(stampToMs('20261124T182050Z'), Date.UTC(2026, 10, 24, 18, 20, 50));
  for (const wrong of ['', '20261124', '20261124T182050', '20261324T182050Z', '2026-11-24T18:20:50Z']) {
    assert.ok(Number.isNaN(stampToMs(wrong)), wrong);
  }
});
