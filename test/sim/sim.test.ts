// Both simulations: seeds repeat, alone and beside others, the first are clean, planted bugs are seen.

import assert from 'node:assert';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { compiled } from './shell/helpers.js';
import { copyCode, tryBug, withBug } from './shell/planted.js';
import { ownSeeds, type Simulation } from './shell/simulation.js';
import { blocks, house, raft } from './simulations.js';

/** Of each simulation: as many as fit in a time, of those that continuous integration runs. */
const SEEDS = 250;
const SEEDS_MS = 10_000;
/** So many have some of everything in them. */
const LEAST_SEEDS = 25;

function firstSeeds(simulation: Simulation, count: number): number[] {
  const seeds = ownSeeds(house, simulation);
  return Array.from({ length: count }, () => seeds.next().value);
}

for (const simulation of house.simulations) {
  const { name, faultNames, bugs } = simulation;

  test(`a seed of ${name} that runs twice has the same history twice, told or not`, async () => {
    const hashes = new Set<number>();
    for (const seed of firstSeeds(simulation, 4)) {
      const lines: string[] = [];
      const first = await simulation.runSeed(seed);
      const second = await simulation.runSeed(seed, { tell: (line) => lines.push(line) });
      assert.deepStrictEqual([second.hash, second.events, second.counts], [first.hash, first.events, first.counts]);
      assert(first.events > 100 && lines.length > 3);
      hashes.add(first.hash);
    }
    assert.strictEqual(hashes.size, 4);
  });

  test(`every fault of ${name} is in some seeds and not in others`, async () => {
    const counts = new Map<string, number>();
    for (const seed of firstSeeds(simulation, 60)) {
      const { faults } = await simulation.runSeed(seed, { narrowed: { numbers: { stormMs: 1 } } });
      for (const fault of faults) counts.set(fault, (counts.get(fault) ?? 0) + 1);
    }
    for (const fault of faultNames) {
      const count = counts.get(fault) ?? 0;
      assert(count > 5 && count < 55, `${fault} is in ${count} of 60`);
    }
  });

  test(`each planted bug of ${name} has a name of its own and fits the code in exactly one place`, () => {
    assert(bugs.length >= 20);
    assert.strictEqual(new Set(bugs.map((bug) => bug.name)).size, bugs.length);
    for (const bug of bugs) for (const edit of bug.edits) assert.notStrictEqual(withBug(compiled, edit, bug.name), '');
  });
}

test('a seed has the history in a process of its own that it has beside those of the other simulation', async () => {
  const main = path.join(compiled, 'test/sim/main.js');
  for (const seed of [3, 4, 6, 8]) {
    const { hash } = await house.simulationOf(seed).runSeed(seed);
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--seed', `${seed}`], { maxBuffer: 1 << 26 });
    assert.match(stdout, new RegExp(`^seed ${seed}: clean, \\d+ events, history ${hash}$`, 'm'));
  }
});

test('the first seeds break no invariant, come to rest, and do all that there is to do', async (t) => {
  for (const simulation of house.simulations) {
    const until = performance.now() + SEEDS_MS;
    const done = new Map<string, number>();
    let seeds = 0;
    for (const seed of firstSeeds(simulation, SEEDS)) {
      if (performance.now() > until && seeds >= LEAST_SEEDS) break;
      const { broken, counts } = await simulation.runSeed(seed);
      assert.deepStrictEqual(broken, [], `npm run sim -- --seed ${seed}`);
      for (const [kind, count] of Object.entries(counts)) done.set(kind, (done.get(kind) ?? 0) + count);
      seeds++;
    }
    t.diagnostic(`${simulation.name}: ${seeds} seeds, ${JSON.stringify([...done])}`);
    for (const [kind, count] of done) {
      if (kind !== 'histories undecided') assert(count > 0, `${simulation.name}: ${kind}`);
    }
  }
});

test('bugs that are easy to see are seen within a few runs, by an invariant', async () => {
  using copy = copyCode();
  const easy: readonly (readonly [Simulation, string])[] = [
    [raft, 'a vote leaves before it is on disk'],
    [raft, 'a learner counts'],
    [raft, 'a retry is run twice'],
    [blocks, 'tombstones are not synced'],
    [blocks, 'a torn needle is accepted'],
    [blocks, 'a volume is sealed with needles on their way'],
  ];
  for (const [simulation, wanted] of easy) {
    const bug = simulation.bugs.find(({ name }) => name === wanted);
    assert(bug !== undefined, wanted);
    const { seed, first } = await tryBug(copy, simulation, bug, 300);
    assert(seed !== undefined && first !== undefined && simulation.invariantNames.includes(first), wanted);
    assert.strictEqual(house.simulationOf(seed), simulation);
  }
});
