// npm run sim: fresh seeds for a while, a range of them, one with its history, or the planted bugs. Exits 0 when all
// that was run is clean; what was not is shortened and said in a way that runs it again.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type FaultName, faultNames, type Narrowed } from './options.js';
import { runPlanted } from './planted.js';
import { type Outcome, runSeed } from './run.js';
import { asArguments, shorten } from './shorten.js';

const USAGE = `npm run sim -- --seconds N                    fresh seeds for N seconds
npm run sim -- --seeds A..B [--fail-fast]     these seeds
npm run sim -- --seed S [--without FAULT,…] [--voters N] [--spares N] [--groups N] [--sessions N] [--stormMs N]
                                              one seed, with its history
npm run sim -- --planted [--bug NAME]         the planted bugs, and which invariant sees which
faults: ${faultNames.join(' ')}
`;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Totals {
  seeds: number;
  broken: number;
  events: number;
  simulatedMs: number;
  entries: number;
  reads: number;
  files: number;
  undecided: number;
  startMs: number;
}

function add(totals: Totals, outcome: Outcome): void {
  const { answered } = outcome;
  totals.seeds++;
  totals.events += outcome.events;
  totals.simulatedMs += outcome.simulatedMs;
  totals.entries += outcome.entries;
  totals.reads += answered.lease + answered.index;
  totals.files += answered.file;
  totals.undecided += outcome.undecided;
  if (outcome.broken.length > 0) totals.broken++;
}

function summary(totals: Totals): string {
  const { seeds, broken, events, simulatedMs, entries, reads, files, undecided, startMs } = totals;
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  const pace = `${(ms / seeds).toFixed(1)} ms and ${(cpuMs / seeds).toFixed(1)} ms of CPU a seed, ${Math.round(events / cpuMs)} events a ms`;
  const amount = `${Math.round(simulatedMs / 1000)} s simulated, ${entries} entries, ${reads} reads, ${files} file operations, ${undecided} histories undecided`;
  return `${seeds} seeds, ${broken === 0 ? 'all clean' : `${broken} broken`} (${pace}, ${amount})`;
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
  say(`seed ${seed} is broken: npm run sim -- --seed ${seed}`);
  sayBroken(outcome);
  const shortened = await shorten(seed, outcome);
  say(`shortened in ${shortened.tries} tries: npm run sim -- ${asArguments(seed, shortened.narrowed)}`);
  sayBroken(shortened.outcome);
}

async function runSeeds(next: () => number | undefined, failFast: boolean): Promise<boolean> {
  const startMs = performance.now();
  const totals: Totals = {
    seeds: 0,
    broken: 0,
    events: 0,
    simulatedMs: 0,
    entries: 0,
    reads: 0,
    files: 0,
    undecided: 0,
    startMs,
  };
  for (let seed = next(); seed !== undefined; seed = next()) {
    const outcome = await runSeed(seed);
    add(totals, outcome);
    if (outcome.broken.length === 0) continue;
    await sayShortened(seed, outcome);
    if (failFast) break;
  }
  say(summary(totals));
  return totals.broken === 0;
}

async function runOne(seed: number, narrowed: Narrowed): Promise<boolean> {
  const outcome = await runSeed(seed, { narrowed, tell: say });
  const { options, events, hash, answered, entries, healingTicks, broken } = outcome;
  const { faults, disk: _disk, network: _network, ...rest } = options;
  say(`faults: ${[...faults].join(' ')}`);
  say(`options: ${JSON.stringify(rest)}`);
  say(`${entries} entries, ${JSON.stringify(answered)} answered, whole again after ${healingTicks} ticks`);
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
      voters: text,
      spares: text,
      groups: text,
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
  for (const name of ['voters', 'spares', 'groups', 'sessions', 'stormMs'] as const) {
    if (values[name] !== undefined) narrowed[name] = Number(values[name]);
  }
  return runOne(Number(values.seed), narrowed);
}

process.exitCode = (await main()) ? 0 : 1;
