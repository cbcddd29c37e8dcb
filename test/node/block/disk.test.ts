// Disks that are full, and disks that fail.

import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { benchmarkBlocks } from '../../../node/block/benchmark.js';
import { systemDisk } from '../../../node/block/disk.js';
import { limits } from '../../../proto/limits.js';
import { Status } from '../../../proto/status.js';
import { BlockNode, patternBytes, statusOf, temporaryDirectory } from './support.js';

async function until(condition: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, 'the condition never came');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a full disk refuses appends, serves reads and deletions, loses nothing, and takes appends when it has space', async () => {
  const directory = temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', directory]);
  try {
    const node = await BlockNode.open(directory, { volumeNeedles: 40 });
    const written: { blob: number; seed: number }[] = [];
    let refused = 0;
    for (let seed = 0; refused < 3; seed++) {
      const batch = [0, 1, 2].map((part) => seed * 3 + part);
      await Promise.all(
        batch.map(async (each) => {
          const write = node.write(patternBytes(60_000 + each, each));
          const status = await statusOf(write);
          if (status === Status.OK) written.push({ blob: await write, seed: each });
          else {
            assert.strictEqual(status, Status.NOSPC);
            refused++;
          }
        }),
      );
    }
    assert.ok(written.length > 80, `${written.length}`);
    assert.match(node.warnings.join(), /no space/);
    const all = async (from: number) => {
      for (const { blob, seed } of written.slice(from)) {
        assert.deepStrictEqual(await node.read(blob), patternBytes(60_000 + seed, seed));
      }
    };
    await all(0);
    await node.reopen();
    await all(0);
    // The first volume is sealed and loses all its needles, so it can be removed without space to copy.
    await node.delete(...written.slice(0, 45).map(({ blob }) => blob));
    assert.ok((await node.compact(90)) > 1_000_000);
    await until(async () => (await statusOf(node.write(patternBytes(50_000, 1)))) === Status.OK);
    await all(45);
    await node.reopen();
    await all(45);
    for (const { blob } of written.slice(0, 45)) assert.strictEqual(await node.read(blob), null);
    await node.stop();
  } finally {
    execFileSync('umount', ['-l', directory]);
    fs.rmSync(directory, { recursive: true });
  }
});

test('a disk without a byte left still takes deletions, and is emptied by them', async () => {
  const directory = temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', directory]);
  try {
    const node = await BlockNode.open(directory, { volumeNeedles: 1000 });
    const blobs: number[] = [];
    for (let full = false; !full; ) {
      const write = node.write(patternBytes(3000, 1));
      full = (await statusOf(write)) !== Status.OK;
      if (!full) blobs.push(await write);
    }
    const filler = fs.openSync(`${directory}/filler`, 'w');
    const page = Buffer.alloc(4096);
    assert.throws(() => {
      for (;;) fs.writeSync(filler, page);
    }, /ENOSPC/);
    fs.closeSync(filler);
    assert.ok(blobs.length > 1500);
    for (const blob of blobs.slice(0, 1000)) await node.delete(blob);
    assert.ok((await node.compact(50)) > 3_000_000, 'the first volume is empty and goes');
    for (const blob of blobs.slice(1000)) await node.delete(blob);
    await until(async () => (await statusOf(node.write(patternBytes(3000, 2)))) === Status.OK);
    await node.reopen();
    for (const blob of blobs) assert.strictEqual(await node.read(blob), null);
    await node.stop();
  } finally {
    execFileSync('umount', ['-l', directory]);
    fs.rmSync(directory, { recursive: true });
  }
});

test('a disk that is full in a volume that still grows is made room on by deletions alone', async () => {
  const directory = temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory]);
  try {
    const node = await BlockNode.open(directory);
    const data = patternBytes(1_000_000, 1);
    const blobs: number[] = [];
    for (let full = false; !full; ) {
      const write = node.write(data);
      full = (await statusOf(write)) !== Status.OK;
      if (!full) blobs.push(await write);
    }
    assert.ok(blobs.length > 40);
    const [kept, ...rest] = blobs;
    await node.delete(...rest);
    await until(async () => (await statusOf(node.write(data))) === Status.OK, 3 * limits.compactIntervalMs);
    for (let more = 0; more < 20; more++) await node.write(data);
    assert.deepStrictEqual(await node.read(kept!), data);
    await node.reopen();
    assert.deepStrictEqual(await node.read(kept!), data);
    await node.stop();
    assert.deepStrictEqual(node.failures, []);
  } finally {
    execFileSync('umount', ['-l', directory]);
    fs.rmSync(directory, { recursive: true });
  }
});

test('while the disk is full it is tried once in a while, not for every request', async () => {
  let writes = 0;
  let full = false;
  const noSpace = () => Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  const disk = {
    ...systemDisk,
    writevSync: (...call: Parameters<typeof systemDisk.writevSync>) => {
      writes++;
      if (full) throw noSpace();
      return systemDisk.writevSync(...call);
    },
  };
  const node = await BlockNode.open(undefined, { disk });
  const blob = await node.write(patternBytes(100, 1));
  full = true;
  writes = 0;
  for (let at = 0; at < 100; at++) assert.strictEqual(await statusOf(node.write(patternBytes(100, at))), Status.NOSPC);
  assert.ok(writes <= 6, `${writes}`);
  assert.strictEqual(node.warnings.length, 1);
  full = false;
  await until(async () => (await statusOf(node.write(patternBytes(100, 2)))) === Status.OK);
  assert.deepStrictEqual(await node.read(blob), patternBytes(100, 1));
  await node.close();
});

for (const call of ['fdatasyncSync', 'writevSync', 'fdatasync', 'writev'] as const) {
  test(`a ${call} that fails ends the process, and what it carried is not acknowledged`, async () => {
    let broken = false;
    const failing = (...parameters: never[]) => {
      if (broken) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      return (systemDisk[call] as (...parameters: never[]) => never)(...parameters);
    };
    const failures: Error[] = [];
    const node = await BlockNode.open(undefined, {
      disk: { ...systemDisk, [call]: failing },
      fatal: (error) => failures.push(error),
    });
    const length = call.endsWith('Sync') ? 1000 : limits.appendSyncBytes + 1;
    const kept = await node.write(patternBytes(length, 1));
    broken = true;
    let answered = false;
    node.write(patternBytes(length, 2)).then(
      () => {
        answered = true;
      },
      () => {
        answered = true;
      },
    );
    await until(() => failures.length > 0);
    assert.strictEqual(answered, false);
    assert.strictEqual(await node.read(kept + 16), null, 'nor shown to readers');
    assert.deepStrictEqual(await node.read(kept), patternBytes(length, 1));
    await node.close();
  });
}

test('a batch never carries more than its limits, and short writes are gone on with', async () => {
  const batches: number[] = [];
  const disk = {
    ...systemDisk,
    writevSync: (fd: number, buffers: readonly Uint8Array[], position: number) => {
      const first = buffers[0]!;
      batches.push(buffers.length);
      if (buffers.length > 1) return systemDisk.writevSync(fd, buffers.slice(0, buffers.length - 1), position);
      return systemDisk.writevSync(fd, [first.subarray(0, Math.max(1, first.length >> 1))], position);
    },
  };
  const node = await BlockNode.open(undefined, { disk });
  const blobs = await Promise.all(Array.from({ length: 3000 }, (_, at) => node.write(patternBytes(20, at))));
  assert.ok(Math.max(...batches) <= 2 * limits.appendBatchNeedles + 2);
  await node.reopen();
  for (const [at, blob] of blobs.entries()) assert.deepStrictEqual(await node.read(blob), patternBytes(20, at));
  await node.close();
});

test('the benchmark runs', async () => {
  const directory = temporaryDirectory();
  const figures = await benchmarkBlocks(directory, 200);
  assert.ok(figures.every((figure) => figure.perSecond > 0 && figure.latencyP50Us > 0));
  assert.deepStrictEqual(fs.readdirSync(directory), []);
  fs.rmSync(directory, { recursive: true });
});
