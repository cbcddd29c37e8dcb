import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { MetaService } from '../../../node/meta/index.js';
import { metaOperations } from '../../../proto/meta/index.js';
import { Status } from '../../../proto/status.js';
import { rules } from './rules.js';
import { ask, askRaw, StandInRaft, temporaryDirectory } from './support.js';

interface Started {
  service: MetaService;
  raft: StandInRaft;
  directory: string;
}

async function start(directory = temporaryDirectory(), bootId = 'boot-1'): Promise<Started> {
  const raft = new StandInRaft(path.join(directory, 'logs'));
  const service = new MetaService({
    directory,
    thread: 0,
    threads: 1,
    bootId,
    logic: rules,
    openRaft: async () => raft,
    mayRead: () => true,
    deleteBlobs: async () => undefined,
    clusterInfo: { node: 'test', bootId, metaPorts: [], blockPorts: [] },
    warn: () => undefined,
    fatal: (error) => {
      throw error;
    },
  });
  await service.start();
  return { service, raft, directory };
}

async function end({ service, directory }: Started): Promise<void> {
  await service.close();
  fs.rmSync(directory, { recursive: true });
}

const value = (text: string): Buffer => Buffer.from(text);

test('a volume is made, written, read, and there after a restart', async () => {
  const first = await start();
  const { volume } = await ask(first.service, 'volumeCreate', { name: 'v', owner: 'o' });
  const group = volume.group;
  await ask(first.service, 'xattrSet', { inode: 7, name: 'a', value: value('one'), flags: 0 }, { group });
  assert.deepStrictEqual(
    Buffer.from((await ask(first.service, 'xattrGet', { inode: 7, name: 'a' }, { group })).value).toString(),
    'one',
  );
  await first.service.close();
  const second = await start(first.directory);
  assert.deepStrictEqual(
    Buffer.from((await ask(second.service, 'xattrGet', { inode: 7, name: 'a' }, { group })).value).toString(),
    'one',
  );
  await end(second);
});

test('a read leaves only when the write that it saw is applied, and sees it at once', async () => {
  const started = await start();
  const { volume } = await ask(started.service, 'volumeCreate', { name: 'v', owner: 'o' });
  const { group } = volume;
  started.raft.held = true;
  const order: string[] = [];
  const write = ask(started.service, 'xattrSet', { inode: 7, name: 'a', value: value('x'), flags: 0 }, { group }).then(
    () => order.push('write'),
  );
  const read = ask(started.service, 'xattrGet', { inode: 7, name: 'a' }, { group }).then(() => order.push('read'));
  const denied = ask(
    started.service,
    'xattrSet',
    { inode: 7, name: 'a', value: value('y'), flags: 1 },
    { group },
  ).catch((error) => order.push(`error ${error.status}`));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepStrictEqual(order, []);
  started.raft.held = false;
  started.raft.plan();
  await Promise.all([write, read, denied]);
  assert.deepStrictEqual(order, ['write', 'read', `error ${Status.EXIST}`]);
  await end(started);
});

test('a request that is no request is answered MALFORMED, with bytes behind it too', async () => {
  const started = await start();
  const { volume } = await ask(started.service, 'volumeCreate', { name: 'v', owner: 'o' });
  const { group } = volume;
  const { code } = metaOperations.xattrGet;
  assert.strictEqual((await askRaw(started.service, code, Buffer.alloc(0), { group })).status, Status.MALFORMED);
  assert.strictEqual(
    (await askRaw(started.service, code, Buffer.from([1, 1, 97, 0]), { group })).status,
    Status.MALFORMED,
  );
  assert.strictEqual((await askRaw(started.service, code, Buffer.from([1, 1, 97]), { group })).status, Status.NODATA);
  assert.strictEqual((await askRaw(started.service, 9999, Buffer.alloc(0), { group })).status, Status.MALFORMED);
  assert.strictEqual(
    (await askRaw(started.service, code, Buffer.alloc(0), { group: 77 })).status,
    Status.NO_SUCH_GROUP,
  );
  await end(started);
});
