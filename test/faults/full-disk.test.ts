// A disk that fills up: writes are refused with a clear error, reads go on, and when there is room again so do writes.

import assert from 'node:assert';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { HOST, killNodes, runOfs, startNode } from '../../perf/servers.js';
import { S3 } from '../support/s3.js';

const run = promisify(execFile);
const IMAGE_MB = 600;
const OBJECT_BYTES = 8 * 1024 * 1024;
const MAX_OBJECTS = 200;

after(killNodes);

test('on a full disk writes get an error, reads go on, and room made by others lets writes go on', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-full-'));
  const image = path.join(root, 'image');
  const disk = path.join(root, 'disk');
  fs.mkdirSync(disk);
  await run('truncate', ['-s', `${IMAGE_MB}M`, image]);
  await run('mkfs.ext4', ['-q', '-F', image]);
  await run('mount', ['-o', 'loop', image, disk]);
  const ballast = path.join(disk, 'ballast');
  fs.writeFileSync(ballast, Buffer.alloc(100 * 1024 * 1024));
  const node = await startNode({ data: path.join(disk, 'data'), log: () => {} });
  const s3 = new S3(node.port, node.credentials);
  try {
    assert.strictEqual((await s3.put('/full')).status, 200);
    const stored: number[] = [];
    let refusal = '';
    for (let index = 0; index < MAX_OBJECTS && refusal === ''; index++) {
      const answer = await s3.put(`/full/o${index}`, Buffer.alloc(OBJECT_BYTES, `${index} `));
      if (answer.status === 200) stored.push(index);
      else refusal = `${answer.status} ${answer.body}`;
    }
    assert.match(refusal, /^(507|503) /, 'the disk was filled');
    assert(stored.length > 10);
    for (const index of stored) {
      assert((await s3.get(`/full/o${index}`)).body.equals(Buffer.alloc(OBJECT_BYTES, `${index} `)));
    }
    fs.rmSync(ballast);
    await goesOn(s3);
    const { code, stdout, stderr } = await runOfs(['fsck', '--server', `${HOST}:${node.listen}`]);
    assert.strictEqual(code, 0, stdout + stderr);
  } finally {
    s3.close();
    await node.stop();
    await run('umount', [disk]);
    fs.rmSync(root, { recursive: true, force: true });
  }
});

/** A full store tries again once a second. */
async function goesOn(s3: S3): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { status, body } = await s3.put('/full/again', Buffer.alloc(OBJECT_BYTES, 'again'));
    if (status === 200) return;
    assert(performance.now() < deadline, `not within 10 s: ${status} ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
