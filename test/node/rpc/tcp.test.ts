import assert from 'node:assert';
import net from 'node:net';
import { test } from 'node:test';
import { TcpChannel } from '../../../client/channel/index.js';
import { serveTcp, type TcpServer } from '../../../node/rpc/index.js';
import { localSocket, serverName } from '../../../proto/local-socket.js';
import { Status } from '../../../proto/status.js';
import type { Request, Service } from '../../../workers/channel.js';

const HOST = '127.0.0.1';
const GRACE_MS = 1000;

function serve(service: Service, port = 0, warn: (message: string) => void = () => {}): Promise<TcpServer> {
  return serveTcp({ host: HOST, port, service, name: 'test', warn });
}

const echo: Service = (request) => {
  const body = Buffer.from(request.body.buffer.subarray(request.body.position, request.body.end));
  request.answer(Status.OK, body, [request.payload]);
};

function ask(channel: TcpChannel, body: string, payload: Buffer | null = null): Promise<[number, string, Buffer]> {
  return new Promise((resolve) => {
    channel.call(300, 7, Buffer.from(body), payload, (status, reader, answer) => {
      const text = reader.buffer.toString('utf8', reader.position, reader.end);
      resolve([status, text, Buffer.from(answer)]);
    });
  });
}

test('requests with small and large payloads come back as they went', async () => {
  const server = await serve(echo);
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 5 });
  const large = Buffer.alloc(4 * 1024 * 1024, 'abc');
  const answers = await Promise.all([
    ask(channel, 'one'),
    ask(channel, 'two', Buffer.from('p')),
    ask(channel, '', large),
  ]);
  assert.deepStrictEqual(answers[0], [Status.OK, 'one', Buffer.alloc(0)]);
  assert.deepStrictEqual(answers[1], [Status.OK, 'two', Buffer.from('p')]);
  assert(answers[2]![2].equals(large));
  channel.close();
  await server.close(GRACE_MS);
});

test('after the server has gone and come back, what was unanswered is asked again under the same number', async () => {
  const seen: { number: number; session: number }[] = [];
  const silent = await serve((request) => seen.push({ number: request.number, session: request.session }));
  const { port } = silent;
  const channel = new TcpChannel({ host: HOST, port, session: 99 });
  const asked = Promise.all([ask(channel, 'first'), ask(channel, 'second')]);
  await until(() => seen.length === 2);
  await silent.close(0);
  const again: number[] = [];
  const server = await serve((request) => {
    again.push(request.number);
    echo(request);
  }, port);
  const answers = await asked;
  assert.deepStrictEqual(
    answers.map(([status, text]) => [status, text]),
    [
      [Status.OK, 'first'],
      [Status.OK, 'second'],
    ],
  );
  assert.deepStrictEqual(
    again,
    seen.map(({ number }) => number),
  );
  assert(seen.every(({ session }) => session === 99));
  channel.close();
  await server.close(GRACE_MS);
});

test('the window of a request reaches down to the oldest unanswered one', async () => {
  const held: Request[] = [];
  const windows: number[] = [];
  const server = await serve((request) => {
    windows.push(request.window);
    if (held.length === 0) held.push(request);
    else echo(request);
  });
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 1 });
  const first = ask(channel, 'held');
  await until(() => held.length === 1);
  for (let round = 0; round < 3; round++) await ask(channel, 'x');
  held[0]!.answer(Status.OK);
  await first;
  await ask(channel, 'last');
  assert.deepStrictEqual(windows, [0, 1, 2, 3, 0]);
  channel.close();
  await server.close(GRACE_MS);
});

test('bytes that are no frame end their own connection and no other', async () => {
  const warnings: string[] = [];
  const server = await serve(echo, 0, (message) => warnings.push(message));
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 0 });
  await ask(channel, 'before');
  const stranger = net.connect({ host: HOST, port: server.port });
  stranger.write(Buffer.alloc(64, 'GET / HTTP/1.1\r\n'));
  await new Promise((resolve) => stranger.once('close', resolve));
  assert.strictEqual((await ask(channel, 'after'))[1], 'after');
  assert.strictEqual(warnings.length, 1);
  channel.close();
  await server.close(GRACE_MS);
});

test('a closed channel answers CLOSED, and a server that ends answers what it has begun', async () => {
  const held: Request[] = [];
  const server = await serve((request) => held.push(request));
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 0 });
  const begun = ask(channel, 'begun');
  await until(() => held.length === 1);
  const closing = server.close(GRACE_MS);
  held[0]!.answer(Status.OK, Buffer.from('done'));
  assert.deepStrictEqual((await begun).slice(0, 2), [Status.OK, 'done']);
  await closing;
  channel.close();
  assert.strictEqual((await ask(channel, 'late'))[0], Status.CLOSED);
});

async function unusedPort(): Promise<number> {
  const server = await serve(echo);
  await server.close(0);
  return server.port;
}

let names = 0;

function uniqueName(): string {
  return serverName(`test-${process.pid}-${++names}`, 'meta/0');
}

/** Something else that holds the local socket of a name. */
async function squat(name: string, greet: (socket: net.Socket) => void): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen({ path: localSocket(name) }, resolve));
  return server;
}

test('a server of this machine is reached without its port, and again after it has gone and come back', async () => {
  const name = uniqueName();
  const server = await serveTcp({ host: HOST, port: 0, service: echo, name, local: true, warn: assert.fail });
  const port = await unusedPort();
  const channel = new TcpChannel({ host: HOST, port, session: 3, local: name });
  const large = Buffer.alloc(3_000_000, 'xyz');
  assert.ok((await ask(channel, 'one', large))[2].equals(large));
  await server.close(GRACE_MS);
  const asked = ask(channel, 'two');
  const sessions: number[] = [];
  const service: Service = (request) => {
    sessions.push(request.session);
    echo(request);
  };
  const next = await serveTcp({ host: HOST, port: 0, service, name, local: true, warn: assert.fail });
  assert.strictEqual((await asked)[1], 'two');
  assert.deepStrictEqual(sessions, [3]);
  channel.close();
  await next.close(GRACE_MS);
});

test('where no local socket of the name stands, TCP is used, and the local one as soon as it is there', async () => {
  const name = uniqueName();
  const first = await serve(echo);
  const { port } = first;
  const channel = new TcpChannel({ host: HOST, port, session: 1, local: name });
  assert.strictEqual((await ask(channel, 'by TCP'))[1], 'by TCP');
  const second = await serveTcp({ host: HOST, port: 0, service: echo, name, local: true, warn: assert.fail });
  await first.close(0);
  assert.strictEqual((await ask(channel, 'by name'))[1], 'by name');
  channel.close();
  await second.close(GRACE_MS);
});

test('who answers on the local socket under another name gets no request', async () => {
  const name = uniqueName();
  const impostor = await serveTcp({
    host: HOST,
    port: 0,
    service: () => assert.fail(),
    name: 'other',
    warn: assert.fail,
  });
  const squatter = await squat(name, (socket) => socket.pipe(net.connect(impostor.port, HOST)).pipe(socket));
  const server = await serve(echo);
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 1, local: name });
  assert.strictEqual((await ask(channel, 'to the right one'))[1], 'to the right one');
  channel.close();
  await new Promise((resolve) => squatter.close(resolve));
  await impostor.close(0);
  await server.close(GRACE_MS);
});

test('who says nothing on the local socket is left for TCP', async () => {
  const name = uniqueName();
  const taken: net.Socket[] = [];
  const squatter = await squat(name, (socket) => taken.push(socket));
  const server = await serve(echo);
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 1, local: name });
  assert.strictEqual((await ask(channel, 'late'))[1], 'late');
  assert.strictEqual(taken.length, 1);
  channel.close();
  for (const socket of taken) socket.destroy();
  await new Promise((resolve) => squatter.close(resolve));
  await server.close(GRACE_MS);
});

test('a server whose local socket is held by another says so and serves by TCP', async () => {
  const name = uniqueName();
  const squatter = await squat(name, (socket) => socket.destroy());
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  const server = await serveTcp({ host: HOST, port: 0, service: echo, name, local: true, warn });
  assert.match(warnings.join(), /local socket .* cannot be had/);
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 1, local: name });
  assert.strictEqual((await ask(channel, 'x'))[1], 'x');
  channel.close();
  await new Promise((resolve) => squatter.close(resolve));
  await server.close(GRACE_MS);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    assert(performance.now() < deadline, 'condition not reached within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
