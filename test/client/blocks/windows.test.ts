// Small blocks read in order from the volume files of a real node.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type Found, Windows } from '../../../client/blocks/windows.js';
import { connectRemote, openVolume, type RemoteNode, readBlock } from '../../../client/connect/index.js';
import type { Vfs } from '../../../client/vfs/index.js';
import { HOST, killNodes, type NodeTarget, startNode } from '../../../perf/servers.js';
import { needleBytes } from '../../../proto/block/index.js';
import { blockVolume } from '../../../proto/ids.js';
import { temporaryDirectory } from '../../node/meta/support.js';

const FILES = 200;
const WHO = { uid: 0, gid: 0 };
const READ_ONLY = 0;
const WRITE_ONLY = 1;

let node: NodeTarget;
let remote: RemoteNode;
let vfs: Vfs;
let group: number;
const inodes: number[] = [];
const contents: Buffer[] = [];

function connect(): Promise<RemoteNode> {
  const server = { host: HOST, port: node.listen };
  return connectRemote({ server, client: 'test of windows', warn: assert.fail, readsHere: true });
}

function open(on: RemoteNode): Promise<Vfs> {
  return openVolume(on, 'small', { subdir: '', cacheBytes: 8 << 20, bufferBytes: 8 << 20, warn: assert.fail });
}

async function write(file: string, content: Buffer): Promise<number> {
  const { handle } = await vfs.create(vfs.root, file, 0o644, WRITE_ONLY, WHO);
  await vfs.write(handle, 0, content);
  await vfs.flush(handle);
  await vfs.release(handle);
  return handle.inode;
}

before(async () => {
  node = await startNode();
  remote = await connect();
  group = (await remote.meta.call('volumeCreate', 0, { name: 'small', owner: 'test' })).volume.group;
  vfs = await open(remote);
  for (let file = 0; file < FILES; file++) {
    const content = Buffer.alloc(1 + ((file * 997) % 6000), `content of ${file}; `);
    contents.push(content);
    inodes.push(await write(`f${file}`, content));
  }
});

after(async () => {
  await vfs?.close();
  await remote?.close();
  await killNodes();
});

async function inlinedOf(file: number): Promise<Found> {
  const request = { inode: inodes[file]!, held: false, inline: 16_384 };
  const { inlined } = await remote.meta.call('open', group, request);
  assert(inlined !== null && Buffer.from(inlined.bytes).equals(contents[file]!));
  return inlined;
}

/** What was given to the pool before has ended when every thread of it has had more than one task since. */
async function poolTurns(): Promise<void> {
  await Promise.all(Array.from({ length: 256 }, () => fs.promises.stat('/')));
}

/** What comes of one read. */
async function follow(windows: Windows, found: Found): Promise<Map<number, Buffer>> {
  const kept = new Map<number, Buffer>();
  windows.follow(found, (block, bytes) => kept.set(block, bytes));
  await poolTurns();
  return kept;
}

test('what is kept are the blocks behind one, as the node has them, and none that does not stand yet', async () => {
  const found = await inlinedOf(20);
  assert(found.until > found.position);
  const windows = new Windows(node.data);
  const kept = await follow(windows, found);
  assert(kept.size >= 2, `${kept.size} blocks`);
  for (const [block, bytes] of kept) {
    const { payload } = await readBlock(remote, block, bytes.length);
    assert(payload.subarray(0, bytes.length).equals(bytes));
    assert(contents.slice(20).some((content) => content.equals(bytes)));
  }
  windows.close();
  const short = new Windows(node.data);
  assert.strictEqual(
    (await follow(short, { ...found, until: found.position + 8 })).size,
    0,
    'nothing stands there yet',
  );
  short.close();
  const last = await inlinedOf(FILES - 1);
  assert.strictEqual(last.until, last.position + needleBytes(contents[FILES - 1]!.length), 'nothing stands behind it');
});

test('a needle that is damaged is not kept, nor is anything of a file that has taken the place of another', async (t) => {
  const found = await inlinedOf(30);
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  fs.cpSync(path.join(node.data, 'blocks'), path.join(directory, 'blocks'), { recursive: true });
  const file = path.join(directory, 'blocks', `${blockVolume(found.block).toString(16).padStart(8, '0')}.needles`);
  const whole = fs.readFileSync(file);
  const clean = await follow(new Windows(directory), found);
  assert(clean.size >= 2);
  for (let at = found.position; at < Math.min(found.until, found.position + 16_000); at += 61) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 4;
    fs.writeFileSync(file, damaged);
    const windows = new Windows(directory);
    const kept = await follow(windows, found);
    for (const [block, bytes] of kept) assert(clean.get(block)?.equals(bytes), `byte ${at}`);
    windows.close();
  }
  const other = Buffer.from(whole);
  other.copyWithin(found.position, found.position + 8);
  fs.writeFileSync(file, other);
  assert.strictEqual((await follow(new Windows(directory), found)).size, 0);
});

test('small files read in order ask the node for few of them, and see what others have written since', async () => {
  const reader = await connect();
  let opens = 0;
  const { meta } = reader;
  const call = meta.call.bind(meta) as typeof meta.call;
  meta.call = ((name, ...rest) => {
    if (name === 'open') opens++;
    return call(name, ...rest);
  }) as typeof meta.call;
  const reading = await open(reader);
  const read = async (file: number): Promise<Buffer> => {
    const { handle, attr } = await reading.open(inodes[file]!, READ_ONLY);
    const target = Buffer.alloc(attr.size);
    assert.strictEqual(await reading.read(handle, 0, target), attr.size);
    await reading.release(handle);
    return target;
  };
  for (let file = 0; file < FILES; file++) {
    const before = opens;
    assert((await read(file)).equals(contents[file]!), `f${file}`);
    if (opens > before) await poolTurns();
  }
  assert(opens < FILES / 4, `${opens} of ${FILES} opens asked the node`);
  for (let file = 0; file < FILES; file += 7) {
    const { handle } = await vfs.open(inodes[file]!, WRITE_ONLY);
    contents[file] = Buffer.alloc(contents[file]!.length, `again ${file}`);
    await vfs.write(handle, 0, contents[file]!);
    await vfs.flush(handle);
    await vfs.release(handle);
    assert((await read(file)).equals(contents[file]!), `f${file}, written again`);
  }
  await reading.close();
  await reader.close();
});
