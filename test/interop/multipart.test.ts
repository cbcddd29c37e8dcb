// A gibibyte through multipart uploads, while the node's memory is watched.

import assert from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { withMount } from '../support/mounted.js';
import { missing, run } from '../support/programs.js';

const FILE_BYTES = 1024 ** 3;
const MEMORY_LIMIT_MB = 600;

test('a multipart upload of 1 GiB comes back right through S3 and the mount, in bounded memory', {
  skip: missing('aws'),
}, async (context) => {
  await withMount('multi', [], async ({ node, directory, scratch, endpoint, env }) => {
    const file = path.join(scratch, 'large');
    const sum = writeLarge(file);
    let peakMb = 0;
    const watch = setInterval(() => {
      peakMb = Math.max(peakMb, memoryMb(node.pid));
    }, 50);
    await run('aws', ['--endpoint-url', endpoint, 's3', 'cp', '--only-show-errors', file, 's3://multi/large'], { env });
    const copy = path.join(scratch, 'copy');
    await run('aws', ['--endpoint-url', endpoint, 's3', 'cp', '--only-show-errors', 's3://multi/large', copy], { env });
    clearInterval(watch);
    assert.strictEqual(await sha256(copy), sum);
    assert.strictEqual(await sha256(path.join(directory, 'large')), sum);
    context.diagnostic(`RssAnon + RssShmem of the node at most ${peakMb} MB`);
    assert(peakMb < MEMORY_LIMIT_MB, `${peakMb} MB`);
  });
});

function writeLarge(file: string): string {
  const hash = createHash('sha256');
  const fd = fs.openSync(file, 'w');
  const piece = randomBytes(1 << 20);
  for (let written = 0; written < FILE_BYTES; written += piece.length) {
    piece.writeUInt32LE(written >>> 20, 0);
    fs.writeSync(fd, piece);
    hash.update(piece);
  }
  fs.closeSync(fd);
  return hash.digest('hex');
}

async function sha256(file: string): Promise<string> {
  return (await run('sha256sum', [file])).split(' ')[0]!;
}

function memoryMb(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return Math.round((kib('RssAnon') + kib('RssShmem')) / 1024);
}
