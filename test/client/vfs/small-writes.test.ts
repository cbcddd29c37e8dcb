// Few bytes that go with their commit, in one request.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type Client, client, closeFile, create, openByName, readAll, writeFile } from './fixture.js';
import { lost, MemoryMetaService } from './memory-meta.js';

const SMALL = Buffer.alloc(4096, 'small');

/** A client of a service in another process, which writes blocks for it. */
function distant(options: { patienceMs?: number } = {}): Client {
  const service = new MemoryMetaService();
  const made = client(service, options);
  made.store.isInProcess = false;
  service.writeBlock = (data) => made.store.place(data);
  return made;
}

/** As another client sees it, through the blocks that the metadata names. */
async function contentElsewhere(writer: Client, name: string): Promise<Buffer> {
  const reader = client(writer.meta.service, {}, writer);
  const content = await readAll(reader.vfs, await openByName(reader.vfs, name));
  return content;
}

test('a small file is written by one request, and read as it was written', async () => {
  const writer = distant();
  await writeFile(writer.vfs, 'small', SMALL);
  assert.deepStrictEqual(writer.meta.calls, ['mknod', 'writeCommit']);
  assert.strictEqual(writer.store.usedBytes, 0, 'memory is given back');
  assert.ok((await contentElsewhere(writer, 'small')).equals(SMALL));
  const handle = await openByName(writer.vfs, 'small');
  await writer.vfs.write(handle, SMALL.length, Buffer.from('and more'));
  await writer.vfs.write(handle, 0, Buffer.from('BIG'));
  await closeFile(writer.vfs, handle);
  const expected = Buffer.concat([SMALL, Buffer.from('and more')]);
  expected.write('BIG');
  assert.ok((await contentElsewhere(writer, 'small')).equals(expected));
  assert.ok((await readAll(writer.vfs, await openByName(writer.vfs, 'small'))).equals(expected));
});

test('what is larger, or lies in two places, goes the way of all others', async () => {
  for (const pieces of [[limits.inlineBytes + 1], [10, 10]]) {
    const writer = distant();
    const handle = await create(writer.vfs, 'file');
    for (const [at, bytes] of pieces.entries()) await writer.vfs.write(handle, at * 100, Buffer.alloc(bytes, 'x'));
    await closeFile(writer.vfs, handle);
    assert.deepStrictEqual(writer.meta.calls, ['mknod', 'chunkCommit']);
  }
});

test('a request that fails, or whose answer is lost, is made good by another', async () => {
  for (const mishap of [{ before: lost() }, { after: lost() }, { before: new OfsError(Status.NOSPC, 'full') }]) {
    const writer = distant({ patienceMs: 1000 });
    writer.meta.mishap = (name) => (name === 'writeCommit' ? mishap : null);
    await writeFile(writer.vfs, 'small', SMALL);
    assert.deepStrictEqual(writer.meta.calls, ['mknod', 'writeCommit', 'chunkCommit']);
    assert.ok((await contentElsewhere(writer, 'small')).equals(SMALL));
    assert.strictEqual(writer.store.usedBytes, 0);
  }
});

test('an answer that does not say where the bytes lie has them looked up', async () => {
  const writer = distant();
  writer.meta.onAnswer = (answer) => {
    if ('blob' in (answer as object)) (answer as { blob: number }).blob = 0;
  };
  const handle = await create(writer.vfs, 'small');
  await writer.vfs.write(handle, 0, SMALL);
  await writer.vfs.flush(handle);
  assert.ok((await readAll(writer.vfs, handle)).equals(SMALL));
  assert.strictEqual(writer.store.usedBytes, 0);
  await closeFile(writer.vfs, handle);
});

test('what is written while the request is under way is read at once, and flushed after it', async () => {
  const writer = distant();
  const handle = await create(writer.vfs, 'file');
  await writer.vfs.write(handle, 0, SMALL);
  let go = (): void => {};
  writer.meta.late = (name) => {
    if (name !== 'writeCommit') return null;
    writer.meta.late = null;
    return new Promise((resolve) => {
      go = resolve;
    });
  };
  const flushed = writer.vfs.flush(handle);
  while (!writer.meta.calls.includes('writeCommit')) await new Promise((resolve) => setImmediate(resolve));
  await writer.vfs.write(handle, SMALL.length, Buffer.from('tail'));
  await writer.vfs.write(handle, 0, Buffer.from('head'));
  const expected = Buffer.concat([SMALL, Buffer.from('tail')]);
  expected.write('head');
  assert.ok((await readAll(writer.vfs, handle)).equals(expected));
  await new Promise((resolve) => setImmediate(resolve));
  go();
  await flushed;
  await closeFile(writer.vfs, handle);
  assert.ok((await contentElsewhere(writer, 'file')).equals(expected));
});
