// Damage to stored bytes is found, said and kept from spreading.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { freePorts, HOST, killNodes, type NodeTarget, runOfs, startNode } from '../../perf/servers.js';
import { S3 } from '../support/s3.js';

const OBJECTS = 30;

function body(index: number): Buffer {
  return Buffer.alloc(20_000, `content of object ${index}; `);
}

async function fill(node: NodeTarget): Promise<void> {
  const s3 = new S3(node.port, node.credentials);
  await s3.put('/damage');
  for (let index = 0; index < OBJECTS; index++) {
    assert.strictEqual((await s3.put(`/damage/o${index}`, body(index))).status, 200);
  }
  s3.close();
}

function files(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

function flip(file: string, at: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0xff;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

after(killNodes);

test('a damaged needle gives an error for its object and never other bytes; all else is served', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-damage-'));
  const firstPort = await freePorts(3);
  let node = await startNode({ data: root, firstPort });
  await fill(node);
  await node.stop();
  const wanted = Buffer.from('content of object 7; ');
  const volume = files(path.join(root, 'blocks')).find((file) => fs.readFileSync(file).includes(wanted))!;
  flip(volume, fs.readFileSync(volume).indexOf(wanted) + 5000);
  const log: string[] = [];
  node = await startNode({ data: root, firstPort, log: (text) => log.push(text) });
  const s3 = new S3(node.port, node.credentials);
  for (let index = 0; index < OBJECTS; index++) {
    const answer = await s3.get(`/damage/o${index}`).catch(() => null);
    if (index === 7) assert(answer === null || answer.status === 500, `status ${answer?.status}`);
    else assert(answer?.body.equals(body(index)), `object ${index}`);
  }
  assert.strictEqual((await s3.put('/damage/o7', body(7))).status, 200);
  assert((await s3.get('/damage/o7')).body.equals(body(7)), 'written again it is whole');
  s3.close();
  await node.stop();
  fs.rmSync(root, { recursive: true });
});

test('a record damaged in the middle of the log is refused at the start, with its place', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-damage-'));
  const firstPort = await freePorts(3);
  const node = await startNode({ data: root, firstPort });
  await fill(node);
  await node.kill();
  const segment = files(path.join(root, 'meta')).find((file) => fs.readFileSync(file).includes('o15'))!;
  assert(segment.includes('wal'), segment);
  flip(segment, fs.readFileSync(segment).indexOf('o15'));
  const log: string[] = [];
  await assert.rejects(startNode({ data: root, firstPort, log: (text) => log.push(text) }));
  assert.match(log.join(''), /damaged/);
  assert.match(log.join(''), /segment 1 at offset \d+/);
  assert.match(log.join(''), /group 1/);
  fs.rmSync(root, { recursive: true });
});

test('fsck says what is damaged and ends with 1', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-damage-'));
  const firstPort = await freePorts(3);
  let node = await startNode({ data: root, firstPort });
  await fill(node);
  const clean = await runOfs(['fsck', '--server', `${HOST}:${node.listen}`]);
  assert.strictEqual(clean.code, 0, clean.stdout + clean.stderr);
  await node.stop();
  for (const file of files(path.join(root, 'blocks'))) fs.rmSync(file);
  node = await startNode({ data: root, firstPort, log: () => {} });
  const found = await runOfs(['fsck', '--server', `${HOST}:${node.listen}`]);
  assert.strictEqual(found.code, 1);
  assert.match(found.stdout + found.stderr, /block/);
  await node.stop();
  fs.rmSync(root, { recursive: true });
});
