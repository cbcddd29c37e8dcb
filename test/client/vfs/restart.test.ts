// A node that is stopped and started again under a client that writes and reads over TCP: calls wait, nothing is lost.

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { createRemoteBlockStore } from '../../../client/blocks/index.js';
import { MetaClient, TcpChannel } from '../../../client/channel/index.js';
import { createVfs } from '../../../client/vfs/index.js';
import { createArena, openBlockService } from '../../../node/block/index.js';
import { openMetaService } from '../../../node/meta/index.js';
import { createLeases } from '../../../node/raft/index.js';
import { serveTcp } from '../../../node/rpc/index.js';
import { rootInode } from '../../../proto/ids.js';
import { closeFile, create, openByName, readAll, until } from './fixture.js';

const MIB = 1024 * 1024;

interface Running {
  metaPort: number;
  blockPort: number;
  stop(): Promise<void>;
}

async function start(context: TestContext, directory: string, before?: Running): Promise<Running> {
  const warn = (message: string): void => context.diagnostic(message);
  const fatal = (error: Error): void => {
    throw error;
  };
  const arena = createArena(1024 * MIB);
  const blocks = await openBlockService({ directory, thread: 0, threads: 1, arena, warn, fatal });
  const meta = await openMetaService({
    ...{ directory, thread: 0, threads: 1, leases: createLeases(), bootId: 'boot', warn, fatal },
    deleteBlobs: async () => undefined,
    clusterInfo: { node: 'test', bootId: 'boot', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
  });
  await meta.ready;
  const where = { host: '127.0.0.1', name: 'test', warn };
  const metaTcp = await serveTcp({ ...where, port: before?.metaPort ?? 0, service: meta.service });
  const blockTcp = await serveTcp({ ...where, port: before?.blockPort ?? 0, service: blocks.service });
  return {
    metaPort: metaTcp.port,
    blockPort: blockTcp.port,
    stop: async () => {
      // Connections end with requests unanswered.
      await Promise.all([metaTcp.close(0), blockTcp.close(0)]);
      await meta.close();
      await blocks.close();
    },
  };
}

test('a node restarted under a mount several times loses nothing and fails nothing', async (context) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-restart-'));
  let node = await start(context, directory);
  const metaChannel = new TcpChannel({ host: '127.0.0.1', port: node.metaPort, session: 0 });
  const meta = new MetaClient({
    ...{ channels: [metaChannel], local: null, client: 'test' },
    onSession: (session) => metaChannel.rebind(session),
    warn: () => undefined,
  });
  const { volume } = await meta.call('volumeCreate', 0, { name: 'volume', owner: 'owner' });
  await meta.session(volume.group);
  const blocks = createRemoteBlockStore({
    channels: [new TcpChannel({ host: '127.0.0.1', port: node.blockPort, session: 0 })],
    session: () => meta.sessionNumber,
  });
  const root = rootInode(volume.partition);
  const vfs = createVfs({ meta, blocks, group: volume.group, root, warn: (message) => context.diagnostic(message) });
  context.after(async () => {
    await vfs.close();
    await node.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  const files: { name: string; data: Buffer }[] = [];
  let restarting = true;
  const restarts = (async () => {
    for (let round = 0; round < 3; round++) {
      await until('files are being written', () => files.length > 2 * round);
      await node.stop();
      node = await start(context, directory, node);
    }
    restarting = false;
  })();
  for (let index = 0; restarting || index < 5; index++) {
    const data = randomBytes(6 * MIB + index);
    const handle = await create(vfs, `file-${index}`);
    for (let at = 0; at < data.length; at += MIB) await vfs.write(handle, at, data.subarray(at, at + MIB));
    await closeFile(vfs, handle);
    files.push({ name: `file-${index}`, data });
  }
  await restarts;
  for (const { name, data } of files) assert.ok((await readAll(vfs, await openByName(vfs, name))).equals(data), name);
});
