// The node is stopped cleanly and started again under a mount that is written to: nobody sees an error.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { freePorts, HOST, killNodes, runOfs, startNode } from '../../perf/servers.js';
import { S3 } from '../support/s3.js';
import { MountWriter } from './mount-writer.js';

const ROUNDS = 4;
const BUCKET = 'stop';

after(killNodes);

test('a mount goes on over clean stops of the node, and what it was promised is there', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-stop-'));
  const directory = path.join(root, 'mount');
  fs.mkdirSync(directory);
  const options = { data: path.join(root, 'data'), firstPort: await freePorts(3) };
  let node = await startNode(options);
  const server = ['--server', `${HOST}:${node.listen}`];
  try {
    assert.strictEqual((await runOfs(['volume', 'create', BUCKET, ...server])).code, 0);
    assert.strictEqual((await runOfs(['mount', BUCKET, directory, ...server])).code, 0);
    const writer = new MountWriter(BUCKET, directory, 0);
    for (let round = 0; round < ROUNDS; round++) {
      writer.start();
      await until(() => writer.done > 3 * (2 * round + 1));
      const before = writer.done;
      await node.stop();
      node = await startNode(options);
      await until(() => writer.done > before + 3);
      await writer.stop();
      const s3 = new S3(node.port, node.credentials);
      await writer.check(s3);
      s3.close();
    }
    assert.strictEqual((await runOfs(['umount', directory])).code, 0);
  } finally {
    await runOfs(['umount', '--lazy', directory]);
    await node.stop();
    fs.rmSync(root, { recursive: true, force: true });
  }
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    assert(performance.now() < deadline, 'the writer does not go on');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
