// Leases for other processes of the machine: what a file that is written while it is read, left behind, or taken away
// allows.

import assert from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  BELIEVED_US,
  createLeases,
  FilePublisher,
  FOREVER,
  LeaseFile,
  LeaseWriter,
  monotonicUs,
  PublishedLeases,
} from '../../../node/raft/index.js';

const SLOT_BYTES = 64;

function fileOf(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-leases-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return path.join(directory, 'leases');
}

interface Node {
  readonly file: LeaseFile;
  readonly writer: LeaseWriter;
  close(): void;
}

function nodeOn(file: string): Node {
  const leases = LeaseFile.create(file);
  const publisher = new FilePublisher(file);
  return {
    file: leases,
    writer: new LeaseWriter(createLeases(), publisher),
    close: () => {
      publisher.close();
      leases.close();
    },
  };
}

const forever = { term: 1, deadlineUs: FOREVER, appliedIndex: 5 };

test('another process is told what the threads are told', (t) => {
  const file = fileOf(t);
  const { file: leases, writer, close } = nodeOn(file);
  const reader = new PublishedLeases(file);
  assert(reader.isOf(leases.instance) && !reader.isOf(leases.instance + 1));
  assert.strictEqual(reader.mayRead(7), false, 'no record');
  writer.grant(7, forever);
  assert.strictEqual(reader.mayRead(7), true);
  assert.strictEqual(reader.mayRead(8), false);
  writer.acknowledging(7, 6);
  assert.strictEqual(reader.mayRead(7), false, 'an answer has left that a snapshot does not show');
  writer.applied(7, 6);
  assert.strictEqual(reader.mayRead(7), true);
  writer.clear(7);
  assert.strictEqual(reader.mayRead(7), false);
  writer.grant(7, { ...forever, deadlineUs: monotonicUs() - 1 });
  assert.strictEqual(reader.mayRead(7), false, 'it has run out');
  writer.extend(7, monotonicUs() + 60_000_000);
  assert.strictEqual(reader.mayRead(7), true);
  reader.close();
  close();
});

test('as many groups as collide in the table are told apart', (t) => {
  const file = fileOf(t);
  const { writer, close } = nodeOn(file);
  const reader = new PublishedLeases(file);
  const groups = Array.from({ length: 300 }, (_, at) => at * 8192 + 1);
  for (const group of groups) writer.grant(group, forever);
  for (const group of groups) assert(reader.mayRead(group), `group ${group}`);
  for (const group of groups) if (group % 3 === 0) writer.clear(group);
  for (const group of groups) assert.strictEqual(reader.mayRead(group), group % 3 !== 0);
  reader.close();
  close();
});

test('a node that starts voids what the one before it has left, before anybody is told anything new', (t) => {
  const file = fileOf(t);
  const first = nodeOn(file);
  const reader = new PublishedLeases(file);
  first.writer.grant(7, forever);
  assert.strictEqual(reader.mayRead(7), true);
  const before = reader.instance;
  // The first was killed: it has closed nothing.
  const second = LeaseFile.create(file);
  assert.strictEqual(reader.mayRead(7), false, 'a record of before');
  const publisher = new FilePublisher(file);
  const writer = new LeaseWriter(createLeases(), publisher);
  writer.grant(8, forever);
  // It looks at the head of the file again when it has met a record of another start.
  assert.strictEqual(reader.mayRead(8), false);
  assert.strictEqual(reader.mayRead(8), true);
  assert.strictEqual(reader.instance, second.instance);
  assert.notStrictEqual(reader.instance, before);
  assert.strictEqual(reader.mayRead(7), false);
  second.close();
  assert.strictEqual(new PublishedLeases(file).mayRead(8), false, 'a node that has ended in order allows nothing');
  publisher.close();
  first.close();
  reader.close();
});

test('a record that is damaged, or that another start has written, allows nothing', (t) => {
  const file = fileOf(t);
  const { writer, close } = nodeOn(file);
  const reader = new PublishedLeases(file);
  writer.grant(7, forever);
  assert.strictEqual(reader.mayRead(7), true);
  const bytes = fs.readFileSync(file);
  const slot = bytes.length / SLOT_BYTES;
  let position = 0;
  for (let at = 1; at < slot; at++) if (bytes.readInt32LE(at * SLOT_BYTES + 4) === 8) position = at * SLOT_BYTES;
  assert(position > 0, 'the record is found');
  for (let at = 0; at < 52; at++) {
    const damaged = Buffer.from(bytes.subarray(position, position + SLOT_BYTES));
    damaged[at]! ^= 1;
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, damaged, 0, SLOT_BYTES, position);
    assert.strictEqual(reader.mayRead(7), false, `byte ${at}`);
    fs.writeSync(fd, bytes, position, SLOT_BYTES, position);
    fs.closeSync(fd);
    assert.strictEqual(reader.mayRead(7), true);
  }
  reader.close();
  close();
});

const ABANDONS = `
  import { LeaseFile, FilePublisher, LeaseWriter, createLeases, FOREVER } from ${JSON.stringify(
    new URL('../../../node/raft/index.js', import.meta.url).href,
  )};
  LeaseFile.create(process.argv[1]);
  const writer = new LeaseWriter(createLeases(), new FilePublisher(process.argv[1]));
  writer.grant(7, { term: 1, deadlineUs: FOREVER, appliedIndex: 1 });
  process.stdout.write('granted');
  if (process.argv[2] === 'busy') {
    let index = 1;
    setInterval(() => {
      for (let turn = 0; turn < 2000; turn++) {
        writer.acknowledging(7, ++index);
        writer.applied(7, index);
      }
    }, 0);
  } else setInterval(() => {}, 1000);
`;

async function abandoned(t: TestContext, file: string, how: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', ABANDONS, file, how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout!, 'data'); // piped
  return child;
}

test('a node that gives no sign is believed for a second and no longer', async (t) => {
  const file = fileOf(t);
  const child = await abandoned(t, file, 'idle');
  const reader = new PublishedLeases(file);
  assert.strictEqual(reader.mayRead(7), true);
  child.kill('SIGSTOP');
  const stoppedUs = monotonicUs();
  while (reader.mayRead(7)) {
    assert(monotonicUs() - stoppedUs < 2 * BELIEVED_US, 'it is believed too long');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(monotonicUs() - stoppedUs > BELIEVED_US / 2, 'signs come often');
  child.kill('SIGCONT');
  while (!reader.mayRead(7)) {
    assert(monotonicUs() - stoppedUs < 10 * BELIEVED_US, 'it is believed again');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  reader.close();
});

test('a record that is written all the time is read whole or not at all', async (t) => {
  const file = fileOf(t);
  await abandoned(t, file, 'busy');
  const reader = new PublishedLeases(file);
  let allowed = 0;
  for (let read = 0; read < 200_000; read++) if (reader.mayRead(7)) allowed++;
  assert(allowed > 1000, `${allowed} of 200,000 reads allowed`);
  reader.close();
});
