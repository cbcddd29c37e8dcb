// `npm run flame`: where the time of a loaded node goes. One page with the threads as the first row and their stacks below,
// and a table of what each waits for; or two such runs held against each other.

import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { FLAME_SCENARIOS, flame } from './flame-run.js';
import { UsageError } from './options.js';
import { changesBetween, flameDiffPage, formatChanges } from './report/flame-diff.js';
import { type FlameRun, readFlameRun, writeFlameRun } from './report/flame-json.js';
import { BYTES_STYLE, flamePage } from './report/flame-page.js';
import { formatAllocations, formatHotThreads, hotThreads } from './report/hot-places.js';
import { formatThreadTimes, threadTimesTable } from './report/thread-times.js';
import { parseSize } from './units.js';

const USAGE = `npm run flame -- SCENARIO [options]
npm run flame -- diff BEFORE.json AFTER.json [--out FILE]

SCENARIO is one of ${FLAME_SCENARIOS.join(', ')}.

  --out FILE      where the page is written (flame.html)
  --allocations   what is allocated on the heaps, and where, in place of time
  --json FILE     write the run for a \`diff\`
  --seconds N     how long (5)
  --size SIZE     of an S3 body (4KiB)
  --clients N     S3 connections (64)
  --processes N   that load a mount (1)
`;
const FILES = 500;

export async function flameMain(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [scenario, ...files] = positionals;
  const out = values.out ?? 'flame.html';
  if (scenario === 'diff') {
    if (files.length !== 2) throw new UsageError(`give two runs\n\n${USAGE}`);
    const [before, after] = files.map(readRun) as [FlameRun, FlameRun];
    if (before.scenario !== after.scenario || before.unit !== after.unit) {
      throw new UsageError(`${before.scenario} and ${after.scenario} are different scenarios, or time and allocations`);
    }
    fs.writeFileSync(out, flameDiffPage(before, after));
    const head = `   before     after    change  (${after.unit} an operation)`;
    process.stdout.write(`${head}\n${formatChanges(changesBetween(before, after))}\n\n${out}\n`);
    return;
  }
  if (scenario === undefined || files.length > 0) throw new UsageError(USAGE);
  const run = await flame({
    scenario,
    seconds: number(values.seconds, 5),
    bodyBytes: parseSize(values.size ?? '4KiB'),
    clients: number(values.clients, 64),
    processes: number(values.processes, 1),
    files: FILES,
    unit: values.allocations === true ? 'bytes' : 'us',
  });
  if (values.json !== undefined) fs.writeFileSync(values.json, writeFlameRun(run));
  fs.writeFileSync(out, runPage(run));
  process.stdout.write(`${textOf(run)}\n\n${out}\n`);
}

function textOf({ unit, root, threads, operations }: FlameRun): string {
  if (unit === 'bytes') return formatAllocations(hotThreads(root), operations);
  return `${formatHotThreads(hotThreads(root))}\n\n${formatThreadTimes(threads)}`;
}

function parse(args: readonly string[]) {
  const string = { type: 'string' } as const;
  const options = {
    out: string,
    allocations: { type: 'boolean' } as const,
    json: string,
    seconds: string,
    size: string,
    clients: string,
    processes: string,
  };
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function number(text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new UsageError(`"${text}" is no number above 0\n\n${USAGE}`);
  return value;
}

function readRun(file: string): FlameRun {
  try {
    return readFlameRun(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
}

export function runPage({ scenario, unit, root, threads }: FlameRun): string {
  if (unit === 'bytes') {
    const note =
      'Bytes allocated on the heap of each thread, by samples, collected since or not. Click a box to widen it.';
    return flamePage(`${scenario}: allocations`, [{ title: 'Stacks', note, root, style: BYTES_STYLE }]);
  }
  return flamePage(scenario, [
    {
      title: 'Threads',
      note:
        'Where the time of each thread went, by samples from outside; an idle event loop is divided by what called back ' +
        'first behind it. Threads of one name together.',
      table: threadTimesTable(threads),
    },
    {
      title: 'Stacks',
      note: 'Wall-clock time of every thread, by samples; grey is waiting. Click a box to widen it, the first row to go back.',
      root,
    },
  ]);
}
