// Many connections, slow ones, stalled ones, and the gateway's end: nobody disturbs anybody else.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { type TestGateway, testGateway } from './harness.js';
import { RawConnection, send, sign } from './raw.js';

let t: TestGateway;
const large = randomBytes(24 << 20);

before(async () => {
  t = await testGateway();
  await t.service.call('volumeCreate', 0, { name: 'many', owner: 'bench' });
  await send(t.host, { method: 'PUT', path: '/many/small', body: Buffer.from('small') });
  await send(t.host, { method: 'PUT', path: '/many/large', body: large });
});

after(() => t.gateway.close());

const getSmall = async (): Promise<string> =>
  (await send(t.host, { method: 'GET', path: '/many/small' })).body.toString();

/** A client that asks for the large object and takes nothing of it. */
async function stalled(): Promise<RawConnection> {
  const connection = new RawConnection(t.host);
  connection.write(sign(t.host, { method: 'GET', path: '/many/large' }).head);
  await connection.until(() => connection.pending > 0);
  connection.socket.pause();
  return connection;
}

test('a large object read slowly, and by many at once, arrives whole', async () => {
  const reads = Array.from({ length: 8 }, async (_, index) => {
    const connection = new RawConnection(t.host);
    connection.write(sign(t.host, { method: 'GET', path: '/many/large' }).head);
    if (index % 2 === 0) {
      for (let round = 0; round < 10; round++) {
        connection.socket.pause();
        await new Promise((resolve) => setTimeout(resolve, 10));
        connection.socket.resume();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    const answer = await connection.read();
    connection.close();
    return answer.body;
  });
  for (const body of await Promise.all(reads)) assert.ok(body.equals(large));
});

test('clients that stall in the middle of an object keep no buffer from those who read on', async () => {
  const stalledClients: RawConnection[] = [];
  for (let at = 0; at < limits.s3ReadPieces + 10; at++) stalledClients.push(await stalled());
  const answer = await send(t.host, { method: 'GET', path: '/many/large' });
  assert.ok(answer.body.equals(large));
  const first = stalledClients[0]!;
  // Longer than the server's own patience with a connection that takes nothing.
  await assert.rejects(
    first.until(() => first.ended, 16_000),
    /in vain/,
  );
  first.socket.resume();
  assert.ok((await first.read()).body.equals(large), 'and who stalled long can still read on');
  for (const connection of stalledClients) connection.close();
  assert.equal(await getSmall(), 'small');
});

test('a client that goes away in the middle of an object is forgotten', async () => {
  for (let round = 0; round < 3 * limits.s3ReadPieces; round += 32) {
    const clients = await Promise.all(Array.from({ length: 32 }, stalled));
    for (const connection of clients) connection.close();
  }
  assert.ok((await send(t.host, { method: 'GET', path: '/many/large' })).body.equals(large));
  assert.deepEqual(t.errors, []);
});

/** Opens connections that send half a head and nothing more. A process of its own: it needs as many descriptors. */
const HALF_OPEN = `
const { connect } = require('node:net');
const [port, count] = process.argv.slice(1).map(Number);
let open = 0;
let failed = 0;
const next = () => {
  if (open + failed >= count) return;
  const socket = connect(port, '127.0.0.1', () => {
    socket.write('PUT /many/x HTTP/1.1\\r\\nHost: x\\r\\nX-Half');
    open++;
    if (open + failed === count) process.stdout.write(String(open));
    next();
  });
  socket.on('error', () => { failed++; if (open + failed === count) process.stdout.write(String(open)); next(); });
};
for (let i = 0; i < 64; i++) next();
`;

test('10,000 half-open connections do not disturb the others', async () => {
  const count = 10_000;
  const child = spawn(process.execPath, ['-e', HALF_OPEN, String(t.gateway.port), String(count)]);
  const open = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (data: Buffer) => resolve(Number(data.toString())));
    child.once('exit', () => reject(new Error('the client ended')));
  });
  // A machine may allow fewer descriptors than that: those it has are enough to tell.
  assert.ok(open > count / 4, `${open} connections`);
  const begun = performance.now();
  for (let round = 0; round < 50; round++) assert.equal(await getSmall(), 'small');
  const each = (performance.now() - begun) / 50;
  assert.ok(each < 100, `a GET beside them takes ${each} ms`);
  child.kill('SIGKILL');
  assert.equal(await getSmall(), 'small');
});

test('one connection more than a gateway may have is closed, and none of the others', async () => {
  const own = await testGateway({ connectionsMax: 3 });
  const connections = [0, 1, 2].map(() => new RawConnection(own.host));
  const ask = async (connection: RawConnection): Promise<number> => {
    connection.write(sign(own.host, { method: 'GET', path: '/' }).head);
    return (await connection.read()).status;
  };
  for (const connection of connections) assert.equal(await ask(connection), 200);
  const fourth = new RawConnection(own.host);
  await fourth.until(() => fourth.ended);
  for (const connection of connections) assert.equal(await ask(connection), 200);
  connections[0]!.close();
  const limit = Date.now() + 10_000;
  for (let isServed = false; !isServed; ) {
    assert.ok(Date.now() < limit);
    isServed = await ask(new RawConnection(own.host)).then(
      (status) => status === 200,
      () => false,
    );
  }
  await own.gateway.close();
});

test('a gateway that closes finishes what is under way and takes nothing new', async () => {
  const own = await testGateway();
  await own.service.call('volumeCreate', 0, { name: 'many', owner: 'bench' });
  const body = randomBytes(200_000);
  const connection = new RawConnection(own.host);
  const headers = { 'content-length': String(body.length) };
  connection.write(sign(own.host, { method: 'PUT', path: '/many/last', headers, body }).head);
  connection.write(body.subarray(0, 1000));
  const limit = Date.now() + 10_000;
  while (own.service.writers.size === 0 && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 5));
  const late = new RawConnection(own.host);
  const head = { method: 'HEAD', path: '/many' };
  late.write(sign(own.host, head).head);
  assert.equal((await late.read('HEAD')).headers.connection, undefined);
  const closed = own.gateway.close();
  late.write(sign(own.host, head).head);
  assert.equal((await late.read('HEAD')).headers.connection, 'close');
  const refused: Socket = connect(own.gateway.port, '127.0.0.1');
  await assert.rejects(new Promise((resolve, reject) => refused.once('connect', resolve).once('error', reject)));
  connection.write(body.subarray(1000));
  const answer = await connection.read();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.connection, 'close', 'clients that ask on and on would keep it from ending');
  await closed;
  await connection.until(() => connection.ended);
});

test('two gateways share one port, and one that cannot be listened on is refused with its name', async () => {
  // A port that the system chooses is not shared: this one was free a moment ago.
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  const gateways = [await testGateway({ port }), await testGateway({ port })];
  for (const { gateway } of gateways) assert.equal(gateway.port, port);
  const answer = await send(gateways[0]!.host, { method: 'GET', path: '/' });
  assert.equal(answer.status, 200);
  for (const { gateway } of gateways) await gateway.close();
  await assert.rejects(testGateway({ host: '203.0.113.1' }), /203\.0\.113\.1/);
});
