// Read-ahead: reads in order are asked for before they are wanted, and never answer with bytes of before a write.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { client, create, newClient, Open, openByName, writeFile } from './fixture.js';
import { MemoryMetaService } from './memory-meta.js';

const MIB = 1024 * 1024;

test('reading in order asks ahead, within its bound, and reads every byte once', async () => {
  const { vfs, store } = newClient();
  const data = randomBytes(32 * MIB);
  await writeFile(vfs, 'ordered', data);
  const handle = await openByName(vfs, 'ordered', Open.RDONLY);
  const target = Buffer.alloc(MIB);
  let most = 0;
  for (let index = 0; index < 32; index++) {
    await vfs.read(handle, index * MIB, target);
    assert.ok(target.equals(data.subarray(index * MIB, (index + 1) * MIB)));
    most = Math.max(most, store.reads - index - 1);
  }
  assert.ok(most > 1, 'nothing was asked for ahead');
  assert.ok(most <= limits.readAheadBytes / MIB);
  assert.strictEqual(store.reads, 32);
  await vfs.release(handle);
});

test('reading here and there asks for nothing ahead', async () => {
  const { vfs, store } = newClient();
  await writeFile(vfs, 'random', randomBytes(16 * MIB));
  const handle = await openByName(vfs, 'random', Open.RDONLY);
  for (const at of [5, 1, 9, 3, 12, 0]) await vfs.read(handle, at * MIB, Buffer.alloc(MIB));
  assert.ok(store.reads <= 8);
});

test('what was asked for before a write is not what is read after it', async () => {
  const { vfs } = newClient();
  const model = randomBytes(16 * MIB);
  await writeFile(vfs, 'changing', model);
  const handle = await openByName(vfs, 'changing');
  const target = Buffer.alloc(MIB);
  for (let index = 0; index < 16; index++) {
    const patch = randomBytes(100);
    const at = index * MIB + 500_000;
    await vfs.write(handle, at, patch);
    patch.copy(model, at);
    assert.strictEqual(await vfs.read(handle, index * MIB, target), MIB);
    assert.ok(target.equals(model.subarray(index * MIB, (index + 1) * MIB)), `piece ${index}`);
  }
});

test('what was asked for before another client closed is not what is read after a new open', async () => {
  const service = new MemoryMetaService();
  const reader = client(service);
  const writer = client(service, {}, reader);
  await writeFile(reader.vfs, 'shared', Buffer.alloc(16 * MIB, 1));
  const handle = await openByName(reader.vfs, 'shared');
  const target = Buffer.alloc(MIB);
  for (let index = 0; index < 4; index++) await reader.vfs.read(handle, index * MIB, target);
  const other = await openByName(writer.vfs, 'shared');
  await writer.vfs.write(other, 4 * MIB, Buffer.alloc(MIB, 2));
  await writer.vfs.flush(other);
  await openByName(reader.vfs, 'shared');
  await reader.vfs.read(handle, 4 * MIB, target);
  assert.ok(target.equals(Buffer.alloc(MIB, 2)));
});

test('a read beyond the end is short, and one behind it empty', async () => {
  const { vfs } = newClient();
  const handle = await create(vfs, 'end');
  await vfs.write(handle, 0, Buffer.alloc(3 * MIB + 7, 1));
  const target = Buffer.alloc(MIB);
  for (const [index, expected] of [MIB, MIB, MIB, 7, 0].entries()) {
    assert.strictEqual(await vfs.read(handle, index * MIB, target), expected);
  }
});
