// A crash of the machine: the data directory is an ext4 image mounted from a file. After SIGKILL the image is copied
// while it is still mounted, so what was never synced is really missing from the copy, and a node is started on the copy
// under another boot id.

import assert from 'node:assert';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { freePorts, HOST, killNodes, type NodeTarget, runOfs, startNode } from '../../perf/servers.js';
import { seededRandom } from '../support/random.js';
import { S3 } from '../support/s3.js';
import { S3Writers } from './s3-writer.js';

const ROUNDS = 5;
const IMAGE_MB = 1024;
const BUCKET = 'machine';
const run = promisify(execFile);

after(killNodes);

test('after crashes of the machine every acknowledged write is there, whole, and fsck finds nothing', async (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`seed ${seed}`);
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-machine-'));
  const disk = path.join(root, 'disk');
  fs.mkdirSync(disk);
  let image = path.join(root, 'image0');
  await run('truncate', ['-s', `${IMAGE_MB}M`, image]);
  await run('mkfs.ext4', ['-q', '-F', image]);
  const firstPort = await freePorts(3);
  const writers = new S3Writers(BUCKET, 6, random);
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      await run('mount', ['-o', 'loop', image, disk]);
      const env = { OFS_BOOT_ID: `boot-${round}` };
      const node = await startNode({ data: path.join(disk, 'data'), firstPort, env, readyMs: 20_000 });
      const s3 = new S3(node.port, node.credentials);
      if (round === 0) assert.strictEqual((await s3.put(`/${BUCKET}`)).status, 200);
      await writers.check(s3);
      await fsck(node);
      writers.start(s3);
      await new Promise((resolve) => setTimeout(resolve, 500 + random() * 1000));
      await node.kill();
      await writers.stop();
      s3.close();
      const copy = path.join(root, `image${round + 1}`);
      await run('cp', ['--sparse=always', image, copy]);
      await run('umount', [disk]);
      fs.rmSync(image);
      image = copy;
    }
    context.diagnostic(`${writers.ledger.acknowledged} writes acknowledged`);
  } finally {
    await run('umount', [disk]).catch(() => {});
    fs.rmSync(root, { recursive: true, force: true });
  }
});

async function fsck(node: NodeTarget): Promise<void> {
  const { code, stdout, stderr } = await runOfs(['fsck', '--server', `${HOST}:${node.listen}`]);
  assert.strictEqual(code, 0, `fsck: ${stdout}${stderr}`);
}
