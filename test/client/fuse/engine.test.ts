// The engine without a kernel: requests are handed to it as bytes, and its answers are read from a file.

import assert from 'node:assert';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import fc from 'fast-check';
import { Answerer, HEADER } from '../../../client/fuse/answerer.js';
import type { Context } from '../../../client/fuse/context.js';
import { DirectoryHandle } from '../../../client/fuse/directory-handle.js';
import { Engine } from '../../../client/fuse/engine.js';
import { FlushAccounts } from '../../../client/fuse/flush-account.js';
import { HandleTable } from '../../../client/fuse/handle-table.js';
import { Neighbours } from '../../../client/fuse/neighbours.js';
import { NodeTable } from '../../../client/fuse/nodes.js';
import { ReadBuffers } from '../../../client/fuse/read-buffers.js';
import {
  answerHeader,
  entryOut,
  type Layout,
  Opcode,
  openIn,
  openOut,
  ROOT_NODE,
  readIn,
  requestHeader,
} from '../../../proto/fuse/index.js';
import { assertLimits, limits } from '../../../proto/limits.js';
import { Errno, OfsError, Status } from '../../../proto/status.js';
import { until } from './harness.js';
import { MemoryVfs } from './memory-vfs.js';

const seed = Number(process.env.SEED ?? Date.now());

interface Answer {
  unique: number;
  errno: number;
  body: Buffer;
}

class Bench {
  readonly vfs = new MemoryVfs();
  readonly nodes = new NodeTable(this.vfs.root);
  readonly log: string[] = [];
  readonly context: Context;
  readonly engine: Engine;
  readonly invalidated: number[] = [];
  frees = 0;
  private readonly path = join(fs.mkdtempSync(join(tmpdir(), 'ofs-engine-')), 'answers');
  private readonly descriptor = fs.openSync(this.path, 'w+');
  private unique = 2;

  constructor({ readOnly = false, negativeMs = 0 } = {}) {
    const times = { attributeMs: 1000, entryMs: 1000, negativeMs };
    this.context = {
      vfs: this.vfs,
      nodes: this.nodes,
      neighbours: new Neighbours(this.nodes, 1000),
      answer: new Answerer(this.descriptor, this.nodes, times),
      buffers: new ReadBuffers(),
      files: new HandleTable(),
      flushes: new FlushAccounts(),
      directories: new HandleTable(),
      times,
      log: (message) => this.log.push(message),
      invalidate: (inode) => this.invalidated.push(inode),
    };
    this.engine = new Engine({ context: this.context, readOnly });
  }

  /** Begins a request, and gives its number. */
  send(opcode: number, node: number, body: Buffer, unique = this.nextUnique()): number {
    const request = Buffer.concat([Buffer.alloc(requestHeader.bytes), body]);
    const header = { length: request.length, opcode, unique, node, uid: 1, gid: 2, pid: 3, extensions: 0 };
    requestHeader.write(request, 0, header);
    const arrival = { buffer: request, at: 0, end: request.length, free: opcode === Opcode.WRITE ? this.free : null };
    this.engine.begin(arrival);
    if (opcode !== Opcode.WRITE) request.fill(0xee);
    return unique;
  }

  async ask(opcode: number, node: number, body: Buffer): Promise<Answer> {
    const unique = this.send(opcode, node, body);
    await until(`request ${unique} is answered`, () => this.answer(unique) !== undefined);
    return this.answer(unique)!;
  }

  answers(): Answer[] {
    const bytes = fs.readFileSync(this.path);
    const list: Answer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const { length, error, unique } = answerHeader.read(bytes, at, bytes.length);
      list.push({ unique, errno: 0 - error, body: bytes.subarray(at + answerHeader.bytes, at + length) });
      at += length;
    }
    return list;
  }

  answer(unique: number): Answer | undefined {
    return this.answers().find((answer) => answer.unique === unique);
  }

  close(): void {
    fs.closeSync(this.descriptor);
    fs.rmSync(join(this.path, '..'), { recursive: true });
  }

  private nextUnique(): number {
    this.unique += 2;
    return this.unique;
  }

  private readonly free = (): void => {
    this.frees++;
  };
}

const benches: Bench[] = [];

function createBench(options: { readOnly?: boolean; negativeMs?: number } = {}): Bench {
  const bench = new Bench(options);
  benches.push(bench);
  return bench;
}

afterEach(() => {
  for (const bench of benches.splice(0)) bench.close();
});

function structure<T>(layout: Layout<T>, value: Partial<T>): Buffer {
  const body = Buffer.alloc(layout.bytes);
  layout.write(body, 0, { ...layout.read(body, 0, layout.bytes), ...value });
  return body;
}

const name = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');
const number64 = (value: number): Buffer => {
  const body = Buffer.alloc(8);
  body.writeBigUInt64LE(BigInt(value));
  return body;
};

async function openFile(bench: Bench, content: Buffer): Promise<{ node: number; fh: number }> {
  const made = await bench.vfs.create(bench.vfs.root, 'file', 0o644, 0, { uid: 0, gid: 0 });
  await bench.vfs.write(made.handle, 0, content);
  const found = await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('file'));
  const { node } = entryOut.read(found.body, 0, found.body.length);
  const opened = await bench.ask(Opcode.OPEN, node, structure(openIn, { flags: 2 }));
  return { node, fh: openOut.read(opened.body, 0, opened.body.length).fh };
}

test('the limits of mounts fit together', assertLimits);

test('a name that is not there is ENOENT, an inode that is gone is ESTALE', async () => {
  const bench = createBench();
  assert.strictEqual((await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('x'))).errno, Errno.ENOENT);
  assert.strictEqual((await bench.ask(Opcode.GETATTR, 999, Buffer.alloc(16))).errno, Errno.ESTALE);
  assert.strictEqual((await bench.ask(Opcode.OPEN, 999, Buffer.alloc(8))).errno, Errno.ESTALE);
});

test('the absence of a name is an answer when it may be remembered', async () => {
  const bench = createBench({ negativeMs: 2500 });
  const { errno, body } = await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('x'));
  const { node, entryValid, entryValidNsec } = entryOut.read(body, 0, body.length);
  assert.deepStrictEqual([errno, node, entryValid, entryValidNsec], [0, 0, 2, 500_000_000]);
});

test('a program that goes through a directory asks once for many names, and an old answer is asked anew', async () => {
  const bench = createBench();
  for (const at of [1, 2, 3]) await bench.vfs.mknod(bench.vfs.root, `f${at}`, 0o644, 0, { uid: 0, gid: 0 });
  let asked = 0;
  bench.vfs.before = async (what) => {
    if (what === 'lookup') asked++;
  };
  const found: number[] = [];
  for (const at of [1, 2, 3]) {
    const { body } = await bench.ask(Opcode.LOOKUP, ROOT_NODE, name(`f${at}`));
    found.push(entryOut.read(body, 0, body.length).node);
  }
  assert.strictEqual(asked, 1);
  assert.strictEqual((await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('f4'))).errno, Errno.ENOENT);
  await bench.vfs.mknod(bench.vfs.root, 'f4', 0o644, 0, { uid: 0, gid: 0 });
  assert.strictEqual((await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('f4'))).errno, 0, 'made by another client');
  assert.strictEqual(new Set(found).size, 3);
  // Another client replaces f2: the kernel finds the inode stale, and asks for the name once more.
  await bench.vfs.unlink(bench.vfs.root, 'f2');
  await bench.vfs.mknod(bench.vfs.root, 'f2', 0o644, 0, { uid: 0, gid: 0 });
  assert.strictEqual((await bench.ask(Opcode.OPEN, found[1]!, Buffer.alloc(8))).errno, Errno.ESTALE);
  const { body } = await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('f2'));
  assert.notStrictEqual(entryOut.read(body, 0, body.length).node, found[1]);
});

test('node ids are remembered until the kernel has taken back every lookup', async () => {
  const bench = createBench();
  const { node } = await openFile(bench, Buffer.from('x'));
  await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('file'));
  assert.strictEqual(bench.nodes.size, 2);
  bench.send(Opcode.FORGET, node, number64(1));
  assert.strictEqual(bench.nodes.size, 2);
  const batch = Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), number64(node), number64(1)]);
  bench.send(Opcode.BATCH_FORGET, 0, batch);
  assert.strictEqual(bench.nodes.size, 1);
  bench.send(Opcode.FORGET, ROOT_NODE, number64(1));
  assert.strictEqual(bench.nodes.size, 1);
});

test('an interrupt of what is not known asks the kernel to try again, of what has begun changes nothing', async () => {
  const bench = createBench();
  bench.send(Opcode.INTERRUPT, 0, number64(4242), 4243);
  assert.deepStrictEqual(
    bench.answers().map(({ unique, errno }) => [unique, errno]),
    [[4243, Errno.EAGAIN]],
  );
  let go = () => {};
  bench.vfs.before = () => new Promise<void>((resolve) => (go = resolve));
  const unique = bench.send(Opcode.LOOKUP, ROOT_NODE, name('x'));
  bench.send(Opcode.INTERRUPT, 0, number64(unique), unique + 1);
  go();
  await bench.engine.idle();
  assert.strictEqual(bench.answer(unique + 1), undefined);
  assert.strictEqual(bench.answer(unique)?.errno, Errno.ENOENT);
});

test('reads beyond the bound wait in line, end with EINTR when called off, and are served in order', async () => {
  const bench = createBench();
  const { node, fh } = await openFile(bench, Buffer.alloc(4096, 'r'));
  const waiting: (() => void)[] = [];
  bench.vfs.before = () => new Promise<void>((resolve) => waiting.push(resolve));
  const body = structure(readIn, { fh, offset: 0, size: limits.fuseRequestBytes });
  const begun = Math.floor(limits.fuseReadBufferBytes / (limits.fuseRequestBytes + HEADER));
  const uniques = Array.from({ length: begun + 3 }, () => bench.send(Opcode.READ, node, body));
  const [first, second, third] = uniques.slice(begun);
  assert.strictEqual(waiting.length, begun);
  bench.send(Opcode.INTERRUPT, 0, number64(second!), second! + 1);
  await until('the second is called off', () => bench.answer(second!)?.errno === Errno.EINTR);
  bench.vfs.before = () => {};
  for (const go of waiting) go();
  await bench.engine.idle();
  const order = bench.answers().map((answer) => answer.unique);
  assert.ok(order.indexOf(first!) < order.indexOf(third!));
  assert.ok(uniques.every((unique) => order.filter((answered) => answered === unique).length === 1));
  assert.strictEqual(bench.answer(third!)?.body.length, 4096);
});

test('no more requests are begun than the bound, and the intake hears when there is room', async () => {
  const bench = createBench();
  let rooms = 0;
  bench.engine.onRoom = () => rooms++;
  const waiting: (() => void)[] = [];
  bench.vfs.before = () => new Promise<void>((resolve) => waiting.push(resolve));
  for (let count = 0; count < limits.fuseRequestsInFlight; count++) {
    assert.ok(bench.engine.mayBegin());
    bench.send(Opcode.LOOKUP, ROOT_NODE, name(`n${count}`));
  }
  assert.strictEqual(bench.engine.mayBegin(), false);
  for (const go of waiting) go();
  await bench.engine.idle();
  assert.strictEqual(rooms, 1);
  assert.ok(bench.engine.mayBegin());
});

test('a handle that the kernel did not take is given back', async () => {
  const bench = createBench();
  const { node } = await openFile(bench, Buffer.from('x'));
  const before = { opens: bench.vfs.openCount, files: bench.context.files.size, nodes: bench.nodes.size };
  bench.context.answer.close();
  bench.send(Opcode.OPEN, node, structure(openIn, { flags: 2 }));
  bench.send(Opcode.CREATE, ROOT_NODE, Buffer.concat([Buffer.alloc(16), name('new')]));
  bench.send(Opcode.OPENDIR, ROOT_NODE, Buffer.alloc(8));
  await bench.engine.idle();
  const after = { opens: bench.vfs.openCount, files: bench.context.files.size, nodes: bench.nodes.size };
  assert.deepStrictEqual(after, before);
  assert.strictEqual(bench.context.directories.size, 0);
});

test('an error that nobody foresaw is EIO and is logged; one of the world is its errno', async () => {
  const bench = createBench();
  bench.vfs.before = () => {
    throw new TypeError('a mistake of ours');
  };
  assert.strictEqual((await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('x'))).errno, Errno.EIO);
  assert.match(bench.log.join(), /LOOKUP on inode .* failed: TypeError: a mistake of ours/);
  bench.vfs.before = () => {
    throw new OfsError(Status.NOSPC, 'full');
  };
  assert.strictEqual(
    (await bench.ask(Opcode.MKDIR, ROOT_NODE, Buffer.concat([Buffer.alloc(8), name('d')]))).errno,
    Errno.ENOSPC,
  );
});

test('an append goes behind what is there, and pages are given up if the kernel thought otherwise', async () => {
  const bench = createBench();
  const { node, fh } = await openFile(bench, Buffer.from('12345'));
  const head = structure(readIn, { fh, offset: 2, size: 3, flags: 0o2001 });
  const { errno } = await bench.ask(Opcode.WRITE, node, Buffer.concat([head, Buffer.from('abc')]));
  assert.strictEqual(errno, 0);
  assert.strictEqual(bench.frees, 1);
  assert.strictEqual((await bench.vfs.lookup(bench.vfs.root, 'file')).size, 8);
  assert.deepStrictEqual(bench.invalidated, [node]);
});

test(`any bytes in any operation are answered once and break nothing (seed ${seed})`, async () => {
  const bench = createBench();
  const { node, fh } = await openFile(bench, Buffer.alloc(100, 'x'));
  const silent: number[] = [Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT];
  const opcodes = Object.values(Opcode).filter((opcode) => !silent.includes(opcode));
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    // Handles that are there, before anything.
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.concat([number64(fh), Buffer.from(bytes)])),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.alloc(16), Buffer.from(bytes), name('n')])),
  );
  const operations = fc.array(fc.tuple(fc.constantFrom(...opcodes), fc.constantFrom(ROOT_NODE, node, 77), bodies));
  await fc.assert(
    fc.asyncProperty(operations, async (requests) => {
      const uniques = requests.map(([opcode, target, body]) => bench.send(opcode, target, body));
      await bench.engine.idle();
      const answered = bench.answers().map((answer) => answer.unique);
      for (const unique of uniques) assert.strictEqual(answered.filter((other) => other === unique).length, 1);
      assert.deepStrictEqual(bench.log, []);
    }),
    { seed, numRuns: 60 },
  );
});

test('a mount that is read-only refuses changes even if the kernel lets them through', async () => {
  const bench = createBench({ readOnly: true });
  await bench.vfs.mknod(bench.vfs.root, 'file', 0o100644, 0, { uid: 0, gid: 0 });
  const found = await bench.ask(Opcode.LOOKUP, ROOT_NODE, name('file'));
  const { node } = entryOut.read(found.body, 0, found.body.length);
  const requests: [number, number, Buffer][] = [
    [Opcode.UNLINK, ROOT_NODE, name('file')],
    [Opcode.OPEN, node, structure(openIn, { flags: 1 })],
    [Opcode.OPEN, node, structure(openIn, { flags: 0o1000 })],
    [Opcode.SETATTR, node, Buffer.alloc(88)],
  ];
  for (const request of requests) assert.strictEqual((await bench.ask(...request)).errno, Errno.EROFS);
  assert.strictEqual((await bench.ask(Opcode.OPEN, node, structure(openIn, { flags: 0 }))).errno, 0);
});

test('a directory of more entries than are kept is read whole, and read back from any place', async () => {
  const vfs = new MemoryVfs();
  const count = limits.fuseDirectoryEntries + 3000;
  for (let index = 0; index < count; index++) {
    await vfs.mknod(vfs.root, `f${String(index).padStart(6, '0')}`, 0o100644, 0, { uid: 0, gid: 0 });
  }
  const handle = new DirectoryHandle(vfs.root, vfs, new NodeTable(vfs.root));
  const nameOf = async (number: number, attributes = number % 2 === 0): Promise<string | undefined> => {
    const page = handle.peek(number) ?? (await handle.load(number, attributes));
    return page?.entries?.[Math.max(0, number - page.first)]?.name;
  };
  for (let number = 0; number < count; number++) {
    assert.strictEqual(await nameOf(number), `f${String(number).padStart(6, '0')}`);
  }
  assert.strictEqual(await handle.load(count, true), undefined);
  assert.strictEqual(handle.peek(0), undefined, 'the first page is dropped');
  for (const number of [0, 17, 5000, 1, count - 1]) {
    assert.strictEqual(await nameOf(number), `f${String(number).padStart(6, '0')}`);
  }
  await vfs.unlink(vfs.root, 'f000500');
  handle.rewind();
  assert.strictEqual(await nameOf(500), 'f000501');
});
