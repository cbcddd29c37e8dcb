// A load at a fixed share of the peak for as long as one likes: whether the last tenth is like the first, whether anything
// paused, and what memory does. The peak is measured just before, and the load is an open loop.

import { type Figure, latencyOf } from '../figures.js';
import { Histogram, type HistogramData } from '../histogram.js';
import { MemoryWatch } from '../instrument/memory-watch.js';
import { costOf } from '../instrument/observed.js';
import { nodePid } from '../servers.js';
import { formatNumber, formatSize, formatUs } from '../units.js';
import { histogramOf } from '../windows.js';
import { checked, makeBucket, runS3, type S3Load, type S3Target, startS3, storeKeys, subjectsOf } from './s3-target.js';

export interface SustainedOptions {
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Of the measurement of the peak. */
  readonly peakSeconds: number;
}

const SHARE_OF_PEAK = 0.7;
const WINDOWS = 100;
const TENTH = WINDOWS / 10;
const MEMORY_PERIOD_MS = 1000;

export async function measureSustained(
  target: S3Target,
  load: S3Load,
  { seconds, warmSeconds, peakSeconds }: SustainedOptions,
): Promise<Figure[]> {
  await makeBucket(target);
  await storeKeys(target, load);
  const peak = await runS3(target, { ...load, rate: 0 }, { seconds: peakSeconds, warmSeconds });
  const rate = Math.floor((peak.requests / peak.seconds) * SHARE_OF_PEAK);
  const windowMs = (seconds * 1000) / WINDOWS;
  const generator = startS3(target, { ...load, rate }, { seconds, windowMs });
  await generator.ready;
  const memory = target.node === null ? null : new MemoryWatch(nodePid(target.node.target), MEMORY_PERIOD_MS);
  const { result, cost } = await costOf(
    subjectsOf(target),
    async () => checked(load.op, target, await generator.go()),
    ({ requests }) => requests,
  ).finally(() => memory?.stop());
  const name = `S3 sustained, ${load.op} ${formatSize(load.bodyBytes)}, ${formatNumber(seconds)} s`;
  const [first, last] = [histogramOf(result.windows, 0, TENTH), histogramOf(result.windows, WINDOWS - TENTH, WINDOWS)];
  const tenthSeconds = seconds / 10;
  return [
    {
      name: `${name}: last tenth`,
      unit: 'requests/s',
      value: last.count / tenthSeconds,
      limits: [
        { name: 'first tenth', value: first.count / tenthSeconds },
        { name: 'peak', value: peak.requests / peak.seconds },
      ],
      latency: latencyOf(Histogram.of(result.latency)),
      ...(target.node !== null && { cost }),
      generatorCores: result.cpuSeconds / result.seconds,
      note: `${rate} due a second; latencies are those of all of it${result.unsent > 0 ? `; ${result.unsent} never sent` : ''}`,
      series: timeline(name, result.windows, windowMs),
    },
    {
      name: `${name}: p99 of the last tenth`,
      unit: 'us',
      value: last.percentile(0.99),
      limits: [{ name: 'first tenth', value: first.percentile(0.99) }],
      lessIsBetter: true,
    },
    {
      name: `${name}: longest pause`,
      unit: 'us',
      value: result.longestGapUs,
      limits: [],
      lessIsBetter: true,
      note: `without an answer; the longest request took ${formatUs(result.latency.maxUs)}`,
    },
    ...(memory === null ? [] : [memoryFigure(name, memory)]),
  ];
}

function memoryFigure(name: string, { summary: { first, most, last }, points }: MemoryWatch): Figure {
  const line = { name: 'RssAnon + RssShmem', unit: 'bytes', over: 'seconds', points } as const;
  return {
    name: `${name}: memory at the end`,
    unit: 'bytes',
    value: last,
    limits: [{ name: 'at the beginning', value: first }],
    lessIsBetter: true,
    note: `${formatSize(most)} at most`,
    series: [{ title: `${name}: memory`, ...line }],
  };
}

function timeline(name: string, windows: readonly HistogramData[], windowMs: number): NonNullable<Figure['series']> {
  const histograms = windows.slice(0, WINDOWS).map((window) => Histogram.of(window));
  const seconds = (index: number): number => ((index + 1) * windowMs) / 1000;
  const latency = (share: number): [number, number][] => {
    return histograms.map((histogram, index) => [seconds(index), histogram.percentile(share)]);
  };
  const over = 'seconds';
  return [
    {
      title: `${name}: throughput`,
      name: 'answers',
      unit: 'a second',
      over,
      points: histograms.map(({ count }, index) => [seconds(index), (count * 1000) / windowMs]),
    },
    { title: `${name}: latency`, name: 'p50', unit: 'us', over, points: latency(0.5) },
    { title: `${name}: latency`, name: 'p99', unit: 'us', over, points: latency(0.99) },
    { title: `${name}: latency`, name: 'longest', unit: 'us', over, points: latency(1) },
  ];
}
