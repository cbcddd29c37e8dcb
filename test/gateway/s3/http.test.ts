// The gateway under bytes that no library would send, and under services that fail.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type TestGateway, testGateway } from './harness.js';
import { RawConnection, type RawRequest, send, sign } from './raw.js';

let t: TestGateway;
let nowMs: number | undefined;

before(async () => {
  t = await testGateway({ now: () => nowMs ?? Date.now() });
  await t.service.call('volumeCreate', 0, { name: 'raw', owner: 'bench' });
});

after(() => t.gateway.close());

const ask = (request: RawRequest) => send(t.host, request);
const put = (key: string, body: Buffer, headers: Record<string, string> = {}) =>
  ask({ method: 'PUT', path: `/raw/${key}`, body, headers });
const get = (key: string, headers: Record<string, string> = {}) => ask({ method: 'GET', path: `/raw/${key}`, headers });

async function eventually(what: string, condition: () => boolean): Promise<void> {
  const limit = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < limit, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('an upload that breaks off leaves nothing visible, and its blocks are given up', async () => {
  const aborted = t.service.aborted;
  const connection = new RawConnection(t.host);
  const headers = { 'content-length': '1000000' };
  connection.write(sign(t.host, { method: 'PUT', path: '/raw/cut', headers, payload: 'UNSIGNED-PAYLOAD' }).head);
  connection.write(Buffer.alloc(500_000));
  await eventually('the gateway began to write', () =>
    [...t.service.writers].some((writer) => writer.size === 500_000),
  );
  connection.close();
  await eventually('the writer was aborted', () => t.service.aborted === aborted + 1);
  assert.equal((await get('cut')).code, 'NoSuchKey');
});

test('Expect: 100-continue is answered before the body is sent', async () => {
  const connection = new RawConnection(t.host);
  const body = Buffer.from('continued');
  const headers = { 'content-length': String(body.length), expect: '100-continue' };
  connection.write(sign(t.host, { method: 'PUT', path: '/raw/expected', headers, body }).head);
  assert.equal((await connection.read()).status, 100);
  connection.write(body);
  assert.equal((await connection.read()).status, 200);
  connection.close();
});

test('a body that does not match what was signed changes nothing', async () => {
  await put('kept', Buffer.from('old'));
  const wrong = await ask({ method: 'PUT', path: '/raw/kept', body: Buffer.from('new'), payload: '0'.repeat(64) });
  assert.equal(wrong.code, 'XAmzContentSHA256Mismatch');
  assert.equal((await get('kept')).body.toString(), 'old');
});

test('a PUT without a length is refused, and one that is too large before a byte of it is read', async () => {
  const request = { method: 'PUT', path: '/raw/x', payload: 'UNSIGNED-PAYLOAD' };
  assert.equal((await ask(request)).code, 'MissingContentLength');
  const large = await ask({ ...request, headers: { 'content-length': String(limits.s3PartBytes + 1) } });
  assert.equal(large.code, 'EntityTooLarge');
  assert.equal((await ask({ ...request, headers: { 'content-length': '1e3' } })).status, 400);
  const unsized = {
    ...request,
    payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    headers: { 'transfer-encoding': 'chunked' },
  };
  assert.equal((await ask(unsized)).code, 'MissingContentLength');
});

test('a body in chunks of HTTP is taken whole, and one that breaks off is not', async () => {
  const head = sign(t.host, {
    method: 'PUT',
    path: '/raw/http-chunks',
    payload: 'UNSIGNED-PAYLOAD',
    headers: { 'transfer-encoding': 'chunked' },
  }).head;
  const cut = new RawConnection(t.host);
  const aborted = t.service.aborted;
  cut.write(`${head}5\r\nhello\r\n`);
  await eventually('the gateway began to write', () => [...t.service.writers].some((writer) => writer.size === 5));
  cut.close();
  await eventually('the writer was aborted', () => t.service.aborted > aborted);
  assert.equal((await get('http-chunks')).code, 'NoSuchKey');
  const whole = new RawConnection(t.host);
  whole.write(`${head}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`);
  assert.equal((await whole.read()).status, 200);
  whole.close();
  assert.equal((await get('http-chunks')).body.toString(), 'hello world');
});

test('an error that comes before the body is read leaves the connection usable', async () => {
  const connection = new RawConnection(t.host);
  const body = randomBytes(3 << 20);
  const headers = { 'content-length': String(body.length) };
  connection.write(sign(t.host, { method: 'PUT', path: '/raw/x', headers, body, secretKey: 'wrong' }).head);
  connection.write(body);
  assert.equal((await connection.read()).code, 'SignatureDoesNotMatch');
  connection.write(sign(t.host, { method: 'PUT', path: '/raw/after', headers, body }).head);
  connection.write(body);
  assert.equal((await connection.read()).status, 200);
  connection.close();
});

test('one connection serves reads, writes, heads and errors in a row', async () => {
  const connection = new RawConnection(t.host);
  const body = Buffer.from('in a row');
  for (let round = 0; round < 20; round++) {
    const headers = { 'content-length': '8' };
    connection.write(sign(t.host, { method: 'PUT', path: '/raw/row', headers, body }).head);
    connection.write(body);
    assert.equal((await connection.read()).status, 200);
    connection.write(sign(t.host, { method: 'HEAD', path: '/raw/row' }).head);
    const head = await connection.read('HEAD');
    assert.equal(head.headers['content-length'], '8');
    connection.write(sign(t.host, { method: 'HEAD', path: '/raw/none' }).head);
    assert.equal((await connection.read('HEAD')).status, 404);
    connection.write(sign(t.host, { method: 'GET', path: '/raw/row' }).head);
    assert.equal((await connection.read()).body.toString(), 'in a row');
    connection.write(sign(t.host, { method: 'GET', path: '/raw/row', headers: { 'if-none-match': '*' } }).head);
    assert.equal((await connection.read()).status, 304);
    connection.write(
      sign(t.host, { method: 'POST', path: '/raw/up', query: 'uploads', headers: { 'content-length': '0' } }).head,
    );
    assert.equal((await connection.read()).status, 200);
    connection.write(sign(t.host, { method: 'DELETE', path: '/raw/row' }).head);
    assert.equal((await connection.read('DELETE')).status, 204);
  }
  connection.close();
});

/** A body of unsigned chunks with a trailer. */
function chunked(data: Buffer, trailer: string): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < data.length; at += 60_000) {
    const piece = data.subarray(at, at + 60_000);
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...pieces, Buffer.from(`0\r\n${trailer}\r\n\r\n`)]);
}

test('a chunked body is taken with the trailer it promised, and only with that', async () => {
  const data = randomBytes(200_000);
  const sha1 = createHash('sha1').update(data).digest('base64');
  const other = createHash('sha1').update('other').digest('base64');
  const upload = (trailer: string, length = data.length) =>
    ask({
      method: 'PUT',
      path: '/raw/chunked',
      payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      body: chunked(data, trailer),
      headers: {
        'content-encoding': 'gzip,aws-chunked',
        'x-amz-decoded-content-length': String(length),
        'x-amz-trailer': 'x-amz-checksum-sha1',
      },
    });
  assert.equal((await upload(`x-amz-checksum-sha1:${other}`)).code, 'BadDigest');
  assert.equal((await upload('x-amz-checksum-sha1:nonsense')).code, 'InvalidRequest');
  assert.equal((await upload('x-amz-other:x')).code, 'InvalidRequest');
  assert.equal((await upload(`x-amz-checksum-sha1:${sha1}`, data.length + 1)).code, 'IncompleteBody');
  assert.equal((await upload(`x-amz-checksum-sha1:${sha1}`, data.length - 1)).code, 'IncompleteBody');
  assert.equal((await get('chunked')).code, 'NoSuchKey');
  const taken = await upload(`x-amz-checksum-sha1:${sha1}`);
  assert.equal(taken.headers['x-amz-checksum-sha1'], sha1);
  const read = await get('chunked', { 'x-amz-checksum-mode': 'ENABLED' });
  assert.deepEqual(read.body, data);
  assert.equal(read.headers['x-amz-checksum-sha1'], sha1);
  assert.equal(read.headers['content-encoding'], 'gzip');
});

test('CRC-32C and CRC-64/NVME of a body are verified and kept', async () => {
  const body = Buffer.from('123456789');
  const values = { crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' };
  for (const [name, hex] of Object.entries(values)) {
    const header = `x-amz-checksum-${name}`;
    const right = Buffer.from(hex, 'hex').toString('base64');
    const wrong = Buffer.from(hex, 'hex').reverse().toString('base64');
    assert.equal((await put('crc', body, { [header]: wrong })).code, 'BadDigest');
    assert.equal((await put('crc', body, { [header]: right })).headers[header], right);
    const head = await ask({ method: 'HEAD', path: '/raw/crc', headers: { 'x-amz-checksum-mode': 'ENABLED' } });
    assert.equal(head.headers[header], right);
    assert.equal((await get('crc')).headers[header], undefined, 'only where it is asked for');
  }
});

test('a writer that is full gets nothing more until it drains, and the body arrives whole', async () => {
  t.service.writeBound = 100_000;
  const body = randomBytes(8 << 20);
  await put('slow', body);
  const headers = { 'x-amz-decoded-content-length': String(body.length), 'x-amz-trailer': 'x-amz-checksum-sha1' };
  const trailer = `x-amz-checksum-sha1:${createHash('sha1').update(body).digest('base64')}`;
  const payload = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
  const request = { method: 'PUT', path: '/raw/slow-chunked', payload, body: chunked(body, trailer), headers };
  assert.equal((await ask(request)).status, 200);
  t.service.writeBound = 1 << 30;
  for (const key of ['slow', 'slow-chunked'])
    assert.equal(t.service.md5('raw', key), createHash('md5').update(body).digest('hex'));
  for (const writer of t.service.writers) assert.equal(writer.overrun, 0);
});

test('everything works the same where nothing is known on the thread', async () => {
  t.service.local = false;
  nowMs = Date.now() + limits.s3AccessKeyMs;
  const body = randomBytes(700_000);
  assert.equal((await put('far', body)).status, 200);
  assert.deepEqual((await get('far')).body, body);
  assert.deepEqual((await get('far', { range: 'bytes=5-9' })).body, body.subarray(5, 10));
  assert.equal((await ask({ method: 'HEAD', path: '/raw/far' })).headers['content-length'], '700000');
  assert.match(
    (await ask({ method: 'GET', path: '/raw', query: 'list-type=2&prefix=far' })).body.toString(),
    /<Key>far</,
  );
  assert.equal((await ask({ method: 'GET', path: '/none/far' })).code, 'NoSuchBucket');
  assert.equal((await ask({ method: 'GET', path: '/raw/far', accessKey: 'nobody' })).code, 'InvalidAccessKeyId');
  assert.equal((await put('refused', body, { 'x-amz-acl': 'public-read' })).code, 'AccessControlListNotSupported');
  t.service.local = true;
  nowMs = undefined;
});

test('a key that was deleted is refused once its record is too old', async () => {
  t.service.accessKeys.set('gone', { secretKey: 'soon', user: 'bench' });
  const request = { method: 'GET', path: '/raw/row', accessKey: 'gone', secretKey: 'soon' };
  assert.equal((await ask(request)).code, 'NoSuchKey');
  t.service.accessKeys.delete('gone');
  nowMs = Date.now() + limits.s3AccessKeyMs + 1;
  assert.equal((await ask(request)).code, 'InvalidAccessKeyId');
  nowMs = undefined;
});

test('what the service refuses has the code that S3 has for it', async () => {
  const cases: [Status, number, string][] = [
    [Status.BUSY, 503, 'SlowDown'],
    [Status.NOSPC, 507, 'StorageFull'],
    [Status.TIMEOUT, 503, 'ServiceUnavailable'],
    [Status.ROFS, 403, 'AccessDenied'],
    [Status.PRECONDITION_FAILED, 412, 'PreconditionFailed'],
    [Status.NO_SUCH_GROUP, 404, 'NoSuchBucket'],
    [Status.CORRUPT, 500, 'InternalError'],
  ];
  for (const [status, http, code] of cases) {
    for (const operation of ['objectPut', 'objectOpen']) {
      t.service.failures.set(operation, new OfsError(status, 'as the test wants it'));
      const answer = operation === 'objectPut' ? await put('failing', Buffer.from('x')) : await get('kept');
      t.service.failures.clear();
      assert.deepEqual([answer.status, answer.code], [http, code], operation);
    }
  }
  assert.equal((await get('failing')).code, 'NoSuchKey');
  assert.equal(t.errors.splice(0).length, 2, 'what no client can mend is logged');
});

test('a read that fails in the middle of a body closes the connection instead of ending short', async () => {
  await put('broken', randomBytes(4 << 20));
  t.service.onRead = (offset) => {
    if (offset > 1 << 20) t.service.failures.set('read', new OfsError(Status.CORRUPT, 'a block is damaged'));
  };
  const answer = await get('broken');
  t.service.onRead = undefined;
  t.service.failures.clear();
  assert.equal(answer.status, 200);
  assert.ok(answer.short);
  assert.equal(t.errors.splice(0).length, 1);
  t.service.failures.set('read', new OfsError(Status.CORRUPT, 'a block is damaged'));
  const whole = await get('broken');
  t.service.failures.clear();
  assert.equal(whole.code, 'InternalError', 'before the first byte it is an answer like any other');
  assert.equal(t.errors.splice(0).length, 1);
});

test('requests that nobody can answer get the code that says why', async () => {
  const cases: [RawRequest, number, string][] = [
    [{ method: 'PATCH', path: '/raw/kept' }, 405, 'MethodNotAllowed'],
    [{ method: 'POST', path: '/raw/kept', headers: { 'content-length': '0' } }, 405, 'MethodNotAllowed'],
    [{ method: 'DELETE', path: '/' }, 405, 'MethodNotAllowed'],
    [{ method: 'OPTIONS', path: '/raw/kept' }, 403, 'AccessForbidden'],
    [{ method: 'GET', path: '/raw/kept', query: 'torrent' }, 501, 'NotImplemented'],
    [{ method: 'PUT', path: '/raw', query: 'lifecycle', headers: { 'content-length': '0' } }, 501, 'NotImplemented'],
    [{ method: 'GET', path: '/raw/kept', query: 'versionId=abc' }, 404, 'NoSuchVersion'],
    [{ method: 'GET', path: '/raw/kept', headers: { 'x-amz-security-token': 't' } }, 400, 'InvalidToken'],
    [{ method: 'GET', path: '/raw/a%00b' }, 400, 'InvalidArgument'],
    [{ method: 'GET', path: '/raw', query: 'max-keys=-1' }, 400, 'InvalidArgument'],
    [
      {
        method: 'PUT',
        path: '/raw/x',
        payload: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD',
        headers: { 'content-length': '0' },
      },
      501,
      'NotImplemented',
    ],
    [
      { method: 'PUT', path: '/raw/x', payload: 'nonsense', headers: { 'content-length': '0' } },
      400,
      'InvalidArgument',
    ],
  ];
  for (const [request, status, code] of cases) {
    const answer = await ask(request);
    assert.deepEqual(
      [answer.status, answer.code],
      [status, code],
      `${request.method} ${request.path}?${request.query}`,
    );
  }
  const connection = new RawConnection(t.host);
  connection.write('GET /raw/kept HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await connection.read()).code, 'AccessDenied');
  connection.close();
  assert.match((await ask({ method: 'GET', path: '/raw/kept', query: 'torrent' })).body.toString(), /\?torrent/);
});

test('documents that are no XML, have a doctype or are too large are refused', async () => {
  const remove = (body: Buffer) => ask({ method: 'POST', path: '/raw', query: 'delete', body });
  assert.equal((await remove(Buffer.from('<Delete><Object>'))).code, 'MalformedXML');
  assert.equal((await remove(Buffer.from('<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>'))).code, 'MalformedXML');
  assert.equal((await remove(Buffer.from('<Delete/>'))).code, 'MalformedXML');
  assert.equal((await remove(Buffer.alloc(limits.s3XmlBodyBytes + 1, ' '))).code, 'MaxMessageLengthExceeded');
  assert.equal((await get('kept')).status, 200);
});

test('a copy that the service will not do by naming blobs is done by reading them', async () => {
  const body = randomBytes(2 << 20);
  await put('copy-source', body, { 'x-amz-meta-a': 'b' });
  t.service.objectCopyRefuses = true;
  const headers = { 'x-amz-copy-source': '/raw/copy-source', 'content-length': '0' };
  const copied = await ask({ method: 'PUT', path: '/raw/copy-target', headers });
  t.service.objectCopyRefuses = false;
  assert.equal(copied.status, 200);
  const read = await get('copy-target');
  assert.deepEqual(read.body, body);
  assert.equal(read.headers['x-amz-meta-a'], 'b');
  const conditional = { ...headers, 'if-none-match': '*' };
  assert.equal(
    (await ask({ method: 'PUT', path: '/raw/copy-target', headers: conditional })).code,
    'PreconditionFailed',
  );
});

test('heads up to the limit are taken, longer ones refused, and garbage disturbs nobody', async () => {
  const long = await get('kept', { 'x-long': 'x'.repeat(limits.s3HeaderBytes - 2000) });
  assert.equal(long.status, 200);
  const longer = await get('kept', { 'x-long': 'x'.repeat(limits.s3HeaderBytes) });
  assert.equal(longer.status, 431);
  for (let round = 0; round < 50; round++) {
    const connection = new RawConnection(t.host);
    connection.write(
      round % 2 === 0 ? randomBytes(200) : `GET /${'%'.repeat(round)} HTTP/1.1\r\n${'a: b\r\n'.repeat(round)}\r\n`,
    );
    await new Promise((resolve) => connection.socket.once('connect', resolve));
    connection.socket.end();
  }
  assert.equal((await get('kept')).body.toString(), 'old');
  assert.deepEqual(t.errors, []);
});

test('a region other than us-east-1 is told, and does not let a bucket be created twice', async () => {
  const own = await testGateway({ region: 'eu-central-1' });
  const constraint = (region: string) =>
    Buffer.from(
      `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`,
    );
  const create = (body: Buffer) => send(own.host, { method: 'PUT', path: '/far-away', body });
  assert.equal((await create(constraint('us-west-2'))).code, 'InvalidLocationConstraint');
  assert.equal((await create(Buffer.from('<Other/>'))).code, 'MalformedXML');
  assert.equal((await create(constraint('eu-central-1'))).status, 200);
  assert.equal((await create(Buffer.alloc(0))).code, 'BucketAlreadyOwnedByYou');
  const location = await send(own.host, { method: 'GET', path: '/far-away', query: 'location' });
  assert.match(location.body.toString(), />eu-central-1</);
  const head = await send(own.host, { method: 'HEAD', path: '/far-away' });
  assert.equal(head.headers['x-amz-bucket-region'], 'eu-central-1');
  await own.gateway.close();
});
