import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { HOST, killNodes, runOfs, startNode } from '../../../perf/servers.js';

after(killNodes);

/** A process that has ended may stand in the table until its parent asks for it. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Its descriptors close a moment before the kernel is done with it. */
async function ends(pid: number): Promise<void> {
  const deadline = performance.now() + 500;
  while (isRunning(pid)) {
    assert(performance.now() < deadline, 'the process is still there');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('when umount answers, the process of the mount has written everything and is gone', async () => {
  const node = await startNode();
  const server = ['--server', `${HOST}:${node.listen}`];
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-mount-'));
  await runOfs(['volume', 'create', 'umounted', ...server]);
  const content = Buffer.alloc(3_000_000, 'written before the end; ');
  for (let round = 0; round < 3; round++) {
    const mounted = await runOfs(['mount', 'umounted', directory, ...server]);
    const pid = Number(/process (\d+)/.exec(mounted.stdout)?.[1]);
    assert(isRunning(pid), mounted.stdout + mounted.stderr);
    if (round > 0) {
      assert((await fs.promises.readFile(path.join(directory, `f${round - 1}`))).equals(content));
    }
    await fs.promises.writeFile(path.join(directory, `f${round}`), content);
    const { code, stderr } = await runOfs(['umount', directory]);
    assert.strictEqual(code, 0, stderr);
    await ends(pid);
  }
  fs.rmdirSync(directory);
  await node.stop();
});

test('a mount that cannot be is said in a line, with code 1, and leaves no process', async () => {
  const node = await startNode();
  const server = ['--server', `${HOST}:${node.listen}`];
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-mount-'));
  for (const [volume, where] of [
    ['nowhere', directory],
    ['nowhere', path.join(directory, 'missing')],
  ] as const) {
    const { code, stderr } = await runOfs(['mount', volume, where, ...server]);
    assert.strictEqual(code, 1);
    assert.match(stderr, /^ofs: [^\n]+\n$/);
  }
  fs.rmdirSync(directory);
  await node.stop();
});
