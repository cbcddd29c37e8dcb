// The remote block store against the block service itself, over TCP and, as a client on the node's machine, through the
// volume files.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type BlockStore, createLocalBlockStore, createRemoteBlockStore } from '../../../client/blocks/index.js';
import { TcpChannel } from '../../../client/channel/index.js';
import { createArena, openBlockReader, openBlockService } from '../../../node/block/index.js';
import { serveTcp } from '../../../node/rpc/index.js';
import { blockOperations, pieceChecksums } from '../../../proto/block/index.js';
import { encode } from '../../../proto/codec.js';
import { blockOf, blockVolume } from '../../../proto/ids.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { Channel } from '../../../workers/channel.js';
import { createSlab, Slab } from '../../../workers/index.js';

const MIB = 1024 * 1024;
const BOOT_ID = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

interface Node {
  directory: string;
  ports: number[];
  arena: SharedArrayBuffer;
  reads: number;
}

/** A node's block threads on TCP ports, for as long as the test runs. */
async function startNode(context: TestContext, threads = 2): Promise<Node> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-remote-'));
  context.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const arena = createArena(1024 * MIB);
  const node: Node = { directory, ports: [], arena, reads: 0 };
  const warn = (message: string): void => assert.fail(message);
  const fatal = (error: Error): void => assert.fail(error);
  for (let thread = 0; thread < threads; thread++) {
    const blocks = await openBlockService({ directory, thread, threads, arena, warn, fatal });
    const tcp = await serveTcp({
      ...{ host: '127.0.0.1', port: 0, name: `block/${thread}`, warn },
      service: (request) => {
        if (request.kind === blockOperations.blockRead.code) node.reads++;
        blocks.service(request);
      },
    });
    node.ports.push(tcp.port);
    context.after(async () => {
      await tcp.close(1000);
      await blocks.close();
    });
  }
  return node;
}

function channelsTo(node: Node): TcpChannel[] {
  return node.ports.map((port) => new TcpChannel({ host: '127.0.0.1', port, session: 0 }));
}

function remoteStore(context: TestContext, node: Node, sameMachine: boolean, channels?: Channel[]): BlockStore {
  const nodeBootId = sameMachine ? BOOT_ID : 'another machine';
  const store = createRemoteBlockStore({ channels: channels ?? channelsTo(node), session: 7, nodeBootId });
  context.after(() => store.close());
  return store;
}

async function writeBlock(store: BlockStore, blob: number, index: number, data: Buffer): Promise<number> {
  const buffer = store.allocate(data.length);
  assert(buffer !== null);
  data.copy(buffer);
  const id = await store.write(blob, index, buffer, pieceChecksums(data));
  store.release(buffer);
  return id;
}

async function assertReads(store: BlockStore, block: number, data: Buffer): Promise<void> {
  for (const [offset, length] of [
    [0, data.length],
    [1, data.length - 2],
    [data.length - 1, 1],
    [65_535, 2],
    [0, 65_536],
    [131_072, 262_144],
  ] as const) {
    if (offset + length > data.length || length <= 0) continue;
    const target = Buffer.alloc(length);
    await store.read(block, offset, target);
    assert.ok(target.equals(data.subarray(offset, offset + length)), `[${offset}, +${length}) of ${data.length}`);
  }
}

for (const sameMachine of [false, true]) {
  test(`blocks of every size are read back ${sameMachine ? 'from the files' : 'over TCP'}, in every cut`, async (context) => {
    const node = await startNode(context);
    const store = remoteStore(context, node, sameMachine);
    for (const bytes of [1, 4096, 65_536, 65_537, MIB + 5, 4 * MIB]) {
      const data = randomBytes(bytes);
      const blob = await writeBlock(store, 0, 0, data);
      await assertReads(store, blockOf(blob, 0), data);
    }
    if (sameMachine) assert.ok(node.reads <= 6, `${node.reads} reads went to the server`);
  });
}

test('blobs go round the threads, and a blob stays where it began', async (context) => {
  const store = remoteStore(context, await startNode(context), false);
  const threads = new Set<number>();
  for (let round = 0; round < 4; round++) {
    const data = randomBytes(100);
    const blob = await writeBlock(store, 0, 0, randomBytes(4 * MIB));
    assert.strictEqual(await writeBlock(store, blob, 1, data), blob);
    await assertReads(store, blockOf(blob, 1), data);
    threads.add(blockVolume(blob) % 2);
  }
  assert.strictEqual(threads.size, 2);
});

test('a client on the machine reads on when compaction has moved the blocks', async (context) => {
  const node = await startNode(context, 1);
  const store = remoteStore(context, node, true);
  const channel = channelsTo(node)[0]!;
  context.after(() => channel.close());
  const kept = randomBytes(MIB);
  const dropped = await writeBlock(store, 0, 0, randomBytes(3 * MIB));
  const blob = await writeBlock(store, 0, 0, kept);
  await assertReads(store, blob, kept);
  await ask(channel, 'blockDelete', { blobs: [{ blob: dropped, blocks: 1 }] });
  await ask(channel, 'volumeCompact', { holePercent: 1 });
  await assertReads(store, blob, kept);
  await assert.rejects(store.read(dropped, 0, Buffer.alloc(10)), isStatus(Status.NOENT));
});

test('a damaged place is not believed: the server answers instead', async (context) => {
  const node = await startNode(context, 1);
  const channels = channelsTo(node);
  const data = randomBytes(200_000);
  const blob = await writeBlock(remoteStore(context, node, false), 0, 0, data);
  const { blockLocate } = blockOperations;
  const lying: Channel = {
    close: () => channels[0]!.close(),
    call: (kind, group, body, payload, onAnswer) =>
      channels[0]!.call(kind, group, body, payload, (status, answer, bytes) => {
        // The last byte of the answer belongs to a checksum.
        if (kind === blockLocate.code) answer.buffer[answer.end - 1]! ^= 1;
        onAnswer(status, answer, bytes);
      }),
  };
  const store = remoteStore(context, node, true, [lying]);
  await assertReads(store, blob, data);
  assert.ok(node.reads > 0);
});

test('bytes damaged on the network are refused, never handed out', async (context) => {
  const node = await startNode(context, 1);
  const channels = channelsTo(node);
  const store = remoteStore(context, node, false, [
    {
      close: () => channels[0]!.close(),
      call: (kind, group, body, payload, onAnswer) =>
        channels[0]!.call(kind, group, body, payload, (status, answer, bytes) => {
          if (bytes.length > 0) bytes[100]! ^= 1;
          onAnswer(status, answer, bytes);
        }),
    },
  ]);
  const blob = await writeBlock(store, 0, 0, randomBytes(1000));
  await assert.rejects(store.read(blob, 0, Buffer.alloc(1000)), isStatus(Status.CORRUPT));
});

test('the local store writes through its channels from the slab, and reads with its own reader', async (context) => {
  const node = await startNode(context);
  const reader = openBlockReader({ directory: node.directory, arena: node.arena });
  const slab = new Slab(createSlab(16 * MIB));
  const store = createLocalBlockStore({ channels: channelsTo(node), slab, reader, session: () => 9 });
  context.after(async () => {
    await store.close();
    reader.close();
  });
  assert.strictEqual(store.session, 9);
  const data = randomBytes(4096);
  const blob = await writeBlock(store, 0, 0, data);
  const target = Buffer.alloc(4096);
  assert.ok(store.readSync(blob, 0, target));
  assert.ok(target.equals(data));
  await assertReads(store, blob, data);
  assert.strictEqual(slab.usedBytes, 0);
  assert.ok((await store.capacity()).totalBytes > 0);
});

function isStatus(status: Status): (error: unknown) => boolean {
  return (error) => error instanceof OfsError && error.status === status;
}

async function ask(channel: Channel, name: 'blockDelete' | 'volumeCompact', request: object): Promise<void> {
  const operation = blockOperations[name];
  await new Promise<void>((resolve, reject) => {
    channel.call(operation.code, 0, encode(operation.request as never, request as never), null, (status) =>
      status === Status.OK ? resolve() : reject(new Error(`${name}: ${status}`)),
    );
  });
}
