// A real tree through S3 and the mount, by the programs that people use.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Mounted, withMount } from '../support/mounted.js';
import { missing, run } from '../support/programs.js';

const FILES = 3000;
const FILES_OF_PROGRAMS = 600;
const SOURCE = '/usr/share';
const MAX_FILE_BYTES = 1 << 20;

/** Copies the first regular files below SOURCE, with their folders. */
function copyTree(target: string, files: number): number {
  let copied = 0;
  const walk = (folder: string): void => {
    for (const entry of fs.readdirSync(path.join(SOURCE, folder), { withFileTypes: true })) {
      if (copied >= files) return;
      const place = path.join(folder, entry.name);
      if (entry.isDirectory()) walk(place);
      else if (entry.isFile() && fs.statSync(path.join(SOURCE, place)).size <= MAX_FILE_BYTES) {
        fs.mkdirSync(path.join(target, folder), { recursive: true });
        fs.copyFileSync(path.join(SOURCE, place), path.join(target, place));
        copied++;
      }
    }
  };
  walk('.');
  return copied;
}

test('a tree put in by aws s3 sync is the same on the mount and to rclone, and changes go both ways', {
  skip: missing('aws', 'rclone'),
}, async (context) => {
  await withMount('tree', [], async (mounted) => {
    const tree = path.join(mounted.scratch, 'tree');
    context.diagnostic(`${copyTree(tree, FILES)} files`);
    const aws = ['--endpoint-url', mounted.endpoint, 's3', 'sync', '--only-show-errors', tree, 's3://tree/tree'];
    await run('aws', aws, { env: mounted.env });
    assert.strictEqual(await run('diff', ['-r', tree, path.join(mounted.directory, 'tree')]), '');
    const copies = [path.join(mounted.directory, 'tree'), `${remote(mounted)}:tree/tree`];
    // Debian's rclone refuses to start where the environment names a bundle of certificates, even for plain HTTP.
    await run('rclone', ['check', '--one-way', ...copies], { env: { AWS_CA_BUNDLE: '' } });
    await changeThroughMount(mounted);
  });
});

function remote({ endpoint, env }: Mounted): string {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = env;
  return `:s3,provider=Other,access_key_id=${id},secret_access_key=${secret},endpoint="${endpoint}"`;
}

async function changeThroughMount({ s3, directory }: Mounted): Promise<void> {
  const original = Buffer.alloc(300_000, 'original ');
  const before = await s3.put('/tree/changed', original);
  const file = path.join(directory, 'changed');
  await fs.promises.appendFile(file, 'appended');
  const appended = await s3.get('/tree/changed');
  assert(appended.body.equals(Buffer.concat([original, Buffer.from('appended')])));
  assert.notStrictEqual(appended.headers.etag, before.headers.etag);
  const handle = await fs.promises.open(file, 'r+');
  await handle.write('overwritten', 150_000);
  await handle.close();
  const overwritten = await s3.get('/tree/changed');
  const expected = Buffer.from(appended.body);
  expected.write('overwritten', 150_000);
  assert(overwritten.body.equals(expected));
  assert.notStrictEqual(overwritten.headers.etag, appended.headers.etag);
}

test('git, tar, cp and sqlite3 work on the mount', { skip: missing('git', 'tar', 'sqlite3') }, async () => {
  await withMount('programs', [], async ({ directory, scratch }) => {
    const tree = path.join(scratch, 'tree');
    copyTree(tree, FILES_OF_PROGRAMS);
    await git(tree, directory);
    await run('tar', ['cf', path.join(scratch, 'tree.tar'), '--exclude=.git', '-C', tree, '.']);
    const unpacked = path.join(directory, 'unpacked');
    await fs.promises.mkdir(unpacked);
    await run('tar', ['xf', path.join(scratch, 'tree.tar'), '-C', unpacked]);
    assert.strictEqual(await run('diff', ['-r', '--exclude=.git', tree, unpacked]), '');
    await run('cp', ['-a', unpacked, path.join(directory, 'copied')]);
    assert.strictEqual(await run('diff', ['-r', unpacked, path.join(directory, 'copied')]), '');
    await sqlite(path.join(directory, 'database'));
  });
});

async function git(tree: string, directory: string): Promise<void> {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.org'];
  await run('git', ['init', '-q', tree]);
  await run('git', ['-C', tree, 'add', '-A']);
  await run('git', [...identity, '-C', tree, 'commit', '-q', '-m', 'tree']);
  const clone = path.join(directory, 'clone');
  await run('git', ['clone', '-q', tree, clone]);
  assert.strictEqual(await run('git', ['-C', clone, 'status', '--porcelain']), '');
  await fs.promises.writeFile(path.join(clone, 'new'), 'new');
  await run('git', ['-C', clone, 'add', '-A']);
  await run('git', [...identity, '-C', clone, 'commit', '-q', '-m', 'on the mount']);
  await run('git', ['-C', clone, 'fsck', '--strict']);
  assert.strictEqual(await run('git', ['-C', clone, 'status', '--porcelain']), '');
}

async function sqlite(file: string): Promise<void> {
  const fill =
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;';
  await run('sqlite3', [file, 'CREATE TABLE t (i INTEGER PRIMARY KEY, v TEXT);', fill]);
  await run('sqlite3', [
    file,
    'PRAGMA journal_mode=DELETE; UPDATE t SET v = v || i WHERE i % 7 = 0; DELETE FROM t WHERE i % 5 = 0; VACUUM;',
  ]);
  assert.strictEqual(
    (await run('sqlite3', [file, 'SELECT count(*) FROM t; PRAGMA integrity_check;'])).trim(),
    '16000\nok',
  );
}
