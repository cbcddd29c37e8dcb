import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, Clock, FILE, makeVolume, type Node, startNode, temporaryDirectory, until } from './support.js';

const refusedWith = (status: Status) => (error: Error) => error instanceof OfsError && error.status === status;

function directoryOf(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

const groupFiles = (directory: string, group: number): string => path.join(directory, 'meta', 'groups', String(group));

/** A volume with files whose blobs have the numbers that are answered, one of them unlinked already. */
async function fill(node: Node): Promise<{ group: number; blobs: number[] }> {
  const { group, root } = await makeVolume(node);
  const blobs: number[] = [];
  for (let file = 0; file < 3; file++) {
    const { attr } = await ask(node, 'mknod', { parent: root, name: `f${file}`, ...FILE }, { group });
    for (let chunk = 0; chunk < 3; chunk++) {
      const blob = 2 ** 29 + 16 * (1 + blobs.length);
      const size = chunk * limits.chunkBytes + 10;
      const slices = [{ offset: 0, length: 10, blob, blobOffset: 0, blobLength: 10 }];
      const request = { inode: attr.inode, session: 0, chunks: [{ chunk, slices }], size, mtime: null };
      await ask(node, 'chunkCommit', request, { group });
      blobs.push(blob);
    }
  }
  await ask(node, 'unlink', { parent: root, name: 'f1' }, { group });
  return { group, blobs };
}

test('a deleted volume gives back all its blobs after two lifetimes, and then nothing is left of it', async (t) => {
  const wall = new Clock();
  const directory = directoryOf(t);
  const node = await startNode(directory, { wallClock: wall.read, jobsMs: 5 });
  const { group, blobs } = await fill(node);
  await ask(node, 'volumeDelete', { name: 'volume', force: true });
  await ask(node, 'groupStatus', {});
  assert.deepStrictEqual(node.deleted, []);
  wall.nowMs += limits.reclaimAgeMs + 1000;
  await until(() => !fs.existsSync(groupFiles(directory, group)), 'its files are gone');
  assert.deepStrictEqual([...new Set(node.deleted)].toSorted(), blobs.toSorted());
  await node.close();
});

test('a restart between deleting a volume and freeing it goes on where it was', async (t) => {
  const directory = directoryOf(t);
  const first = await startNode(directory);
  const { group, blobs } = await fill(first);
  await ask(first, 'volumeDelete', { name: 'volume', force: true });
  await first.close();
  const second = await startNode(directory);
  await assert.rejects(ask(second, 'volumeInfo', { name: 'volume' }), refusedWith(Status.NO_SUCH_VOLUME));
  assert.deepStrictEqual(await ask(second, 'reclaimNow', { limit: 1 }), { left: 0 });
  assert.deepStrictEqual([...new Set(second.deleted)].toSorted(), blobs.toSorted());
  assert.ok(!fs.existsSync(groupFiles(directory, group)));
  await second.close();
});

test('blobs that could not be deleted are deleted in the next round', async (t) => {
  const wall = new Clock();
  const directory = directoryOf(t);
  const deleted = new Set<number>();
  let failures = 3;
  const node = await startNode(directory, {
    wallClock: wall.read,
    jobsMs: 5,
    deleteBlobs: async (blobs) => {
      if (failures-- > 0) throw new OfsError(Status.IO, 'the block thread has a headache');
      for (const { blob } of blobs) deleted.add(blob);
    },
  });
  const { group, blobs } = await fill(node);
  await ask(node, 'volumeDelete', { name: 'volume', force: true });
  wall.nowMs += limits.reclaimAgeMs + 1000;
  await until(() => !fs.existsSync(groupFiles(directory, group)), 'its files are gone');
  assert.deepStrictEqual([...deleted].toSorted(), blobs.toSorted());
  assert.ok(node.warnings.some((warning) => warning.includes('headache')));
  await node.close();
});

test('many volumes are made at once, and all serve after a restart', async (t) => {
  const directory = directoryOf(t);
  const first = await startNode(directory);
  const made = await Promise.all(Array.from({ length: 20 }, (_, index) => makeVolume(first, `volume-${index}`)));
  assert.strictEqual(new Set(made.map(({ group }) => group)).size, 20);
  await Promise.all(
    made.map(({ group, root }) => ask(first, 'mknod', { parent: root, name: 'f', ...FILE }, { group })),
  );
  await first.close();
  const second = await startNode(directory);
  for (const { group, root } of made) await ask(second, 'lookup', { parent: root, name: 'f' }, { group });
  await second.close();
});

test('a volume may be deleted while it is being reclaimed', async (t) => {
  const directory = directoryOf(t);
  let release = (): void => undefined;
  const deleting = new Promise<void>((resolve) => {
    release = resolve;
  });
  let asked = 0;
  const node = await startNode(directory, {
    deleteBlobs: () => {
      asked++;
      return deleting;
    },
  });
  const { group } = await fill(node);
  const reclaimed = ask(node, 'reclaimNow', { limit: 1000 }, { group });
  await until(() => asked > 0, 'blobs are being deleted');
  const removed = ask(node, 'volumeDelete', { name: 'volume', force: true });
  const gone = ask(node, 'volumeInfo', { name: 'volume' });
  release();
  await removed;
  await Promise.allSettled([reclaimed, gone]);
  await assert.rejects(ask(node, 'volumeInfo', { name: 'volume' }), refusedWith(Status.NO_SUCH_VOLUME));
  await node.close();
});
