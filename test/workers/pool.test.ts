// The pool of tasks without state.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { crc32, gunzipSync } from 'node:zlib';
import { OfsError, Status } from '../../proto/status.js';
import { type Range, TaskPool } from '../../workers/index.js';

function rangeOf(bytes: Buffer): Range {
  const shared = new SharedArrayBuffer(bytes.length + 100);
  Buffer.from(shared).set(bytes, 60);
  return { shared, offset: 60, length: bytes.length };
}

test('digests and gzip of a range of shared memory are those of its bytes', async () => {
  const pool = new TaskPool({ threads: 2 });
  const bytes = Buffer.alloc(300_000, 'some bytes to digest');
  const digests = await pool.run('digest', { ...rangeOf(bytes), algorithms: ['md5', 'sha256', 'crc32'] });
  assert.deepStrictEqual(digests, {
    md5: createHash('md5').update(bytes).digest('hex'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
    crc32: crc32(bytes),
  });
  assert(gunzipSync(await pool.run('gzip', { ...rangeOf(bytes), level: 1 })).equals(bytes));
  await pool.close();
});

test('a full queue refuses with BUSY and loses nothing that it took', async () => {
  const pool = new TaskPool({ threads: 1, queueTasks: 3 });
  const input = { ...rangeOf(Buffer.alloc(1 << 20)), algorithms: ['sha256'] as const };
  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => pool.run('digest', input)));
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert(refused.length > 0 && refused.length <= 47, `${refused.length} of 50 refused`);
  for (const { reason } of refused) assert(reason instanceof OfsError && reason.status === Status.BUSY, String(reason));
  await pool.close();
});

test('an aborted task is rejected and the pool goes on', async () => {
  const pool = new TaskPool({ threads: 1 });
  const input = { ...rangeOf(Buffer.alloc(64 << 20)), level: 9 };
  await pool.run('digest', { ...rangeOf(Buffer.alloc(1)), algorithms: [] });
  const running = new AbortController();
  const waiting = new AbortController();
  const first = pool.run('gzip', input, running.signal);
  const second = pool.run('gzip', input, waiting.signal);
  waiting.abort();
  await assert.rejects(second, { name: 'AbortError' });
  running.abort();
  await assert.rejects(first, { name: 'AbortError' });
  assert.deepStrictEqual(await pool.run('digest', { ...rangeOf(Buffer.from('a')), algorithms: ['crc32'] }), {
    crc32: crc32('a'),
  });
  await pool.close();
});

test('an error that a task throws reaches the caller', async () => {
  const pool = new TaskPool({ threads: 1 });
  const shared = new SharedArrayBuffer(10);
  await assert.rejects(pool.run('digest', { shared, offset: 5, length: 10, algorithms: ['md5'] }), RangeError);
  await pool.close();
});
