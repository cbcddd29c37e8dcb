// Cases of pure code: frames, checksums, signatures, XML, the kernel's requests and answers.

import { createHash } from 'node:crypto';
import { signingKey } from '../../gateway/s3/auth/hmac.js';
import { readClaim, type SignedRequest, verifyClaim } from '../../gateway/s3/auth/sigv4.js';
import { Headers } from '../../gateway/s3/http/headers.js';
import { Query } from '../../gateway/s3/http/uri.js';
import { document, element, etagElement } from '../../gateway/s3/xml/writer.js';
import { crc32c } from '../../proto/crc32c.js';
import { checkFrame, emptyHeader, FRAME_HEADER_BYTES, readHeader, writeHeader } from '../../proto/frame.js';
import { answerHeader, attrOut, decodeName, requestHeader } from '../../proto/fuse/index.js';
import { presign } from '../load/presign.js';
import type { Case } from './case.js';

const BODY_BYTES = 300;
const LIST_PAGE = 1000;
const NAME = 'train-00001234.tar';
const LOOKUP = 1;

export function formatCases(): Case[] {
  return [...frameCases(), ...digestCases(), signatureCase(), listingCase(), ...fuseCases()];
}

function frameCases(): Case[] {
  const header = { ...emptyHeader(), kind: 43, number: 12_345, group: 7, bodyLength: BODY_BYTES };
  const body = Buffer.alloc(BODY_BYTES, 5);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + BODY_BYTES);
  body.copy(frame, FRAME_HEADER_BYTES);
  writeHeader(frame, 0, header, body);
  const into = emptyHeader();
  return [
    { name: `frame, written, body of ${BODY_BYTES} bytes`, run: () => writeHeader(frame, 0, header, body) },
    {
      name: `frame, read and checked, body of ${BODY_BYTES} bytes`,
      run: () => {
        readHeader(frame, 0, into);
        checkFrame(frame, 0, into);
      },
    },
  ];
}

function digestCases(): Case[] {
  const [small, large] = [Buffer.alloc(4096, 3), Buffer.alloc(65_536, 3)];
  return [
    { name: 'CRC-32C of 4 KiB', bytes: small.length, run: () => crc32c(small) },
    { name: 'CRC-32C of 64 KiB', bytes: large.length, run: () => crc32c(large) },
    { name: 'MD5 of 4 KiB', bytes: small.length, run: () => createHash('md5').update(small).digest() },
  ];
}

function signatureCase(): Case {
  const credentials = { accessKey: 'bench', secretKey: 'benchbench', region: 'us-east-1' };
  const now = new Date();
  const [path, rawQuery] = presign('GET', 'host:9000', '/bucket/bench/0000001', credentials, '', now).split('?');
  const headers = new Headers();
  headers.add('host', 'host:9000');
  const key = signingKey(credentials.secretKey, now.toISOString().slice(0, 10).replaceAll('-', ''), 'us-east-1');
  return {
    name: 'S3 signature, read and checked, presigned GET',
    run: () => {
      const query = new Query(rawQuery!); // a presigned target has one
      const request: SignedRequest = { method: 'GET', path: path!, rawQuery: rawQuery!, query, headers };
      verifyClaim(request, readClaim(request, now.getTime()), key);
    },
  };
}

function listingCase(): Case {
  const keys = Array.from({ length: LIST_PAGE }, (_, index) => `bench/${String(index).padStart(7, '0')}`);
  const entry = (key: string): string =>
    `<Contents>${element('Key', key)}${etagElement('0123456789abcdef')}${element('Size', 4096)}</Contents>`;
  return {
    name: `listing of ${LIST_PAGE} keys, XML`,
    run: () => Buffer.from(document('ListBucketResult', keys.map(entry).join('')), 'latin1'),
  };
}

function fuseCases(): Case[] {
  const request = Buffer.alloc(requestHeader.bytes + NAME.length + 1);
  const asked = { length: request.length, opcode: LOOKUP, unique: 99, node: 1, uid: 0, gid: 0, pid: 1, extensions: 0 };
  requestHeader.write(request, 0, asked);
  request.write(NAME, requestHeader.bytes, 'latin1');
  const answer = Buffer.alloc(answerHeader.bytes + attrOut.bytes);
  const attributes = attrOut.read(Buffer.alloc(attrOut.bytes), 0, attrOut.bytes);
  return [
    {
      name: 'FUSE request, LOOKUP, parsed',
      run: () => {
        const { length } = requestHeader.read(request, 0, request.length);
        return decodeName(request, requestHeader.bytes, length);
      },
    },
    {
      name: 'FUSE answer, attributes, written',
      run: () => {
        answerHeader.write(answer, 0, { length: answer.length, error: 0, unique: 99 });
        attrOut.write(answer, answerHeader.bytes, attributes);
      },
    },
  ];
}
