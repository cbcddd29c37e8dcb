// A node with one volume, mounted: what most tests of the whole begin with.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HOST, type NodeTarget, runOfs, startNode } from '../../perf/servers.js';
import { S3 } from './s3.js';

export interface Mounted {
  readonly node: NodeTarget;
  readonly s3: S3;
  readonly bucket: string;
  /** The mount. */
  readonly directory: string;
  /** A folder on the machine's own disk, gone after the test. */
  readonly scratch: string;
  readonly endpoint: string;
  /** What aws-cli and boto3 take from the environment. */
  readonly env: Record<string, string>;
}

/** Runs `body` and takes everything away again, however it ends. */
export async function withMount(bucket: string, options: readonly string[], body: (mounted: Mounted) => Promise<void>) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-mounted-'));
  const directory = path.join(root, 'mount');
  const scratch = path.join(root, 'scratch');
  fs.mkdirSync(directory);
  fs.mkdirSync(scratch);
  const node = await startNode();
  const s3 = new S3(node.port, node.credentials);
  const server = `${HOST}:${node.listen}`;
  const { accessKey, secretKey, region } = node.credentials;
  const env = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_DEFAULT_REGION: region };
  try {
    await ofs('volume', 'create', bucket, '--server', server);
    await ofs('mount', bucket, directory, '--server', server, ...options);
    await body({ node, s3, bucket, directory, scratch, endpoint: `http://${HOST}:${node.port}`, env });
    await ofs('umount', directory);
    await ofs('fsck', '--server', server);
  } finally {
    await runOfs(['umount', '--lazy', directory]);
    s3.close();
    await node.stop();
    fs.rmSync(root, { recursive: true, force: true });
  }
}

async function ofs(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await runOfs(args);
  assert.strictEqual(code, 0, `ofs ${args.join(' ')}: ${stdout}${stderr}`);
}
