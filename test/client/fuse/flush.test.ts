import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Account, FlushAccounts } from '../../../client/fuse/flush-account.js';
import { FlushWord } from '../../../client/fuse/shared.js';
import { limits } from '../../../proto/limits.js';
import { type MountedMemory, run, until, withMount } from './harness.js';

const seed = Number(process.env.SEED ?? Date.now());
const INODE = 77;

function isSettled(accounts: FlushAccounts, word: number): boolean {
  return Atomics.load(new Int32Array(accounts.shared), word) === FlushWord.SETTLED;
}

async function flushes(mounted: MountedMemory): Promise<number> {
  return (await mounted.state()).calls.flush ?? 0;
}

test('closing a file to which nothing was written asks nobody, and closing one that was written flushes it', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.closeSync(fs.openSync(path, 'wx'));
    fs.closeSync(fs.openSync(path, 'r+'));
    fs.closeSync(fs.openSync(path, 'w'));
    assert.strictEqual(await flushes(mounted), 0);
    const file = fs.openSync(path, 'r+');
    fs.writeSync(file, 'bytes');
    fs.closeSync(file);
    assert.strictEqual(await flushes(mounted), 1);
    const again = fs.openSync(path, 'r+');
    fs.writeSync(again, 'other');
    fs.fsyncSync(again);
    assert.strictEqual(await flushes(mounted), 2);
    fs.closeSync(again);
    assert.strictEqual(await flushes(mounted), 2, 'the fsync has left nothing to flush');
  }));

test('what was written through one handle is flushed by the close of any other of the file', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    const writer = fs.openSync(path, 'w');
    const other = fs.openSync(path, 'r+');
    fs.writeSync(writer, 'bytes');
    fs.closeSync(other);
    assert.strictEqual(await flushes(mounted), 1);
    fs.closeSync(writer);
    assert.strictEqual(await flushes(mounted), 1, 'all was flushed');
  }));

test('a close that leaves pages of a mapping behind flushes them, and so does each later one that finds more', () =>
  withMount(async (mounted) => {
    fs.writeFileSync(mounted.path('file'), Buffer.alloc(10_000));
    const before = await flushes(mounted);
    const script = `
import mmap, os
first = os.open('file', os.O_RDWR)
second = os.open('file', os.O_RDWR)
pages = mmap.mmap(second, 10000)
spare = os.dup(second)
pages[5000] = 1
os.close(spare)
pages[1] = 1
os.close(second)
pages[6000] = 1
os.close(first)
`;
    await run('python3', ['-c', script], mounted.directory);
    assert.strictEqual(await flushes(mounted), before + 3);
  }));

test('pages of a mapping that outlives its descriptor are flushed by the close that follows', () =>
  withMount(async (mounted) => {
    fs.writeFileSync(mounted.path('file'), Buffer.alloc(10_000));
    const script = `
import ctypes, mmap, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
file = os.open('file', os.O_RDWR)
pages = libc.mmap(None, 10000, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
os.close(file)
ctypes.memset(pages + 5000, 1, 1)
`;
    const { write } = (await mounted.state()).calls;
    await run('python3', ['-c', script], mounted.directory);
    await until('the pages are written', async () => (await mounted.state()).calls.write === write! + 1);
    await until('the file is released', async () => (await mounted.state()).opens === 0);
    const before = await flushes(mounted);
    fs.closeSync(fs.openSync(mounted.path('file'), 'r+'));
    assert.strictEqual(await flushes(mounted), before + 1);
    fs.closeSync(fs.openSync(mounted.path('file'), 'r+'));
    assert.strictEqual(await flushes(mounted), before + 1);
  }));

test('a close that failed leaves the file owing, and the next one flushes it', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    const first = fs.openSync(path, 'w');
    const second = fs.openSync(path, 'r+');
    fs.writeSync(first, 'bytes');
    assert.strictEqual(await mounted.command('fail flush'), 'failing');
    assert.throws(() => fs.closeSync(first), { code: 'EIO' });
    fs.closeSync(second);
    assert.strictEqual(await flushes(mounted), 2);
  }));

test('closes beside writes of other threads lose no flush', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.writeFileSync(path, 'x');
    for (let round = 0; round < 50; round++) {
      const hands = Array.from({ length: 6 }, async (_, hand) => {
        const file = await fs.promises.open(path, 'r+');
        if ((round + hand) % 3 !== 0) await file.write('y', hand);
        await file.close();
      });
      await Promise.all(hands);
      assert.strictEqual(await mounted.command('unflushed'), '0');
    }
  }));

test('whatever the order, a file that says settled has each ended write under a flush begun after it', () => {
  const step = fc.constantFrom('open', 'close', 'begin', 'end', 'flush', 'succeed', 'fail');
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const accounts = new FlushAccounts();
    let handles = 0;
    let word = 0;
    let clock = 0;
    /** When the last write ended; when the last flush began that has succeeded. */
    let ended = 0;
    let covered = 0;
    const writes: Account[] = [];
    const begun: { at: number; moves: number }[] = [];
    for (const action of steps) {
      clock++;
      if (action === 'open') {
        word = accounts.open(INODE);
        handles++;
      } else if (handles === 0) continue;
      else if (action === 'close' && (handles > 1 || writes.length + begun.length === 0)) {
        accounts.close(INODE);
        handles--;
      } else if (action === 'begin') writes.push(accounts.beginWrite(INODE));
      else if (action === 'end' && writes.length > 0) {
        accounts.endWrite(writes.shift()!);
        ended = clock;
      } else if (action === 'flush') begun.push({ at: clock, moves: accounts.beginFlush(INODE) });
      else if (action === 'succeed' && begun.length > 0) {
        const { at, moves } = begun.shift()!;
        accounts.flushed(INODE, moves);
        covered = Math.max(covered, at);
      } else if (action === 'fail') begun.shift();
      if (handles === 0 || !isSettled(accounts, word)) continue;
      assert.ok(ended === 0 || covered > ended, `settled after ${steps.join(' ')}`);
      assert.strictEqual(writes.length, 0, 'settled while a write is under way');
    }
  });
  fc.assert(property, { seed, numRuns: 2000 });
});

test('a file beyond the number of words has none, and a word is used again when its file is closed', () => {
  const accounts = new FlushAccounts();
  const words = new Set<number>();
  for (let inode = 1; inode < limits.fuseFlushWords; inode++) words.add(accounts.open(inode));
  assert.strictEqual(words.size, limits.fuseFlushWords - 1);
  assert.ok(!words.has(0));
  assert.strictEqual(accounts.open(limits.fuseFlushWords), 0);
  accounts.endWrite(accounts.beginWrite(1));
  const word = accounts.open(1);
  accounts.close(1);
  accounts.close(1);
  assert.strictEqual(accounts.open(999_999), word);
  assert.ok(isSettled(accounts, word), 'what another file owed is not its successor’s');
});

test('when more files owe than are remembered, none is believed settled before it was flushed', () => {
  const accounts = new FlushAccounts();
  for (let inode = 1; inode <= limits.fuseOwingFiles + 1; inode++) {
    accounts.open(inode);
    accounts.endWrite(accounts.beginWrite(inode));
    accounts.close(inode);
  }
  const word = accounts.open(limits.fuseOwingFiles + 1);
  assert.ok(!isSettled(accounts, word));
  accounts.flushed(limits.fuseOwingFiles + 1, accounts.beginFlush(limits.fuseOwingFiles + 1));
  assert.ok(isSettled(accounts, word));
});
