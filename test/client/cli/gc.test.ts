// `ofs gc` on a node that changes while it is looked at: what living volumes name stays.

import assert from 'node:assert';
import { after, before, test } from 'node:test';
import { collect } from '../../../client/cli/gc.js';
import { connectRemote, type RemoteNode } from '../../../client/connect/index.js';
import { HOST, type NodeTarget, runOfs, startNode } from '../../../perf/servers.js';
import { S3 } from '../../support/s3.js';

let node: NodeTarget;
let s3: S3;

before(async () => {
  node = await startNode();
  s3 = new S3(node.port, node.credentials);
});

after(async () => {
  s3.close();
  await node.stop();
});

/** Runs `ofs gc`, and `change` as soon as it knows which volumes there are. */
async function collectWhile(change: () => Promise<void>): Promise<void> {
  const remote = await connectRemote({
    server: { host: HOST, port: node.listen },
    client: 'test of gc',
    warn: (text) => assert.fail(text),
  });
  let isChanged = false;
  const meta = new Proxy(remote.meta, {
    get: (target, name) => {
      if (name !== 'call') return Reflect.get(target, name);
      return async (...request: Parameters<RemoteNode['meta']['call']>) => {
        const answer = await target.call(...request);
        if (request[0] === 'volumeList' && !isChanged) {
          isChanged = true;
          await change();
        }
        return answer;
      };
    },
  });
  try {
    await collect({ ...remote, meta }, { dryRun: false, holes: 1, json: true });
    assert(isChanged);
  } finally {
    await remote.close();
  }
}

test('an object in a volume that was made while gc ran stays', async () => {
  const body = Buffer.alloc(300_000, 'young');
  await s3.put('/before');
  await collectWhile(async () => {
    assert.strictEqual((await s3.put('/young')).status, 200);
    assert.strictEqual((await s3.put('/young/object', body)).status, 200);
  });
  const { status, body: read } = await s3.get('/young/object');
  assert.strictEqual(status, 200);
  assert(read.equals(body));
  const { code, stdout } = await runOfs(['fsck', '--data', '--server', `${HOST}:${node.listen}`]);
  assert.strictEqual(code, 0, stdout);
});

test('a volume that was deleted while gc ran does not stop it', async () => {
  await s3.put('/going');
  await s3.put('/going/object', Buffer.alloc(10_000));
  await collectWhile(async () => {
    const { code, stderr } = await runOfs([
      'volume',
      'delete',
      'going',
      '--force',
      '--server',
      `${HOST}:${node.listen}`,
    ]);
    assert.strictEqual(code, 0, stderr);
  });
});
