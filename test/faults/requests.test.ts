// Requests that are wrong, cut off or too many get S3's errors and change nothing for others.

import assert from 'node:assert';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { presign } from '../../perf/load/presign.js';
import { HOST, type NodeTarget, startNode } from '../../perf/servers.js';
import { S3 } from '../support/s3.js';

const HALF_OPEN = 10_000;
const MINUTE_MS = 60_000;
let node: NodeTarget;
let s3: S3;

before(async () => {
  node = await startNode();
  s3 = new S3(node.port, node.credentials);
  assert.strictEqual((await s3.put('/faults')).status, 200);
});

after(async () => {
  s3.close();
  await node.stop();
});

test('a key that is unknown or whose secret is wrong gets 403 with the code for it', async () => {
  const unknown = new S3(node.port, { ...node.credentials, accessKey: 'nobody' });
  const wrong = new S3(node.port, { ...node.credentials, secretKey: 'wrong' });
  for (const [client, code] of [
    [unknown, 'InvalidAccessKeyId'],
    [wrong, 'SignatureDoesNotMatch'],
  ] as const) {
    const answer = await client.put('/faults/stolen', Buffer.from('x'));
    assert.strictEqual(answer.status, 403);
    assert.match(answer.body.toString(), new RegExp(`<Code>${code}</Code>`));
    client.close();
  }
  assert.strictEqual((await s3.get('/faults/stolen')).status, 404);
});

test('a request signed 20 minutes from now is refused', async () => {
  const host = `${HOST}:${node.port}`;
  const later = new Date(Date.now() + 20 * MINUTE_MS);
  const target = presign('GET', host, '/faults/x', node.credentials, '', later);
  const answer = await fetch(`http://${host}${target}`);
  assert.strictEqual(answer.status, 403);
});

test('an upload that is cut off leaves nothing, and what stood stays', async () => {
  await s3.put('/faults/cut', Buffer.from('before'));
  for (const sent of [0, 1000, 5_000_000]) {
    const host = `${HOST}:${node.port}`;
    const target = presign('PUT', host, '/faults/cut', node.credentials);
    const socket = net.connect({ host: HOST, port: node.port });
    socket.on('error', () => {});
    socket.write(`PUT ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 6000000\r\n\r\n`);
    await new Promise<void>((resolve) => socket.write(Buffer.alloc(sent, 'y'), () => resolve()));
    socket.destroy();
    await new Promise((resolve) => socket.once('close', resolve));
    assert.strictEqual((await s3.get('/faults/cut')).body.toString(), 'before');
  }
});

test('ten thousand half-open connections do not keep others from being served', async () => {
  const sockets: net.Socket[] = [];
  try {
    for (let opened = 0; opened < HALF_OPEN; opened += 500) {
      const batch = Array.from({ length: 500 }, () => halfOpen(node.port));
      sockets.push(...(await Promise.all(batch)));
    }
    for (let round = 0; round < 20; round++) {
      const begun = performance.now();
      assert.strictEqual((await s3.put(`/faults/beside${round}`, Buffer.alloc(4096, 'z'))).status, 200);
      assert.strictEqual((await s3.get(`/faults/beside${round}`)).body.length, 4096);
      assert(performance.now() - begun < 2000);
    }
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

/** A connection on which half a request was sent. */
function halfOpen(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: HOST, port }, () => {
      socket.write('GET /faults/x HTTP/1.1\r\nHost: ');
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
