// The gateway under the clients that people use. Where one is not installed its test is skipped and says so.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type TestGateway, testGateway } from './harness.js';

const run = promisify(execFile);

let t: TestGateway;
let folder: string;

before(async () => {
  t = await testGateway({ domains: ['localhost'] });
  folder = await mkdtemp(join(tmpdir(), 'ofs-s3-clients-'));
});

after(async () => {
  await t.gateway.close();
  await rm(folder, { recursive: true, force: true });
});

function missing(command: string, ...probe: string[]): string | false {
  return spawnSync(command, probe, { stdio: 'ignore' }).status === 0 ? false : `${command} is not installed`;
}

/** The folder of this file's sources: tests run compiled, scripts stay where they are. */
function source(name: string): string {
  const beside = join(import.meta.dirname, name);
  return existsSync(beside) ? beside : join(import.meta.dirname, '../../../../test/gateway/s3', name);
}

/** Without what the machine's own environment says of AWS. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'));
  return {
    ...Object.fromEntries(kept),
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'benchbench',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_CONFIG_FILE: join(folder, 'none'),
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

async function aws(...args: string[]): Promise<string> {
  const { stdout } = await run('aws', ['--endpoint-url', t.endpoint, ...args], { env: environment(), cwd: folder });
  return stdout;
}

const noBoto = missing('python3', '-c', 'import boto3') && 'python3 with boto3 is not installed';

test('boto3 sees buckets, objects, listings, copies, uploads and errors as S3 has them', { skip: noBoto }, async () => {
  const script = run('python3', ['-W', 'ignore', source('boto.py'), t.endpoint], { env: environment() });
  const { stdout } = await script.catch((error: { stdout: string; stderr: string }) => {
    assert.fail(`boto3 disagrees:\n${error.stdout}\n${error.stderr}`);
  });
  assert.match(stdout, /ok virtual_host/);
  assert.deepEqual(t.errors, []);
});

test('aws s3 copies a tree there and back without a difference', { skip: missing('aws', '--version') }, async () => {
  const tree = join(folder, 'tree');
  await mkdir(join(tree, 'sub dir', 'ü'), { recursive: true });
  const files = new Map([
    ['empty', Buffer.alloc(0)],
    ['sub dir/small', randomBytes(1000)],
    ['sub dir/ü/big & <odd>', randomBytes(9 << 20)],
  ]);
  for (const [name, bytes] of files) await writeFile(join(tree, name), bytes);
  await aws('s3', 'mb', 's3://cli-bucket');
  await aws('s3', 'sync', '--quiet', tree, 's3://cli-bucket/in it');
  assert.equal((await aws('s3', 'ls', '--recursive', 's3://cli-bucket')).trim().split('\n').length, files.size);
  assert.equal((await aws('s3', 'sync', '--dryrun', tree, 's3://cli-bucket/in it')).trim(), '');
  await aws('s3', 'sync', '--quiet', 's3://cli-bucket/in it', join(folder, 'back'));
  for (const [name, bytes] of files) assert.deepEqual(await readFile(join(folder, 'back', name)), bytes, name);
  await aws('s3', 'cp', '--quiet', 's3://cli-bucket/in it/sub dir/small', 's3://cli-bucket/copy');
  await aws('s3', 'rm', '--quiet', '--recursive', 's3://cli-bucket');
  await aws('s3', 'rb', 's3://cli-bucket');
  assert.ok(!(await aws('s3', 'ls')).includes('cli-bucket'));
});

test('rclone copies a tree and finds no difference', { skip: missing('rclone', 'version') }, async () => {
  const tree = join(folder, 'rclone tree');
  await mkdir(join(tree, 'a'), { recursive: true });
  await writeFile(join(tree, 'a', 'x+y %'), randomBytes(70_000));
  await writeFile(join(tree, 'large'), randomBytes(12 << 20));
  const config = join(folder, 'rclone.conf');
  await writeFile(
    config,
    `[ofs]\ntype = s3\nprovider = Other\naccess_key_id = bench\nsecret_access_key = benchbench\nendpoint = ${t.endpoint}\n`,
  );
  const rclone = (...args: string[]) =>
    run('rclone', ['--config', config, '--s3-upload-cutoff', '5Mi', ...args], { env: environment() });
  await rclone('mkdir', 'ofs:rclone-bucket');
  await rclone('copy', tree, 'ofs:rclone-bucket/t');
  await rclone('check', '--download', tree, 'ofs:rclone-bucket/t');
  const { stdout } = await rclone('lsf', '--recursive', 'ofs:rclone-bucket');
  assert.deepEqual(stdout.trim().split('\n').sort(), ['t/', 't/a/', 't/a/x+y %', 't/large']);
  await rclone('purge', 'ofs:rclone-bucket');
});

const noCurlSigning = missing('curl', '--aws-sigv4', 'aws:amz:us-east-1:s3', '--version') && 'curl cannot sign';

test('curl signs a PUT and a GET that are accepted', { skip: noCurlSigning }, async () => {
  await t.service.call('volumeCreate', 0, { name: 'curl-bucket', owner: 'bench' });
  const file = join(folder, 'curl-file');
  await writeFile(file, randomBytes(200_000));
  const sign = ['-sS', '--fail-with-body', '--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', 'bench:benchbench'];
  const url = `${t.endpoint}/curl-bucket/some/key`;
  const unsigned = ['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'];
  await run('curl', [...sign, ...unsigned, '-T', file, url]);
  const back = join(folder, 'curl-back');
  await run('curl', [...sign, ...unsigned, '-o', back, url]);
  assert.deepEqual(await readFile(back), await readFile(file));
});
