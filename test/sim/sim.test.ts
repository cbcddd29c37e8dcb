// The simulation itself: seeds repeat, fresh ones are clean, planted bugs are seen, what is broken is shortened.

import assert from 'node:assert';
import { test } from 'node:test';
import { randomNumbers, seedOf } from '../node/raft/random.js';
import { bugs } from './bugs.js';
import { invariantNames } from './invariants/index.js';
import { faultNames, optionsOf } from './options.js';
import { compiled, copyCode, tryBug, withBug } from './planted.js';
import { type Outcome, type RunOptions, runSeed } from './run.js';
import { asArguments, shorten } from './shorten.js';

const FRESH_MS = 10_000;

test('a seed that runs twice has the same history twice, told or not', async () => {
  for (const seed of [3, 15, 106]) {
    const lines: string[] = [];
    const first = await runSeed(seed);
    const second = await runSeed(seed, { tell: (line) => lines.push(line) });
    assert.deepStrictEqual([second.hash, second.events, second.entries], [first.hash, first.events, first.entries]);
    assert(first.events > 1000 && lines.length > 10);
  }
  assert.notStrictEqual((await runSeed(4)).hash, (await runSeed(5)).hash);
});

test('fresh seeds break no invariant and come to rest', async (t) => {
  const next = randomNumbers(seedOf(t));
  const until = performance.now() + FRESH_MS;
  let seeds = 0;
  let events = 0;
  const done = { swap: 0, lease: 0, index: 0, file: 0 };
  while (performance.now() < until) {
    const seed = next(2 ** 31);
    const { broken, answered, ...outcome } = await runSeed(seed);
    assert.deepStrictEqual(broken, [], `npm run sim -- --seed ${seed}`);
    for (const kind of ['swap', 'lease', 'index', 'file'] as const) done[kind] += answered[kind];
    events += outcome.events;
    seeds++;
  }
  t.diagnostic(`${seeds} seeds, ${events} events, ${JSON.stringify(done)} answered`);
  assert(done.swap > seeds && done.lease > 0 && done.index > 0 && done.file > 0);
});

test('every fault is in some seeds and not in others', () => {
  const seeds = Array.from({ length: 100 }, (_, seed) => optionsOf(seed).faults);
  for (const name of faultNames) {
    const count = seeds.filter((faults) => faults.has(name)).length;
    assert(count > 10 && count < 90, `${name} is in ${count} of 100`);
  }
});

test('each planted bug has a name of its own and fits the code in exactly one place', () => {
  assert(bugs.length >= 20);
  assert.strictEqual(new Set(bugs.map(({ name }) => name)).size, bugs.length);
  for (const { name, edits } of bugs) {
    for (const edit of edits) assert.notStrictEqual(withBug(compiled, edit, name), '');
  }
});

test('bugs that are easy to see are seen within a few seeds, by an invariant', async () => {
  using copy = copyCode();
  for (const wanted of ['a vote leaves before it is on disk', 'a learner counts', 'a retry is run twice']) {
    const bug = bugs.find(({ name }) => name === wanted);
    assert(bug !== undefined);
    const { seed, first } = await tryBug(copy.root, bug, 1, 300);
    assert(seed !== undefined && first !== undefined && invariantNames.includes(first), wanted);
  }
});

test('a broken run is shortened to the faults, members and time that it needs', async () => {
  const needs = (options: Outcome['options']): boolean =>
    options.faults.has('crash') && options.faults.has('loss') && options.voters >= 3 && options.stormMs >= 1000;
  const run = async (seed: number, { narrowed }: RunOptions = {}): Promise<Outcome> => {
    const options = optionsOf(seed, narrowed);
    const broken = needs(options) ? [{ invariant: 'some', what: 'it', atUs: 900_000 }] : [];
    return {
      options,
      broken,
      events: 1,
      simulatedMs: 1,
      healingTicks: 1,
      hash: 1,
      entries: 1,
      undecided: 0,
      answered: { swap: 0, lease: 0, index: 0, file: 0 },
    };
  };
  let seed = 1;
  while (!needs(optionsOf(seed)) || optionsOf(seed).faults.size < 10) seed++;
  const { narrowed, outcome } = await shorten(seed, await run(seed), run);
  assert.deepStrictEqual([...outcome.options.faults].sort(), ['crash', 'loss']);
  assert.strictEqual(outcome.options.voters, 3);
  assert(outcome.options.stormMs < 2000);
  assert.match(asArguments(seed, narrowed), /^--seed \d+ --without [a-z,-]+ .*--stormMs \d+$/);
});
