// A whole node in the test's own thread: metadata over the real log, blocks in real volume files, and a client as the
// node's gateway threads are, only that its channels call the services directly.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type BlockStore, createLocalBlockStore } from '../../../client/blocks/index.js';
import { MetaClient } from '../../../client/channel/index.js';
import { createArena, openBlockReader, openBlockService } from '../../../node/block/index.js';
import { openLocalMeta, openMetaService } from '../../../node/meta/index.js';
import { createLeases } from '../../../node/raft/index.js';
import { Reader } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import type { Channel, Service } from '../../../workers/channel.js';
import { createSlab, Slab } from '../../../workers/index.js';

const MIB = 1024 * 1024;

export interface ThreadNode {
  meta: MetaClient;
  blocks: BlockStore;
  slab: Slab;
  group: number;
  root: number;
}

function direct(service: Service): Channel {
  let number = 0;
  return {
    close: () => undefined,
    call: (kind, group, body, payload, onAnswer) => {
      service({
        ...{ kind, group, session: 0, number: ++number, window: 0 },
        body: new Reader(Buffer.from(body)),
        payload: payload ?? Buffer.alloc(0),
        answer: (status, answerBody = Buffer.alloc(0), pieces = []) => {
          const copy = new Reader(Buffer.from(answerBody));
          const data = Buffer.concat(pieces);
          queueMicrotask(() => onAnswer(status, copy, data));
        },
      });
    },
  };
}

/** Lives as long as the test, with one volume. */
export async function startThreadNode(context: TestContext): Promise<ThreadNode> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-client-'));
  const arena = createArena(1024 * MIB);
  const leases = createLeases();
  const warn = (message: string): void => context.diagnostic(message);
  const fatal = (error: Error): void => {
    throw error;
  };
  const blockService = await openBlockService({ directory, thread: 0, threads: 1, arena, warn, fatal });
  const metaService = await openMetaService({
    ...{ directory, thread: 0, threads: 1, leases, bootId: 'boot', warn, fatal },
    deleteBlobs: async () => undefined,
    clusterInfo: { node: 'test', bootId: 'boot', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
  });
  await metaService.ready;
  const local = openLocalMeta({ dataDirectory: directory, leases });
  const channels = [direct(metaService.service)];
  const meta = new MetaClient({ channels, local, client: 'test', onSession: () => undefined, warn });
  const { volume } = await meta.call('volumeCreate', 0, { name: 'volume', owner: 'owner' });
  await meta.session(volume.group);
  const slab = new Slab(createSlab(64 * MIB));
  const reader = openBlockReader({ directory, arena });
  const blocks = createLocalBlockStore({
    ...{ channels: [direct(blockService.service)], slab, reader },
    session: () => meta.sessionNumber,
  });
  context.after(async () => {
    await meta.close();
    await local.close();
    reader.close();
    await metaService.close();
    await blockService.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  return { meta, blocks, slab, group: volume.group, root: rootInode(volume.partition) };
}
