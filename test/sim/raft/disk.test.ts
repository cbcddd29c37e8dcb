// The simulated disk keeps what it promises, and nothing more.

import assert from 'node:assert';
import { test } from 'node:test';
import { MachineClock, Process } from '../process.js';
import { Random } from '../random.js';
import { World } from '../world.js';
import { Disk, type DiskFaults, NO_FAULTS } from './disk.js';

const BYTES = 4096;

function machine(seed: number, faults: Partial<DiskFaults> = {}) {
  const world = new World(undefined);
  const random = new Random(seed);
  const owner = { onDurable: () => undefined, mayDamage: () => true, onIo: () => undefined };
  const disk = new Disk(world, random, { ...NO_FAULTS, ...faults }, owner);
  const times = { turnUs: 1, earlyUs: 0, lateUs: 0 };
  const process = (): Process => new Process(world, new MachineClock(world, 0), random, times, () => undefined);
  const settle = (): Promise<void> => world.run(world.nowUs + 1e9, () => false);
  return { world, disk, process, settle };
}

async function written({ disk, process, settle }: ReturnType<typeof machine>) {
  const life = process();
  const folder = disk.folder('wal/', life);
  const file = await folder.create('a');
  const renamed = folder.rename('a', 'b');
  await settle();
  await renamed;
  let error: Error | null | undefined;
  file.write(Buffer.alloc(BYTES, 1), 0, (result) => {
    error = result;
  });
  await settle();
  return { life, folder, file, error };
}

async function content(disk: Disk, process: Process, settle: () => Promise<void>): Promise<Buffer> {
  const opening = disk.folder('wal/', process).open('b');
  await settle();
  const bytes = Buffer.alloc(BYTES);
  (await opening).read(bytes, 0);
  return bytes;
}

test('what was reported as written outlives a loss of power, what was under way is torn', async () => {
  let torn = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const at = machine(seed);
    const { file, life, error } = await written(at);
    assert.strictEqual(error, null);
    file.write(Buffer.alloc(BYTES, 2), 0, () => assert.fail('nobody lives to hear it'));
    life.end();
    at.disk.crash(true);
    const bytes = await content(at.disk, at.process(), at.settle);
    const twos = bytes.filter((byte) => byte === 2).length;
    assert.strictEqual(twos + bytes.filter((byte) => byte === 1).length, BYTES);
    if (twos > 0 && twos < BYTES) torn++;
  }
  assert(torn > 5);
});

test('after a failed write the cache may show what a loss of power takes away, whatever was synced meanwhile', async () => {
  let gone = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const at = machine(seed, { failWrite: 1 });
    const { life, error } = await written(at);
    assert.strictEqual((error as NodeJS.ErrnoException).code, 'EIO');
    at.disk.faults.failWrite = 0;
    life.end();
    at.disk.crash(false);
    const next = at.process();
    assert(!(await content(at.disk, next, at.settle)).includes(0), 'the cache has it');
    const file = await at.disk.folder('wal/', next).open('b');
    const syncing = file.sync();
    await at.settle();
    await syncing;
    next.end();
    at.disk.crash(true);
    if ((await content(at.disk, at.process(), at.settle)).includes(0)) gone++;
  }
  assert(gone > 25);
});

test('a name that was not synced may be gone after a loss of power, a listed one is not', async () => {
  const at = machine(1);
  const { folder, life } = await written(at);
  await folder.create('c');
  life.end();
  at.disk.crash(true);
  const next = at.process();
  const listing = at.disk.folder('wal/', next).list();
  await at.settle();
  assert.deepStrictEqual(await listing, ['b']);
});

test('a full disk refuses to grow a file, and still takes what fits', async () => {
  const at = machine(1, { capacityBytes: BYTES });
  const { file, error } = await written(at);
  assert.strictEqual(error, null);
  const results: (string | undefined)[] = [];
  const note = (result: Error | null): void => {
    results.push((result as NodeJS.ErrnoException | null)?.code);
  };
  file.write(Buffer.alloc(1, 3), BYTES, note);
  file.write(Buffer.alloc(1, 3), 0, note);
  await at.settle();
  assert.deepStrictEqual(results.sort(), ['ENOSPC', undefined]);
});
