// Results as a table for people.

import { type Cost, type Result, ratio, total } from '../figures.js';
import { formatNumber, formatSize, formatUs } from '../units.js';

const HEAD = [
  'figure',
  'value',
  'unit',
  'limit x',
  'p50',
  'p99',
  'p99.9',
  'max',
  'cpu us/op',
  'gc us/op',
  'alloc/op',
  'written/op',
  'memory',
];
/** Threads that took less than this of an operation are left out of the table; JSON has them. */
const SHOWN_US = 0.5;
const MANY = 1e7;

export function formatResults(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const { latency, cost } = result;
    return [
      result.name,
      ...readable(result.value, result.unit),
      ratios(result),
      ...(latency === undefined
        ? ['', '', '', '']
        : [latency.p50Us, latency.p99Us, latency.p999Us, latency.maxUs].map((us) =>
            us === undefined ? '' : formatUs(us),
          )),
      cost === undefined ? '' : formatCpu(cost),
      cost === undefined ? '' : formatNumber(total(cost.gcUs)),
      cost === undefined ? '' : formatSize(Math.round(total(cost.allocatedBytes))),
      cost === undefined ? '' : formatSize(Math.round(cost.writtenBytes)),
      cost === undefined ? '' : formatSize(cost.memoryBytes),
    ];
  });
  const widths = HEAD.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const lines = [HEAD, ...rows].map((row) => {
    const cells = row.map((cell, column) => cell.padEnd(widths[column]!)); // a width for each column
    return cells.join('  ').trimEnd();
  });
  return [...lines, '', ...notes(results)].join('\n');
}

/** A value and its unit, as people write them. */
export function readable(value: number, unit: string): readonly [text: string, unit: string] {
  if (unit === 'bytes/s' && value >= MANY) return [formatNumber(value / 1e6), 'MB/s'];
  if (unit !== 'bytes' && unit !== 'us') return [formatNumber(value), unit];
  const [text, shown] = (unit === 'bytes' ? formatSize(value) : formatUs(value)).split(' ');
  return [text!, shown!]; // both give a number and a unit
}

/** Of the figure to each of its limits. */
export function ratios(result: Result): string {
  return result.limits.map((_, index) => formatRatio(result, index)).join(' ');
}

export function formatRatio(result: Result, index: number): string {
  return ratio(result, index)?.toFixed(2) ?? '?';
}

/** Threads of one role together, those that took most first. */
export function cpuByRole(cost: Cost): [role: string, us: number][] {
  const roles = new Map<string, number>();
  for (const [name, us] of Object.entries(cost.cpuUs)) {
    const role = name.replace(/\/\d+$/, '');
    roles.set(role, (roles.get(role) ?? 0) + us);
  }
  return [...roles].filter(([, us]) => us >= SHOWN_US).toSorted(([, left], [, right]) => right - left);
}

function formatCpu(cost: Cost): string {
  const shown = cpuByRole(cost);
  return shown.map(([role, us]) => `${role} ${formatNumber(us)}`).join(', ');
}

function notes(results: readonly Result[]): string[] {
  const limits = new Set(results.flatMap((result) => result.limits.map(({ name }) => name)));
  const lines = limits.size === 0 ? [] : [`limits, in the order of their ratios: ${[...limits].join('; ')}`];
  for (const { name, generatorCores, note } of results) {
    const parts: string[] = [];
    if (generatorCores !== undefined) parts.push(`generators ${(generatorCores * 100).toFixed(0)} % of a core`);
    if (note !== undefined && note !== '') parts.push(note);
    if (parts.length > 0) lines.push(`  ${name}: ${parts.join('; ')}`);
  }
  return lines;
}
