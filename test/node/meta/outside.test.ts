// Reads of a node's database by other processes of its machine, while nodes are stopped, killed, replaced and moved away.

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { after, test } from 'node:test';
import { connectRemote, type RemoteNode } from '../../../client/connect/index.js';
import { openOutsideMeta } from '../../../node/meta/index.js';
import { createLeases, FilePublisher, FOREVER, LeaseFile, LeaseWriter } from '../../../node/raft/index.js';
import { HOST, killNodes, type NodeTarget, startNode } from '../../../perf/servers.js';
import { rootInode } from '../../../proto/ids.js';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, FILE, makeVolume, startNode as startMeta, temporaryDirectory } from './support.js';

after(killNodes);

interface Place {
  readonly remote: RemoteNode;
  readonly group: number;
  readonly root: number;
}

function connect(node: NodeTarget): Promise<RemoteNode> {
  const server = { host: HOST, port: node.listen };
  return connectRemote({ server, client: 'test from outside', warn: () => {}, readsHere: true });
}

async function placeOn(node: NodeTarget, name: string): Promise<Place> {
  const remote = await connect(node);
  const { volume } = await remote.meta.call('volumeCreate', 0, { name, owner: 'test' });
  await remote.meta.session(volume.group);
  return { remote, group: volume.group, root: rootInode(volume.partition) };
}

const make = ({ remote, group, root }: Place, name: string) =>
  remote.meta.call('mknod', group, { parent: root, name, ...FILE });

/** The inode; 0 if there is none; undefined: it has to be asked. */
function look({ remote, group, root }: Place, name: string): number | undefined {
  try {
    return remote.meta.readLocal('lookup', group, { parent: root, name })?.attr.inode;
  } catch (error) {
    assert(error instanceof OfsError && error.status === Status.NOENT);
    return 0;
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert(performance.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('what any client was told is there is found here without asking, at once', async () => {
  const node = await startNode();
  const place = await placeOn(node, 'outside');
  const other = { ...place, remote: await connect(node) };
  let local = 0;
  for (let file = 0; file < 500; file++) {
    const name = `f${file}`;
    const before = look(place, name);
    assert(before === undefined || before === 0);
    const { attr } = await make(other, name);
    const found = look(place, name);
    if (found !== undefined) local++;
    assert(found === undefined || found === attr.inode, `${name} was made and is not seen`);
  }
  // The entry may be committed and not in the database yet: then it is asked for.
  await until(() => look(place, 'f0') !== undefined, 'the database is read again');
  assert(local > 0);
  await Promise.all([place, other].map(({ remote }) => remote.close()));
  await node.stop();
});

test('a database that outgrows what was mapped first is read to its end', async () => {
  const node = await startNode();
  const place = await placeOn(node, 'large');
  await make(place, 'first');
  await until(() => look(place, 'first') !== undefined, 'it is read here');
  const value = Buffer.alloc(60_000, 'x');
  for (let file = 0; file < 60; file++) {
    const { attr } = await make(place, `f${file}`);
    const set = (at: number) =>
      place.remote.meta.call('xattrSet', place.group, { inode: attr.inode, name: `user.${at}`, value, flags: 0 });
    await Promise.all(Array.from({ length: 20 }, (_, at) => set(at)));
    await until(() => look(place, `f${file}`) === attr.inode, 'what was written is read');
    const { remote, group } = place;
    assert(remote.meta.readLocal('xattrGet', group, { inode: attr.inode, name: 'user.19' })?.value.length === 60_000);
  }
  const { size } = fs.statSync(`${node.data}/meta/groups/${place.group}/data.mdb`);
  assert(size > 68_000_000, `the database has ${size} bytes`);
  await place.remote.close();
  await node.stop();
});

test('a node that is killed and started again is read here again, with all that it acknowledged', async () => {
  let node = await startNode();
  const place = await placeOn(node, 'killed');
  for (let round = 0; round < 4; round++) {
    const inodes = await Promise.all(Array.from({ length: 50 }, (_, file) => make(place, `r${round}f${file}`)));
    await node.kill();
    node = await startNode({ data: node.data, firstPort: node.port });
    await until(() => look(place, 'nothing') !== undefined, 'the new node is read');
    inodes.forEach(({ attr }, file) => {
      assert.strictEqual(look(place, `r${round}f${file}`), attr.inode);
    });
    assert.strictEqual(look(place, `r${round + 1}f0`), 0);
  }
  await place.remote.close();
  await node.stop();
});

test('after a node was moved away and another took its address, nothing of the old one is believed', async () => {
  const node = await startNode();
  const place = await placeOn(node, 'moved');
  await make(place, 'old');
  await until(() => look(place, 'old') !== undefined, 'it is read here');
  await node.kill();
  const moved = `${node.data}.moved`;
  fs.renameSync(node.data, moved);
  fs.mkdirSync(node.data);
  const other = await startNode({ data: node.data, firstPort: node.port });
  const begunMs = performance.now();
  await until(() => look(place, 'old') === undefined, 'the file of the old node is believed for ever');
  assert(performance.now() - begunMs < 2000);
  await place.remote.close();
  await other.stop();
  fs.rmSync(moved, { recursive: true });
  fs.rmSync(node.data, { recursive: true, force: true });
});

const READS_FOR_EVER = `
  const { open } = await import(process.argv[1]);
  const options = { noSubdir: true, readOnly: true, maxReaders: 1024, mapSize: 2 ** 40 };
  open(process.argv[2], options).useReadTransaction();
  process.stdout.write('reading');
  setInterval(() => {}, 1000);
`;

test('pages that a killed reader held are used again after the next checkpoint', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = await startMeta(directory);
  const { group, root } = await makeVolume(node);
  const { attr } = await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  const file = `${directory}/meta/groups/${group}/data.mdb`;
  const args = ['--input-type=module', '-e', READS_FOR_EVER, import.meta.resolve('lmdb'), file];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const value = Buffer.alloc(60_000, 'x');
  const grow = async (): Promise<number> => {
    const before = fs.statSync(file).size;
    for (let round = 0; round < 100; round++) {
      const set = { inode: attr.inode, name: `user.${round % 4}`, value, flags: 0 };
      await ask(node, 'xattrSet', set, { group });
    }
    return fs.statSync(file).size - before;
  };
  assert((await grow()) > 4_000_000, 'as long as nobody looks whether it lives');
  await node.checkpoint(group);
  await grow();
  assert.strictEqual(await grow(), 0);
  await node.close();
});

test('a database that this process cannot open is asked for, and that is said once', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  fs.mkdirSync(`${directory}/meta/groups/3/data.mdb`, { recursive: true });
  const leases = LeaseFile.create(`${directory}/meta/leases`);
  const publisher = new FilePublisher(`${directory}/meta/leases`);
  new LeaseWriter(createLeases(), publisher).grant(3, { term: 1, deadlineUs: FOREVER, appliedIndex: 1 });
  const warnings: string[] = [];
  const local = openOutsideMeta(directory, leases.instance, (message) => warnings.push(message));
  for (let turn = 0; turn < 3; turn++) assert.strictEqual(local!.read('getattr', 3, { inode: 1 }), undefined);
  assert.strictEqual(warnings.length, 1, warnings.join());
  assert.match(warnings[0]!, /data\.mdb cannot be read here, so the node is asked/);
  await local!.close();
  publisher.close();
  leases.close();
  assert.strictEqual(openOutsideMeta(directory, leases.instance, assert.fail), null, 'another node, or none');
});
