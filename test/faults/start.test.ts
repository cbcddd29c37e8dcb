// What keeps a node from starting is said in one line, with what to do.

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePorts, HOST, killNodes, startNode } from '../../perf/servers.js';
import { notRoot } from '../support/programs.js';

const OFS = fileURLToPath(new URL('../../client/cli/ofs.js', import.meta.url));
const NOBODY = 65_534;

interface Ended {
  code: number | null;
  stderr: string;
}

/** Runs `ofs serve`, which is expected to end by itself. */
function serve(data: string, s3: number, listen: number, uid?: number): Promise<Ended> {
  const args = [OFS, 'serve', '--data', data, '--s3', `${HOST}:${s3}`, '--listen', `${HOST}:${listen}`];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(uid === undefined ? {} : { uid }),
  });
  let stderr = '';
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece.toString('utf8');
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stderr });
    });
  });
}

function folder(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-start-'));
}

after(killNodes);

test('a data directory that may not be written is refused by name', { skip: notRoot() }, async () => {
  const root = folder();
  fs.chmodSync(root, 0o700);
  const port = await freePorts(3);
  const { code, stderr } = await serve(path.join(root, 'data'), port, port + 1, NOBODY);
  assert.strictEqual(code, 1);
  assert.match(stderr, /permission denied/);
  assert.strictEqual(stderr.trim().split('\n').length, 1, stderr);
  fs.rmSync(root, { recursive: true });
});

test('a data directory below a file is refused', async () => {
  const root = folder();
  fs.writeFileSync(path.join(root, 'file'), '');
  const port = await freePorts(3);
  const { code, stderr } = await serve(path.join(root, 'file', 'data'), port, port + 1);
  assert.strictEqual(code, 1);
  assert.match(stderr, /data directory .*file\/data/);
  fs.rmSync(root, { recursive: true });
});

test('a port that another program has is refused, whichever of them it is', async () => {
  const port = await freePorts(3);
  for (const taken of [port, port + 1, port + 2]) {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen({ host: HOST, port: taken }, resolve));
    const root = folder();
    const { code, stderr } = await serve(root, port, port + 1);
    assert.strictEqual(code, 1);
    assert.match(stderr, new RegExp(`port ${taken} is in use by another program`));
    await new Promise((resolve) => other.close(resolve));
    fs.rmSync(root, { recursive: true });
  }
});

test('a second node gets neither the data directory nor the ports of the first, and the first goes on', async () => {
  const node = await startNode();
  const port = await freePorts(3);
  const sameData = await serve(node.data, port, port + 1);
  assert.strictEqual(sameData.code, 1);
  assert.match(sameData.stderr, new RegExp(`in use by another ofs \\(process ${node.pid}\\)`));
  const root = folder();
  const samePort = await serve(root, node.port, port + 1);
  assert.strictEqual(samePort.code, 1);
  assert.match(samePort.stderr, new RegExp(`port ${node.port} is in use by another ofs`));
  const answer = await fetch(`http://${HOST}:${node.port}/`);
  assert.strictEqual(answer.status, 403);
  fs.rmSync(root, { recursive: true });
  await node.stop();
});
