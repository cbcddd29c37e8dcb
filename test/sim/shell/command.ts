// npm run sim: fresh seeds for a while, a range of them, one with its history, or the planted bugs. Exits 0 when all
// that was run is clean; what was not is shortened and said in a way that runs it again.

import { randomInt } from 'node:crypto';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { HELPER, Helper, HelperLost, help } from './helpers.js';
import { runPlanted } from './planted.js';
import { linesOf } from './reports.js';
import { COMMAND, failedSeed, type Ran, ranSeed, Totals } from './seeds.js';
import { type House, type Narrowed, type Simulation, STORM } from './simulation.js';

/** A seed that takes longer does not end; it is shortened in this time, too. */
const SEED_MS = 300_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Of all that can be narrowed in any of them. */
function sizeNames(simulations: readonly Pick<Simulation, 'sizes'>[]): readonly string[] {
  return [...new Set(simulations.flatMap(({ sizes }) => sizes.map(({ name }) => name))), STORM];
}

function usage({ simulations }: House): string {
  const numbers = sizeNames(simulations);
  return [
    `${COMMAND} --seconds N                    fresh seeds for N seconds`,
    `${COMMAND} --seeds A..B [--fail-fast]     these seeds`,
    `${COMMAND} --seed S [--without FAULT,…] ${numbers.map((name) => `[--${name} N]`).join(' ')}`,
    '                                              one seed, with its history',
    `${COMMAND} --planted [--bug NAME]         the planted bugs, and which invariant sees which`,
    `with --only ${simulations.map(({ name }) => name).join('|')}: seeds, or bugs, of this simulation`,
    `with --jobs N: so many seeds, or bugs, at once, in processes of their own; this machine has ${os.availableParallelism()} cores`,
    ...simulations.map(({ name, faultNames }) => `faults of ${name}: ${faultNames.join(' ')}`),
  ].join('\n');
}

type Next = () => number | undefined;

interface SeedsOptions {
  readonly next: Next;
  readonly failFast: boolean;
  readonly jobs: number;
}

async function runSeeds(house: House, { next, failFast, jobs }: SeedsOptions): Promise<boolean> {
  const totals = new Totals();
  const work = async (run: (seed: number) => Promise<Ran>): Promise<void> => {
    for (let seed = next(); seed !== undefined; seed = next()) {
      const ran = await run(seed);
      totals.add(ran);
      for (const line of ran.lines) say(line);
      if (failFast && totals.broken > 0) return;
    }
  };
  const helped = async (): Promise<void> => {
    using helper = new Helper();
    await work(async (seed) => {
      try {
        return await helper.run('seed', { seed }, SEED_MS);
      } catch (error) {
        if (!(error instanceof HelperLost)) throw error;
        return failedSeed(house, seed, error.message);
      }
    });
  };
  if (jobs === 1) await work((seed) => ranSeed(house, seed));
  else await Promise.all(Array.from({ length: jobs }, helped));
  say(String(totals));
  return totals.broken === 0;
}

async function runOne({ simulationOf }: House, seed: number, narrowed: Narrowed): Promise<boolean> {
  const outcome = await simulationOf(seed).runSeed(seed, { narrowed, tell: say });
  const { faults, events, hash, broken } = outcome;
  say(`faults: ${[...faults].join(' ')}`);
  for (const line of outcome.details()) say(line);
  for (const line of linesOf(broken)) say(line);
  say(`seed ${seed}: ${broken.length === 0 ? 'clean' : 'broken'}, ${events} events, history ${hash}`);
  return broken.length === 0;
}

function fresh(seconds: number): Next {
  const deadline = performance.now() + seconds * 1000;
  let seed = randomInt(2 ** 31);
  return () => (performance.now() < deadline ? ++seed : undefined);
}

function range(text: string): Next {
  const [from, to] = text.split('..').map(Number);
  if (from === undefined || to === undefined || !(from <= to)) throw new Error(`--seeds ${text}: A..B is wanted`);
  let seed = from - 1;
  return () => (seed < to ? ++seed : undefined);
}

function only({ simulationOf }: House, chosen: readonly Simulation[], next: Next): Next {
  return () => {
    for (;;) {
      const seed = next();
      if (seed === undefined || chosen.includes(simulationOf(seed))) return seed;
    }
  };
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name} ${text}: a number is wanted`);
  return number;
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

/** What a seed's run is to have less of; refuses what it has nothing of. */
function narrowedBy({ simulations }: House, values: Values, { name, sizes, faultNames }: Simulation): Narrowed {
  const without = typeof values.without === 'string' ? values.without.split(',') : [];
  const unknown = without.find((fault) => !faultNames.includes(fault));
  if (unknown !== undefined) throw new Error(`${name} has no fault ${unknown}`);
  const numbers: Record<string, number> = {};
  for (const size of sizeNames(simulations)) {
    const text = values[size];
    if (typeof text !== 'string') continue;
    if (!sizeNames([{ sizes }]).includes(size)) throw new Error(`${name} has no ${size}`);
    numbers[size] = numberOf(size, text);
  }
  return { without, numbers };
}

function parse({ simulations }: House, args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const sizes = sizeNames(simulations).map((name) => [name, text] as const);
  const options = {
    seconds: text,
    seed: text,
    seeds: text,
    'fail-fast': flag,
    planted: flag,
    bug: text,
    only: text,
    jobs: text,
    without: text,
    help: flag,
    [HELPER]: flag,
  } as const;
  return parseArgs({ args: [...args], options: { ...Object.fromEntries(sizes), ...options } }).values;
}

/** Whether all was clean. */
export async function command(house: House, args: readonly string[]): Promise<boolean> {
  const values = parse(house, args);
  if (values[HELPER]) return help(house);
  const chosen = house.simulations.filter(({ name }) => values.only === undefined || name === values.only);
  if (chosen.length === 0) throw new Error(`--only ${values.only}: there is no such simulation`);
  const jobs = Math.max(1, Math.min(numberOf('jobs', values.jobs ?? '1'), os.availableParallelism()));
  // What is left behind goes at an exit, and a signal is none.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  if (values.planted) return runPlanted({ simulations: chosen, named: values.bug, jobs, say });
  const failFast = values['fail-fast'] ?? values.seconds !== undefined;
  const all =
    values.seconds !== undefined
      ? fresh(numberOf('seconds', values.seconds))
      : values.seeds !== undefined
        ? range(values.seeds)
        : undefined;
  if (all !== undefined) return runSeeds(house, { next: only(house, chosen, all), failFast, jobs });
  if (values.seed === undefined) {
    say(usage(house));
    return values.help === true;
  }
  const seed = numberOf('seed', values.seed);
  const simulation = house.simulationOf(seed);
  if (!chosen.includes(simulation)) throw new Error(`seed ${seed} is a run of ${simulation.name}`);
  return runOne(house, seed, narrowedBy(house, values, simulation));
}
