// The simulation of the block store: fresh seeds for a while, a range of them, one with its history, or the planted
// bugs. Exits 0 when all that was run is clean; what was not is shortened and said in a way that runs it again.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type FaultName, faultNames, type Narrowed } from './options.js';
import { runPlanted } from './planted.js';
import { type Outcome, runSeed } from './run.js';
import { asArguments, shorten } from './shorten.js';

const COMMAND = 'node dist/test/sim/blocks/main.js';
const USAGE = `${COMMAND} --seconds N                    fresh seeds for N seconds
${COMMAND} --seeds A..B [--fail-fast]     these seeds
${COMMAND} --seed S [--without FAULT,…] [--sessions N] [--stormMs N]
                                                            one seed, with its history
${COMMAND} --planted [--bug NAME]         the planted bugs, and which invariant sees which
faults: ${faultNames.join(' ')}
`;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Totals {
  seeds: number;
  broken: number;
  events: number;
  lives: number;
  blocks: number;
  deletions: number;
  reads: number;
  slowestMs: number;
}

function summary(totals: Totals, startMs: number): string {
  const { seeds, broken, events, lives, blocks, deletions, reads, slowestMs } = totals;
  const { user, system } = process.cpuUsage();
  const pace = `${((performance.now() - startMs) / seeds).toFixed(1)} ms and ${((user + system) / 1000 / seeds).toFixed(1)} ms of CPU a seed`;
  const amount = `${events} events, ${lives} lives, ${blocks} blocks, ${deletions} deletions, ${reads} reads`;
  return `${seeds} seeds, ${broken === 0 ? 'all clean' : `${broken} broken`} (${pace}, slowest ${Math.round(slowestMs)} ms, ${amount})`;
}

function sayBroken({ broken }: Outcome): void {
  const said = new Set<string>();
  for (const { invariant, what, atUs } of broken) {
    if (said.has(invariant)) continue;
    said.add(invariant);
    say(`  ${(atUs / 1000).toFixed(3)} ms: ${invariant}: ${what}`);
  }
}

async function sayShortened(seed: number, outcome: Outcome): Promise<void> {
  say(`seed ${seed} is broken: ${COMMAND} --seed ${seed}`);
  sayBroken(outcome);
  const shortened = await shorten(seed, outcome);
  say(`shortened in ${shortened.tries} tries: ${COMMAND} ${asArguments(seed, shortened.narrowed)}`);
  sayBroken(shortened.outcome);
}

async function runSeeds(next: () => number | undefined, failFast: boolean): Promise<boolean> {
  const startMs = performance.now();
  const totals: Totals = { seeds: 0, broken: 0, events: 0, lives: 0, blocks: 0, deletions: 0, reads: 0, slowestMs: 0 };
  for (let seed = next(); seed !== undefined; seed = next()) {
    const beganMs = performance.now();
    const outcome = await runSeed(seed);
    totals.seeds++;
    totals.slowestMs = Math.max(totals.slowestMs, performance.now() - beganMs);
    totals.events += outcome.events;
    totals.lives += outcome.lives;
    for (const kind of ['blocks', 'deletions', 'reads'] as const) totals[kind] += outcome.done[kind];
    if (outcome.broken.length === 0) continue;
    totals.broken++;
    await sayShortened(seed, outcome);
    if (failFast) break;
  }
  say(summary(totals, startMs));
  return totals.broken === 0;
}

async function runOne(seed: number, narrowed: Narrowed): Promise<boolean> {
  const outcome = await runSeed(seed, { narrowed, tell: say });
  const { options, events, hash, done, lives, healingMs, broken } = outcome;
  const { faults, ...rest } = options;
  say(`faults: ${[...faults].join(' ')}`);
  say(`options: ${JSON.stringify(rest)}`);
  say(`${lives} lives, ${JSON.stringify(done)}, whole again after ${healingMs} ms`);
  sayBroken(outcome);
  say(`seed ${seed}: ${broken.length === 0 ? 'clean' : 'broken'}, ${events} events, history ${hash}`);
  return broken.length === 0;
}

function fresh(seconds: number): () => number | undefined {
  const deadline = performance.now() + seconds * 1000;
  let seed = randomInt(2 ** 31);
  return () => (performance.now() < deadline ? ++seed : undefined);
}

function range(text: string): () => number | undefined {
  const [from, to] = text.split('..').map(Number);
  if (from === undefined || to === undefined || !(from <= to)) throw new Error(`--seeds ${text}: A..B is wanted`);
  let seed = from - 1;
  return () => (seed < to ? ++seed : undefined);
}

async function main(): Promise<boolean> {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    options: {
      seconds: text,
      seed: text,
      seeds: text,
      'fail-fast': flag,
      planted: flag,
      bug: text,
      without: text,
      sessions: text,
      stormMs: text,
      help: flag,
    },
  });
  if (values.planted) return runPlanted(say, values.bug);
  if (values.seconds !== undefined) return runSeeds(fresh(Number(values.seconds)), true);
  if (values.seeds !== undefined) return runSeeds(range(values.seeds), values['fail-fast'] ?? false);
  if (values.seed === undefined) {
    say(USAGE);
    return values.help === true;
  }
  const narrowed: Record<string, unknown> = {};
  if (values.without !== undefined) narrowed.without = values.without.split(',') as FaultName[];
  for (const name of ['sessions', 'stormMs'] as const) {
    if (values[name] !== undefined) narrowed[name] = Number(values[name]);
  }
  return runOne(Number(values.seed), narrowed);
}

process.exitCode = (await main()) ? 0 : 1;
