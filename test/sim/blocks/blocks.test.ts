// The simulation of the block store itself: seeds repeat, fresh ones are clean, planted bugs are seen, what is broken is
// shortened. And the simulated file system keeps what it promises, and nothing more.

import assert from 'node:assert';
import { test } from 'node:test';
import { randomNumbers, seedOf } from '../../node/raft/random.js';
import { compiled, copyCode, withBug } from '../planted.js';
import { Random } from '../random.js';
import { bugs } from './bugs.js';
import { FileSystem, SECTOR_BYTES } from './file-system.js';
import { invariantNames } from './invariants.js';
import { faultNames, optionsOf } from './options.js';
import { tryBlockBug } from './planted.js';
import { type Outcome, type RunOptions, runSeed } from './run.js';
import { asArguments, shorten } from './shorten.js';

const FRESH_MS = 12_000;

test('a seed that runs twice has the same history twice, told or not', async () => {
  for (const seed of [3, 15, 106]) {
    const lines: string[] = [];
    const first = await runSeed(seed);
    const second = await runSeed(seed, { tell: (line) => lines.push(line) });
    assert.deepStrictEqual([second.hash, second.events, second.done], [first.hash, first.events, first.done]);
    assert(first.events > 100 && lines.length > 3);
  }
  assert.notStrictEqual((await runSeed(4)).hash, (await runSeed(5)).hash);
});

test('fresh seeds break no invariant and come to rest', async (t) => {
  const next = randomNumbers(seedOf(t));
  const until = performance.now() + FRESH_MS;
  const done = { seeds: 0, lives: 0, blocks: 0, deletions: 0, reads: 0, refusals: 0 };
  while (performance.now() < until) {
    const seed = next(2 ** 31);
    const outcome = await runSeed(seed);
    assert.deepStrictEqual(outcome.broken, [], `node dist/test/sim/blocks/main.js --seed ${seed}`);
    for (const kind of ['blocks', 'deletions', 'reads', 'refusals'] as const) done[kind] += outcome.done[kind];
    done.lives += outcome.lives;
    done.seeds++;
  }
  t.diagnostic(JSON.stringify(done));
  assert(done.blocks > 10 * done.seeds && done.lives > done.seeds && done.deletions > 0 && done.reads > done.seeds);
});

test('every fault is in some seeds and not in others', () => {
  const seeds = Array.from({ length: 100 }, (_, seed) => optionsOf(seed).faults);
  for (const name of faultNames) {
    const count = seeds.filter((faults) => faults.has(name)).length;
    assert(count > 10 && count < 90, `${name} is in ${count} of 100`);
  }
});

test('each planted bug has a name of its own and fits the code in exactly one place', () => {
  assert(bugs.length >= 10);
  assert.strictEqual(new Set(bugs.map(({ name }) => name)).size, bugs.length);
  for (const { name, edits } of bugs) {
    for (const edit of edits) assert.notStrictEqual(withBug(compiled, edit, name), '');
  }
});

test('bugs that are easy to see are seen within a few seeds, by an invariant', async () => {
  using copy = copyCode();
  for (const wanted of ['tombstones are not synced', 'a torn needle is accepted', 'a volume is sealed with needles']) {
    const bug = bugs.find(({ name }) => name.startsWith(wanted));
    assert(bug !== undefined);
    const { seed, first } = await tryBlockBug(copy.root, bug, 1, 300);
    assert(seed !== undefined && first !== undefined && invariantNames.includes(first), wanted);
  }
});

test('a broken run is shortened to the faults, sessions and time that it needs', async () => {
  const needs = ({ faults, stormMs }: Outcome['options']): boolean =>
    faults.has('kill') && faults.has('rot') && stormMs >= 30;
  const run = async (seed: number, { narrowed }: RunOptions = {}): Promise<Outcome> => {
    const options = optionsOf(seed, narrowed);
    const broken = needs(options) ? [{ invariant: 'some', what: 'it', atUs: 29_500 }] : [];
    const done = { blocks: 0, deletions: 0, reads: 0, refusals: 0 };
    return { options, broken, events: 1, simulatedMs: 1, healingMs: 1, hash: 1, lives: 1, done };
  };
  let seed = 1;
  while (!needs(optionsOf(seed)) || optionsOf(seed).faults.size < 10) seed++;
  const { narrowed, outcome } = await shorten(seed, await run(seed), run);
  assert.deepStrictEqual([...outcome.options.faults].sort(), ['kill', 'rot']);
  assert.strictEqual(outcome.options.sessions, 1);
  assert.match(asArguments(seed, narrowed), /^--seed \d+ --without [a-z,-]+ .*--stormMs \d+$/);
});

test('bytes, sizes and names outlive a loss of power when they were synced, and others only by chance', () => {
  const seen = { bytes: new Set<number>(), sizes: new Set<number>(), names: new Set<boolean>() };
  for (let seed = 1; seed <= 100; seed++) {
    const files = new FileSystem();
    const inode = files.create('a');
    inode.put(Buffer.alloc(4 * SECTOR_BYTES, 1), 0);
    inode.sync();
    files.syncNames();
    inode.put(Buffer.alloc(4 * SECTOR_BYTES, 2), 3 * SECTOR_BYTES);
    files.create('b');
    files.losePower(new Random(seed), { tornBytes: false, stale: false, anyNames: true });
    const after = files.names.get('a');
    assert(after !== undefined && after.size >= 4 * SECTOR_BYTES);
    assert(after.cache.subarray(0, 3 * SECTOR_BYTES).every((byte) => byte === 1));
    seen.bytes.add(after.cache[3 * SECTOR_BYTES]!);
    seen.sizes.add(after.size);
    seen.names.add(files.names.has('b'));
  }
  assert.deepStrictEqual([...seen.bytes].sort(), [1, 2]);
  assert(seen.sizes.size > 2 && seen.names.size === 2);
});

test('what a failed sync left in the cache is not on the platter, whatever is synced later, until it is written again', () => {
  let lost = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const files = new FileSystem();
    const inode = files.create('a');
    files.syncNames();
    const random = new Random(seed);
    inode.put(Buffer.alloc(SECTOR_BYTES, 1), 0);
    inode.failSync(random);
    inode.sync();
    if (inode.platter[0] !== 1) lost++;
    assert.strictEqual(inode.cache[0], 1);
    inode.put(Buffer.alloc(SECTOR_BYTES, 1), 0);
    inode.sync();
    assert.strictEqual(inode.platter[0], 1);
  }
  assert(lost > 10);
});
