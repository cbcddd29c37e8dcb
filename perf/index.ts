// `npm run perf`: figures of the running system, each beside its limits in the same run. The figures are ratios to keep:
// absolute numbers belong to the machine.

import fs from 'node:fs';
import os from 'node:os';
import { compareResults, formatComparisons } from './compare.js';
import { combineRounds, type Result } from './figures.js';
import { type Options, parseOptions, USAGE, UsageError } from './options.js';
import { htmlPage } from './report/html.js';
import { formatResults } from './report/table.js';
import { runRounds } from './run.js';

/** What `--json` writes. */
export interface Report {
  readonly format: 1;
  readonly date: string;
  readonly machine: {
    readonly node: string;
    readonly cpus: number;
    readonly cpu: string;
    readonly memoryBytes: number;
  };
  readonly seconds: number;
  readonly results: readonly Result[];
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) {
    process.stdout.write(USAGE);
    return;
  }
  const options = parseOptions(args);
  const old = options.compare === undefined ? undefined : readReport(options.compare);
  const rounds = await runRounds(options, (message) => process.stderr.write(`${message}\n`));
  const results = combineRounds(rounds);
  report(options, results);
  if (old !== undefined) process.stdout.write(`\n${formatComparisons(compareResults(old.results, results))}\n`);
}

function readReport(file: string): Report {
  const report = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Report>;
  if (report.format !== 1 || !Array.isArray(report.results)) throw new UsageError(`${file} is no report of --json`);
  return report as Report;
}

function report(options: Options, results: Result[]): void {
  const report: Report = {
    format: 1,
    date: new Date().toISOString(),
    machine: {
      node: process.version,
      cpus: os.availableParallelism(),
      cpu: os.cpus()[0]?.model ?? '',
      memoryBytes: os.totalmem(),
    },
    seconds: options.seconds,
    results,
  };
  process.stdout.write(`${formatResults(results)}\n`);
  if (options.json !== undefined) fs.writeFileSync(options.json, `${JSON.stringify(report)}\n`);
  if (options.html !== undefined) {
    const machine = `${report.machine.cpus} x ${report.machine.cpu}, Node ${report.machine.node}`;
    fs.writeFileSync(options.html, htmlPage(results, { date: report.date, machine }));
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
