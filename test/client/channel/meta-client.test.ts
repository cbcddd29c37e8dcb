import assert from 'node:assert';
import { test } from 'node:test';
import { MetaClient, TcpChannel } from '../../../client/channel/index.js';
import { serveTcp } from '../../../node/rpc/index.js';
import { encode } from '../../../proto/codec.js';
import { metaOperations } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { Request, Service } from '../../../workers/channel.js';

const HOST = '127.0.0.1';

async function withClient(service: Service, body: (client: MetaClient) => Promise<void>): Promise<void> {
  const server = await serveTcp({ host: HOST, port: 0, service, name: 'test', warn: () => {} });
  const channel = new TcpChannel({ host: HOST, port: server.port, session: 0 });
  const onSession = (session: number): void => channel.rebind(session);
  const client = new MetaClient({ channels: [channel], local: null, client: 'test', onSession, warn: () => {} });
  try {
    await body(client);
  } finally {
    await client.close();
    await server.close(1000);
  }
}

function answerStatfs(request: Request): void {
  request.answer(Status.OK, encode(metaOperations.statfs.answer, { files: 1, bytes: 2 }));
}

test('a node that is busy, or ending, is asked again until it answers', async () => {
  const refusals: Status[] = [Status.BUSY, Status.CLOSED, Status.NOT_LEADER, Status.CLOSED];
  const service: Service = (request) => {
    const refusal = refusals.shift();
    if (refusal === undefined) answerStatfs(request);
    else request.answer(refusal, Buffer.from('later'));
  };
  await withClient(service, async (client) => {
    assert.deepStrictEqual(await client.call('statfs', 1, {}), { files: 1, bytes: 2 });
    assert.deepStrictEqual(refusals, []);
  });
});

test('a refusal that is final comes with its status and the message of the service', async () => {
  const service: Service = (request) => request.answer(Status.NOENT, Buffer.from('there is no ü'));
  await withClient(service, async (client) => {
    const failed = client.call('getattr', 1, { inode: 7 });
    await assert.rejects(
      failed,
      (error) => error instanceof OfsError && error.status === Status.NOENT && /ü/.test(error.message),
    );
  });
});

test('an answer that is not of its form is an error and not a hang', async () => {
  const service: Service = (request) => request.answer(Status.OK, Buffer.from([0x80]));
  await withClient(service, (client) => assert.rejects(client.call('statfs', 1, {}), /past the end/));
});

test('a session is opened once for all who ask, and what it holds is told with its renewal', async () => {
  const opened: number[] = [];
  const service: Service = (request) => {
    const { sessionOpen, sessionClose } = metaOperations;
    if (request.kind === sessionOpen.code) {
      opened.push(sessionOpen.request.read(request.body).session);
      request.answer(Status.OK, encode(sessionOpen.answer, { lifetimeMs: 1000 }));
    } else if (request.kind === sessionClose.code) request.answer(Status.OK);
    else answerStatfs(request);
  };
  await withClient(service, async (client) => {
    const sessions = await Promise.all([client.session(1), client.session(1), client.session(2)]);
    assert.deepStrictEqual(sessions, [client.sessionNumber, client.sessionNumber, client.sessionNumber]);
    assert.deepStrictEqual(opened, [client.sessionNumber, client.sessionNumber]);
  });
});
