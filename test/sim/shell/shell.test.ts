// The shell of the simulations, tried on one that breaks when it is told to: what is broken is shortened, planted bugs
// are counted, and helpers do what one process does and end with it.

import assert from 'node:assert';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { until } from '../../node/meta/support.js';
import { compiled, Helper, HelperLost } from './helpers.js';
import { copyCode, withBug } from './planted.js';
import { Reports } from './reports.js';
import { asArguments, shorten } from './shorten.js';
import { type House, type Outcome, ownSeeds, type RunOptions, type Simulation, STORM } from './simulation.js';
import { trial } from './trial.js';

const main = path.join(compiled, 'test/sim/main.js');

/** One whose runs are broken when `isBroken` says so. */
function simulationWhere(
  isBroken: (outcome: Pick<Outcome, 'faults' | 'numbers'>, seed: number) => boolean,
): Simulation {
  const faultNames = ['fire', 'flood', 'frost', 'fog'];
  return {
    name: 'some',
    faultNames,
    sizes: [{ name: 'people', tries: [1, 2, 3] }],
    leastStormMs: 100,
    invariantNames: ['it holds'],
    bugs: [],
    runSeed: async (seed: number, { narrowed = {} }: RunOptions = {}): Promise<Outcome> => {
      const faults = new Set(faultNames.filter((name) => !narrowed.without?.includes(name)));
      const numbers = { people: 5, [STORM]: 8000, ...narrowed.numbers };
      const broken = isBroken({ faults, numbers }, seed) ? [{ invariant: 'it holds', what: 'not', atUs: 900_000 }] : [];
      return { broken, events: 1, simulatedMs: 1, hash: seed, faults, numbers, counts: {}, details: () => [] };
    },
  };
}

test('a broken run is shortened to the faults, sizes and time that it needs', async () => {
  const simulation = simulationWhere(
    ({ faults, numbers }) => faults.has('fire') && faults.has('fog') && numbers.people! >= 3 && numbers[STORM]! >= 700,
  );
  const { narrowed, outcome } = await shorten(simulation, 17, await simulation.runSeed(17));
  assert.deepStrictEqual([...outcome.faults], ['fire', 'fog']);
  assert.deepStrictEqual(outcome.numbers, { people: 3, [STORM]: 901 });
  assert.strictEqual(asArguments(17, narrowed), '--seed 17 --without flood,frost --people 3 --stormMs 901');
});

test('a trial runs the seeds that are its own, until one is broken and a few more, or as many as it may', async () => {
  const tried: number[] = [];
  const simulation = simulationWhere((_, seed) => {
    tried.push(seed);
    return seed === 9 || seed === 33;
  });
  const other = simulationWhere(() => true);
  const house: House = {
    simulations: [simulation, other],
    simulationOf: (seed) => (seed % 3 === 0 ? simulation : other),
  };
  const verdict = await trial(house, simulation, 2000);
  assert.deepStrictEqual(verdict, { runs: 3, seed: 9, first: 'it holds', what: 'not', invariants: ['it holds'] });
  const own = ownSeeds(house, simulation);
  assert.deepStrictEqual(
    tried,
    tried.map(() => own.next().value),
  );
  assert(tried.length > 3 && tried.length < 20);
  assert.deepStrictEqual(await trial(house, simulation, 2), { runs: 2, invariants: [] });
});

test('the first report of each invariant is kept, however many others there are', () => {
  const reports = new Reports(() => 0);
  for (let at = 0; at < 1000; at++) reports.report('one', `${at}`);
  reports.report('another', 'last');
  assert(reports.broken.length < 100);
  assert.deepStrictEqual(reports.broken.at(0)?.what, '0');
  assert.deepStrictEqual(reports.broken.at(-1)?.invariant, 'another');
});

test('seeds that helpers run add up to what one process counts', async () => {
  const lastLine = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args]);
    const lines = stdout.trim().split('\n');
    assert.strictEqual(lines.length, 1, stdout);
    return lines[0]!.replace(/[\d.]+ ms|\d+ a ms of CPU/g, ''); // that differs
  };
  const alone = await lastLine('--seeds', '11..18');
  assert.match(alone, /^8 seeds, all clean .*raft: 6 of .*blocks: 2 of /);
  assert.strictEqual(await lastLine('--seeds', '11..18', '--jobs', '2'), alone);
  assert.match(
    await lastLine('--seeds', '11..18', '--only', 'blocks'),
    /^2 seeds, all clean [^;]*; blocks: 2 of [^;]*$/,
  );
});

test('a helper that takes too long is ended, and the next job has another', async () => {
  using helper = new Helper();
  await assert.rejects(helper.run('seed', { seed: 3 }, 1), HelperLost);
  const { simulation, broken, events } = await helper.run('seed', { seed: 3 }, 60_000);
  assert(simulation === 'raft' && !broken && events > 0);
});

test('helpers end when who started them is killed, also those in a run that never ends', async () => {
  using copy = copyCode();
  const endless = { file: 'test/sim/shell/seeds.js', from: 'const fromMs = cpuMs();', to: 'for (;;);' };
  fs.writeFileSync(path.join(copy.root, endless.file), withBug(copy.root, endless, 'endless'));
  const parent = spawn(process.execPath, [path.join(copy.root, 'test/sim/main.js'), '--seconds', '60', '--jobs', '2']);
  const helpers = (): number[] => {
    const children = fs.readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8');
    return children.split(' ').filter(Boolean).map(Number);
  };
  // Each has used so much of a core that it is in its run.
  const busy = (pid: number): boolean => Number(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[13]) > 150;
  await until(() => helpers().length === 2 && helpers().every(busy), 'two helpers run for ever');
  const left = helpers();
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await until(() => !left.some((pid) => fs.existsSync(`/proc/${pid}`)), 'the helpers end');
});
