// Results as one page that needs nothing else: ratios to the limits, latency distributions, throughput over clients,
// processor time by thread. Plots are SVG made here; the page has no script.

import type { Result } from '../figures.js';
import { bucketEndUs, type HistogramData } from '../histogram.js';
import { formatNumber, formatSize, formatUs } from '../units.js';
import { formatCpu, formatValue, ratios } from './table.js';

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 64;
const BOTTOM = 32;
const TOP = 12;
const COLOURS = ['#1768ac', '#d1495b', '#3a7d44', '#8d5a97', '#c77700', '#00798c', '#555555', '#a63d40'];
/** More lines in one plot cannot be told apart. */
const LINES_PER_PLOT = 6;
const TICKS = 5;

export interface PageInfo {
  readonly date: string;
  readonly machine: string;
}

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

interface Axis {
  readonly label: string;
  readonly isLog: boolean;
  format(value: number): string;
}

export function htmlPage(results: readonly Result[], { date, machine }: PageInfo): string {
  const plots = [...curvePlots(results), ...latencyPlots(results)];
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>OrangeFS figures, ${escapeHtml(date)}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1320px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: 2px 12px 2px 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #999 } td.n { text-align: right; font-variant-numeric: tabular-nums }
figure { display: inline-block; margin: 0 16px 24px 0; vertical-align: top } figcaption { font-weight: 600 }
svg text { font: 11px system-ui, sans-serif; fill: #444 }
</style>
<h1>OrangeFS figures</h1>
<p>${escapeHtml(date)}, ${escapeHtml(machine)}. A ratio is that of the figure to a limit measured in the same round.</p>
${table(results)}
${plots.join('\n')}
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function table(results: readonly Result[]): string {
  const heads = ['figure', 'value', 'unit', 'ratio', 'limits', 'p50', 'p99', 'p99.9', 'max', 'cpu us/op', 'written/op'];
  const rows = results.map((result) => {
    const { name, unit, limits, latency, cost } = result;
    const times = [latency?.p50Us, latency?.p99Us, latency?.p999Us, latency?.maxUs];
    const limitTexts = limits.map((limit) => `${limit.name}: ${formatNumber(limit.value)}`);
    const numbers = times.map((us) => `<td class="n">${us === undefined ? '' : formatUs(us)}</td>`).join('');
    const written = cost === undefined ? '' : formatSize(Math.round(cost.writtenBytes));
    return `<tr><td>${escapeHtml(name)}</td><td class="n">${formatValue(result)}</td><td>${escapeHtml(unit)}</td>
<td class="n">${ratios(result)}</td><td>${escapeHtml(limitTexts.join('; '))}</td>${numbers}
<td>${cost === undefined ? '' : escapeHtml(formatCpu(cost))}</td><td class="n">${written}</td></tr>`;
  });
  return `<table><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr>\n${rows.join('\n')}</table>`;
}

/** Throughput over clients, for each curve that a figure is a point of. */
function curvePlots(results: readonly Result[]): string[] {
  const curves = new Map<string, Line[]>();
  for (const { curve, value, limits } of results) {
    if (curve === undefined) continue;
    const lines = curves.get(curve.name) ?? [
      { name: 'measured', points: [] },
      { name: limits[0]?.name ?? 'limit', points: [] },
    ];
    const [measured, limit] = lines as [Line, Line]; // made just above
    const next = [
      { ...measured, points: [...measured.points, [curve.x, value] as const] },
      { ...limit, points: limits[0] === undefined ? [] : [...limit.points, [curve.x, limits[0].value] as const] },
    ];
    curves.set(curve.name, next);
  }
  const x: Axis = { label: 'clients', isLog: true, format: formatNumber };
  const y: Axis = { label: 'a second', isLog: false, format: formatNumber };
  return [...curves].map(([name, lines]) => {
    const sorted = lines.map((line) => ({ ...line, points: line.points.toSorted(([a], [b]) => a - b) }));
    return plot(`${name}: throughput over clients`, sorted, x, y);
  });
}

/** For each latency, the share of operations that took longer: tails are seen on a logarithmic scale. */
function latencyPlots(results: readonly Result[]): string[] {
  const groups = new Map<string, Line[]>();
  for (const { name, latency } of results) {
    if (latency?.histogram === undefined || latency.histogram.count === 0) continue;
    const group = /^(S3 \w+|mount|\w+)/.exec(name)?.[1] ?? 'others';
    const lines = groups.get(group) ?? [];
    lines.push({ name, points: tail(latency.histogram) });
    groups.set(group, lines);
  }
  const x: Axis = { label: 'latency', isLog: true, format: formatUs };
  const y: Axis = {
    label: 'share that took longer',
    isLog: true,
    format: (share) => `${Number((share * 100).toPrecision(2))} %`,
  };
  return [...groups].flatMap(([group, lines]) => {
    const plots: string[] = [];
    for (let at = 0; at < lines.length; at += LINES_PER_PLOT) {
      plots.push(plot(`${group}: latency distribution`, lines.slice(at, at + LINES_PER_PLOT), x, y));
    }
    return plots;
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

function plot(title: string, lines: readonly Line[], x: Axis, y: Axis): string {
  const all = lines.flatMap((line) => line.points);
  if (all.length === 0) return '';
  const across = scale(
    all.map(([value]) => value),
    x,
    [LEFT, WIDTH - 8],
  );
  const upwards = scale([...all.map(([, value]) => value), ...(y.isLog ? [] : [0])], y, [HEIGHT - BOTTOM, TOP]);
  const paths = lines.map(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = points.map(([a, b]) => `${across.at(a).toFixed(1)},${upwards.at(b).toFixed(1)}`).join(' ');
    const legend = `<text x="${LEFT + 8}" y="${HEIGHT + 16 + index * 14}" style="fill:${colour}">${escapeHtml(name)}</text>`;
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${legend}`;
  });
  const ticks = [
    ...across.ticks.map((value) => tick(across.at(value), HEIGHT - BOTTOM + 14, 'middle', x.format(value))),
    ...upwards.ticks.map((value) => tick(LEFT - 6, upwards.at(value) + 4, 'end', y.format(value))),
  ];
  const height = HEIGHT + 16 + lines.length * 14;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>
<svg width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">
<rect x="${LEFT}" y="${TOP}" width="${WIDTH - LEFT - 8}" height="${HEIGHT - BOTTOM - TOP}" fill="#f7f7f5"/>
${ticks.join('')}${paths.join('')}
<text x="${WIDTH - 8}" y="${HEIGHT - 4}" text-anchor="end">${escapeHtml(x.label)}; upwards: ${escapeHtml(y.label)}</text></svg></figure>`;
}

function tick(x: number, y: number, anchor: string, label: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(label)}</text>`;
}

function scale(values: readonly number[], { isLog }: Axis, [from, to]: readonly [number, number]) {
  const measure = (value: number): number => (isLog ? Math.log10(Math.max(value, Number.MIN_VALUE)) : value);
  const back = (place: number): number => (isLog ? 10 ** place : place);
  const low = Math.min(...values.map(measure));
  const high = Math.max(...values.map(measure));
  const width = high - low || 1;
  const ticks = Array.from({ length: TICKS }, (_, index) => back(low + (width * index) / (TICKS - 1)));
  return { at: (value: number): number => from + ((measure(value) - low) / width) * (to - from), ticks };
}
