// What device threads answer from a real node's database: without the engine, and never what is not so any more.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { connectRemote, openVolume, type RemoteNode } from '../../../client/connect/index.js';
import { type Mount, mountVolume } from '../../../client/fuse/index.js';
import type { Vfs } from '../../../client/vfs/index.js';
import { HOST, killNodes, startNode } from '../../../perf/servers.js';
import { emptyDirectory } from './harness.js';

after(killNodes);

const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0, exclusive: true };

interface Mounted {
  readonly directory: string;
  /** Of the engine: requests for attributes and names since the last look. */
  asked(): number;
  /** Another client. */
  readonly other: RemoteNode;
  readonly group: number;
  readonly root: number;
}

/** A VFS that counts what the engine asks it for. */
function counting(vfs: Vfs): { vfs: Vfs; asked: () => number } {
  let count = 0;
  const counted = new Proxy(vfs, {
    get(target, name: keyof Vfs) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      if (name === 'getattr' || name === 'lookup' || name === 'lookupNear') count++;
      return value.bind(target);
    },
  });
  return {
    vfs: counted,
    asked: () => {
      const before = count;
      count = 0;
      return before;
    },
  };
}

async function withVolume(body: (mounted: Mounted) => Promise<void>): Promise<void> {
  const node = await startNode();
  const server = { host: HOST, port: node.listen };
  const connect = (readsHere: boolean) => connectRemote({ server, client: 'test', warn: assert.fail, readsHere });
  const other = await connect(false);
  const { volume } = await other.meta.call('volumeCreate', 0, { name: 'volume', owner: 'test' });
  await other.meta.session(volume.group);
  const remote = await connect(true);
  const memory = { cacheBytes: 1 << 20, bufferBytes: 8 << 20 };
  const volumeVfs = await openVolume(remote, 'volume', { subdir: '', ...memory, warn: assert.fail });
  const { vfs, asked } = counting(volumeVfs);
  const directory = emptyDirectory();
  let mount: Mount | undefined;
  try {
    mount = await mountVolume({ vfs, directory, volume: 'volume', attributeMs: 0, entryMs: 0, log: () => {} });
    await body({ directory, asked, other, group: volume.group, root: vfs.root });
  } finally {
    await mount?.unmount({ force: true });
    await volumeVfs.close();
    await remote.close();
    await other.close();
    await node.stop();
  }
}

const exists = (file: string): Promise<boolean> =>
  fs.promises.stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      assert.strictEqual(error.code, 'ENOENT');
      return false;
    },
  );

test('that a name is not there, and what a directory is, is answered without the engine', () =>
  withVolume(async ({ directory, asked }) => {
    await fs.promises.mkdir(path.join(directory, 'd'));
    const handle = await fs.promises.open(path.join(directory, 'd'));
    asked();
    for (let turn = 0; turn < 300; turn++) {
      assert.strictEqual(await exists(path.join(directory, `absent${turn}`)), false);
      assert((await handle.stat()).isDirectory());
      assert((await fs.promises.stat(directory)).isDirectory());
    }
    const count = asked();
    assert(count < 60, `${count} of 900 questions reached the engine`);
    await handle.close();
  }));

test('what another client has made is there at the next look, and what it has taken away is not', () =>
  withVolume(async ({ directory, other, group, root }) => {
    for (let turn = 0; turn < 200; turn++) {
      const name = `f${turn % 7}`;
      const file = path.join(directory, name);
      assert.strictEqual(await exists(file), false);
      await other.meta.call('mknod', group, { parent: root, name, ...FILE });
      assert.strictEqual(await exists(file), true, `turn ${turn}: it was made`);
      await other.meta.call('unlink', group, { parent: root, name });
      assert.strictEqual(await exists(file), false, `turn ${turn}: it was taken away`);
      const { attr } = await other.meta.call('mkdir', group, {
        parent: root,
        name: `d${turn}`,
        mode: 0o755,
        uid: 0,
        gid: 0,
      });
      assert.strictEqual((await fs.promises.stat(path.join(directory, `d${turn}`))).mode, attr.mode);
    }
    assert.strictEqual((await fs.promises.stat(directory)).nlink, 202, 'as many directories as were made');
  }));

test('a mount sees what it has changed itself, whoever answers', () =>
  withVolume(async ({ directory }) => {
    for (let turn = 0; turn < 300; turn++) {
      const file = path.join(directory, `f${turn % 3}`);
      await fs.promises.writeFile(file, `${turn}`);
      assert.strictEqual(await exists(file), true);
      await fs.promises.rename(file, `${file}.moved`);
      assert.strictEqual(await exists(file), false);
      await fs.promises.chmod(directory, 0o700 + (turn % 8));
      assert.strictEqual((await fs.promises.stat(directory)).mode & 0o777, 0o700 + (turn % 8));
      await fs.promises.unlink(`${file}.moved`);
      assert.strictEqual(await exists(`${file}.moved`), false);
    }
  }));
