// Results as one page that needs nothing else: a table by scenario with each figure beside its limits, and plots of
// latencies, of throughput over clients, of growth over files and of what went on over time. The page has no script.

import { type Cost, type Figure, type Result, total } from '../figures.js';
import { bucketEndUs, type HistogramData } from '../histogram.js';
import { formatNumber, formatSize, formatUs } from '../units.js';
import { type Axis, escapeHtml, type Line, plot } from './plot.js';
import { cpuByRole, formatRatio, readable } from './table.js';

/** More lines in one plot cannot be told apart. */
const LINES_PER_PLOT = 6;

export interface PageInfo {
  readonly date: string;
  readonly machine: string;
}

const STYLE = `
body { font: 14px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 2em auto; max-width: 1340px; padding: 0 1.5em; color: #222 }
h1 { margin-bottom: 0 } h2 { margin: 2em 0 0.3em; border-bottom: 2px solid #222; padding-bottom: 2px }
table { border-collapse: collapse; width: 100%; margin: 0.5em 0 1.5em; font-size: 13px }
td, th { padding: 4px 10px 4px 0; text-align: left; vertical-align: top } tr + tr td { border-top: 1px solid #e4e4e0 }
th { border-bottom: 1px solid #999; font-weight: 600; vertical-align: bottom }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
small { color: #666; display: block; line-height: 1.35; font-size: 11px }
td.limits small { white-space: nowrap } td:first-child { min-width: 200px } .unit { color: #666 }
.bar { display: inline-block; height: 9px; background: #1768ac; vertical-align: middle; margin-right: 6px; min-width: 1px }
.track { display: inline-block; width: 70px; background: #e9e9e4; height: 9px; line-height: 9px; margin-right: 6px }
figure { display: inline-block; margin: 0 12px 26px 0; vertical-align: top } figcaption { font-weight: 600; max-width: 620px }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #444 } svg text.axis { fill: #777 }
.grid line { stroke: #e4e4e0 }
`;

export function htmlPage(results: readonly Result[], { date, machine }: PageInfo): string {
  const groups = GROUPS.map((group) => [group, results.filter((result) => groupOf(result) === group)] as const);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>OrangeFS figures, ${escapeHtml(date)}</title>
<style>${STYLE}</style>
<h1>OrangeFS figures</h1>
<p>${escapeHtml(date)}, ${escapeHtml(machine)}. A ratio is that of a figure to a limit measured in the same round: those are
to be kept, absolute numbers belong to the machine. Costs are those of one operation, in the processes measured.</p>
${groups.map(([group, own]) => section(group, own)).join('\n')}
</html>
`;
}

const PARTS = 'Parts by themselves';
const GROUPS = ['S3', 'Mount', 'Ingest', 'Idle', PARTS];

function groupOf({ name }: Figure): string {
  if (/^S3 (?!signature)/.test(name) && !name.includes(' files, median')) return 'S3';
  if (/^mount /.test(name)) return 'Mount';
  if (/^idle /.test(name)) return 'Idle';
  return /^ingest| files(, median)?$/.test(name) ? 'Ingest' : PARTS;
}

function section(group: string, results: readonly Result[]): string {
  if (results.length === 0) return '';
  const plots = [...curvePlots(results), ...seriesPlots(results)];
  // Parts measured by themselves have means of many calls: their distributions say little.
  if (group !== PARTS) plots.push(...latencyPlots(results));
  return `<h2>${group}</h2>\n${table(results)}\n<div>${plots.join('\n')}</div>`;
}

function table(results: readonly Result[]): string {
  const hasCost = results.some(({ cost }) => cost !== undefined);
  const costs = ['processor time', 'GC', 'allocated', 'written', 'memory'];
  const heads = ['value', 'p50', 'p99', 'p99.9', 'max', ...(hasCost ? costs : [])];
  const rows = results.map((result) => row(result, hasCost));
  const numbers = heads.map((head) => `<th${head === 'processor time' ? '' : ' class="n"'}>${head}</th>`).join('');
  return `<table><tr><th>figure</th><th>of its limits</th>${numbers}</tr>\n${rows.join('\n')}</table>`;
}

function row(result: Result, hasCost: boolean): string {
  const { name, unit, latency, cost, note, generatorCores } = result;
  const generators = generatorCores === undefined ? '' : `generators ${(generatorCores * 100).toFixed(0)} % of a core`;
  const notes = [note ?? '', generators].filter((text) => text !== '').join('; ');
  const [value, shownUnit] = readable(result.value, unit);
  const times = [latency?.p50Us, latency?.p99Us, latency?.p999Us, latency?.maxUs];
  const cells = times.map((us) => `<td class="n">${us === undefined ? '' : formatUs(us)}</td>`).join('');
  return `<tr><td>${escapeHtml(name)}${notes === '' ? '' : `<small>${escapeHtml(notes)}</small>`}</td>
<td class="limits">${result.limits.map((_, index) => limitCell(result, index)).join('')}</td>
<td class="n">${value} <span class="unit">${escapeHtml(shownUnit)}</span></td>${cells}${hasCost ? costCells(cost) : ''}</tr>`;
}

/** The ratio, as a bar that is full at 1, and what the limit is. */
function limitCell(result: Result, index: number): string {
  const { name, value } = result.limits[index]!; // called for each
  const share = Math.max(0, Math.min(1, result.value / value || 0));
  const track = `<span class="track"><span class="bar" style="width:${(share * 100).toFixed(0)}%"></span></span>`;
  const bar = result.lessIsBetter === true ? '' : track;
  return `<div>${bar}${formatRatio(result, index)}<small>${escapeHtml(`${name}: ${readable(value, result.unit).join(' ')}`)}</small></div>`;
}

function costCells(cost: Cost | undefined): string {
  if (cost === undefined) return '<td></td>'.repeat(5);
  const roles = cpuByRole(cost).map(([role, us]) => `${escapeHtml(role)}&nbsp;${formatNumber(us)}`);
  const whole = total(cost.cpuUs);
  const cpu = whole < 0.5 ? '' : `${formatUs(whole)}<small>${roles.join(', ')}</small>`;
  const sizes = [Math.round(total(cost.allocatedBytes)), Math.round(cost.writtenBytes), cost.memoryBytes];
  const numbers = sizes.map((bytes) => `<td class="n">${bytes === 0 ? '' : formatSize(bytes)}</td>`);
  const gc = total(cost.gcUs);
  return `<td>${cpu}</td><td class="n">${gc === 0 ? '' : formatUs(gc)}</td>${numbers.join('')}`;
}

const COUNT = (label: string, isLog: boolean): Axis => ({ label, isLog, format: shortNumber });
const LATENCY = (isLog: boolean): Axis => ({ label: 'latency', isLog, format: shortUs });

/** Throughput and latency over clients, for each curve that a figure is a point of. */
function curvePlots(results: readonly Result[]): string[] {
  const curves = new Map<string, Result[]>();
  for (const result of results) {
    if (result.curve === undefined) continue;
    curves.set(result.curve.name, [...(curves.get(result.curve.name) ?? []), result]);
  }
  return [...curves].flatMap(([name, points]) => {
    const sorted = points.toSorted((left, right) => left.curve!.x - right.curve!.x); // those with a curve
    const line = (label: string, read: (result: Result) => number | undefined): Line => {
      const read2 = sorted.map((result) => [result.curve!.x, read(result)] as const);
      return { name: label, points: read2.flatMap(([x, y]) => (y === undefined ? [] : [[x, y] as const])) };
    };
    const limit = { ...line(sorted[0]?.limits[0]?.name ?? 'limit', ({ limits }) => limits[0]?.value), isLimit: true };
    const latencies = [
      line('p50', ({ latency }) => latency?.p50Us),
      line('p99', ({ latency }) => latency?.p99Us),
      line('p99.9', ({ latency }) => latency?.p999Us),
    ];
    const over = COUNT(sorted[0]!.curve!.over, true); // likewise
    return [
      plot(`${name}: throughput`, [line('measured', ({ value }) => value), limit], over, COUNT('a second', false)),
      plot(`${name}: latency`, latencies, over, LATENCY(true)),
    ];
  });
}

function seriesPlots(results: readonly Result[]): string[] {
  const plots = new Map<string, { lines: Line[]; x: Axis; y: Axis }>();
  for (const { title, name, unit, over, points } of results.flatMap(({ series }) => series ?? [])) {
    const y: Axis =
      unit === 'us'
        ? LATENCY(true)
        : { label: unit, isLog: false, format: unit === 'bytes' ? (value) => `${shortNumber(value)}B` : shortNumber };
    const known = plots.get(title) ?? { lines: [], x: COUNT(over, false), y };
    known.lines.push({ name, points });
    plots.set(title, known);
  }
  return [...plots].map(([title, { lines, x, y }]) => plot(title, lines, x, y));
}

/** For each latency, the share of operations that took longer: tails are seen on a logarithmic scale. */
function latencyPlots(results: readonly Result[]): string[] {
  const groups = new Map<string, Line[]>();
  for (const { name, latency } of results) {
    if (latency?.histogram === undefined || latency.histogram.count === 0) continue;
    const group = /^(S3 [a-z]+|mount|\w+)/.exec(name)?.[1] ?? 'others';
    groups.set(group, [...(groups.get(group) ?? []), { name, points: tail(latency.histogram) }]);
  }
  const share: Axis = { label: 'share that took longer', isLog: true, format: percent };
  return [...groups].flatMap(([group, lines]) => {
    const count = Math.ceil(lines.length / LINES_PER_PLOT);
    const each = Math.ceil(lines.length / count);
    return Array.from({ length: count }, (_, index) => {
      const own = lines.slice(index * each, (index + 1) * each);
      return plot(`${group}: latencies${count > 1 ? `, ${index + 1} of ${count}` : ''}`, own, LATENCY(true), share);
    });
  });
}

function tail({ count, buckets }: HistogramData): [number, number][] {
  let longer = count;
  const points: [number, number][] = [];
  for (const [bucket, here] of buckets) {
    longer -= here;
    if (longer > 0) points.push([bucketEndUs(bucket), longer / count]);
  }
  return points;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

/** As ticks have it: `20k`. */
function shortNumber(value: number): string {
  const unit = (
    [
      ['M', 1e6],
      ['k', 1e3],
    ] as const
  ).find(([, size]) => value >= size);
  return unit === undefined
    ? String(Number(value.toPrecision(3)))
    : `${Number((value / unit[1]).toPrecision(3))}${unit[0]}`;
}

function shortUs(us: number): string {
  if (us >= 1e6) return `${Number((us / 1e6).toPrecision(3))} s`;
  return us >= 1000 ? `${Number((us / 1000).toPrecision(3))} ms` : `${Number(us.toPrecision(3))} us`;
}
