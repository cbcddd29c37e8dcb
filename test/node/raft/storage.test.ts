// The log's files on a real disk.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openDisk } from '../../../node/raft/wal/storage.js';
import { limits } from '../../../proto/limits.js';
import { temporaryDirectory } from './machine.js';

test('a write tells of its end later, also where this thread wrote by itself, and a failed one of its error', async () => {
  using place = temporaryDirectory();
  const disk = await openDisk(place.directory);
  const file = await disk.create('log');
  const read = () => fs.readFileSync(path.join(place.directory, 'log'), 'latin1');
  let told = 0;
  const first = new Promise<void>((resolve) => {
    file.write(Buffer.from('small'), 0, (error) => {
      assert.strictEqual(error, null);
      told++;
      resolve();
    });
  });
  assert.strictEqual(told, 0);
  assert.strictEqual(read(), 'small', 'a log at rest is written at once');
  await first;
  const large = Buffer.alloc(limits.walOwnWriteBytes + 1, 'x');
  await new Promise<void>((resolve) => file.write(large, 5, () => resolve()));
  assert.strictEqual(read().length, 5 + large.length);
  await file.close();
  const error = await new Promise<Error | null>((resolve) => file.write(Buffer.from('x'), 0, resolve));
  assert(error instanceof Error);
});
