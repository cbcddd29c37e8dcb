// How a client reaches a node that is on its own machine, or says that it is not.

import assert from 'node:assert';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { connectRemote, type RemoteNode } from '../../../client/connect/index.js';
import { HOST, type NodeTarget, startNode } from '../../../perf/servers.js';
import { localSocket, serverName } from '../../../proto/local-socket.js';

let node: NodeTarget;
/** /proc/net/unix: the state of a socket that is connected, and not one that listens. */
const CONNECTED = ' 03 ';

before(async () => {
  node = await startNode();
});

after(() => node.stop());

async function withRemote(body: (remote: RemoteNode) => Promise<void>): Promise<void> {
  const remote = await connectRemote({
    server: { host: HOST, port: node.listen },
    client: 'test of connections',
    warn: (text) => assert.fail(text),
  });
  try {
    await body(remote);
  } finally {
    await remote.close();
  }
}

function connections(name: string): number {
  const shown = localSocket(name).replace('\0', '@');
  const lines = fs.readFileSync('/proc/net/unix', 'utf8').split('\n');
  return lines.filter((line) => line.includes(shown) && line.includes(CONNECTED)).length;
}

test('a client on the node’s machine uses the local sockets of all its threads', () =>
  withRemote(async ({ meta, blockChannels, info }) => {
    assert.ok((await meta.call('volumeList', 0, { after: '', limit: 10 })).volumes.length >= 0);
    const names = [
      ...info.metaPorts.map((_, thread) => serverName(info.node, `meta/${thread}`)),
      ...blockChannels.map((_, thread) => serverName(info.node, `block/${thread}`)),
    ];
    const deadline = performance.now() + 5000;
    while (!names.every((name) => connections(name) === 1)) {
      assert.ok(performance.now() < deadline, 'not every thread was reached by its local socket');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }));
