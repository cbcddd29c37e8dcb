// What is made of measurements: histograms, rounds, verdicts, the page.

import assert from 'node:assert';
import { test } from 'node:test';
import { compareResults, mannWhitney } from '../../perf/compare.js';
import { combineRounds, type Figure, latencyOf, NO_COST, type Result } from '../../perf/figures.js';
import { Histogram, type HistogramData } from '../../perf/histogram.js';
import { shuffled } from '../../perf/load/mount-steps.js';
import { keyName, type LoadTask } from '../../perf/load/s3-task.js';
import { parseOptions, UsageError } from '../../perf/options.js';
import { htmlPage } from '../../perf/report/html.js';
import { linearTicks, logTicks } from '../../perf/report/plot.js';
import { formatResults } from '../../perf/report/table.js';
import { divided, taskFor } from '../../perf/scenarios/s3-target.js';
import { parseSize } from '../../perf/units.js';
import { rateBetween, recoveryMs } from '../../perf/windows.js';

function figure(name: string, value: number, limit?: number): Figure {
  return { name, unit: 'operations/s', value, limits: limit === undefined ? [] : [{ name: 'limit', value: limit }] };
}

function rounds(name: string, values: readonly number[], limit?: number): Result[] {
  return combineRounds(values.map((value) => [figure(name, value, limit)]));
}

test('percentiles of a histogram are within 2.2 % of those of the sorted values, and sums of histograms too', () => {
  const values = Array.from({ length: 10_000 }, (_, index) => 3 + ((index * 7919) % 10_000) ** 1.5 / 10);
  const halves = [new Histogram(), new Histogram()];
  values.forEach((value, index) => {
    halves[index % 2]!.record(value);
  });
  const both = Histogram.of(...halves.map((half) => half.data()));
  const sorted = values.toSorted((left, right) => left - right);
  for (const share of [0.01, 0.5, 0.99, 0.999]) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
    const error = both.percentile(share) / exact - 1;
    assert(Math.abs(error) < 0.022, `${share}: ${both.percentile(share)} for ${exact}`);
  }
  assert.strictEqual(both.data().maxUs, sorted.at(-1));
});

test('the round in the middle speaks for all, and every sample is kept', () => {
  const [result] = rounds('a', [5, 100, 7], 10);
  assert.strictEqual(result!.value, 7);
  assert.deepStrictEqual(result!.samples, [5, 100, 7]);
  assert.deepStrictEqual(result!.ratios, [0.5, 10, 0.7]);
});

test('a verdict needs rounds that lie apart, and enough of them', () => {
  const verdict = (old: number[], now: number[]) => compareResults(rounds('a', old), rounds('a', now))[0]!.verdict;
  assert.strictEqual(verdict([100, 101, 102], [120, 121, 122]), 'better');
  assert.strictEqual(verdict([120, 121, 122], [100, 101, 102]), 'worse');
  assert.strictEqual(verdict([100, 110, 120], [105, 115, 125]), 'within noise');
  assert.strictEqual(verdict([100, 101, 102], [103, 103.5, 104]), 'within noise');
  assert.strictEqual(verdict([100, 100], [200, 200]), 'too few rounds');
  assert.strictEqual(compareResults([], rounds('a', [1, 2, 3]))[0]!.verdict, 'new');
});

test('a machine that was slower as a whole makes no figure worse', () => {
  const old = rounds('a', [100, 101, 102], 1000);
  const now = rounds('a', [50, 50.5, 51], 500);
  assert.strictEqual(compareResults(old, now)[0]!.verdict, 'within noise');
});

test('the probability is that of the exact test of Mann and Whitney', () => {
  assert(Math.abs(mannWhitney([1, 2, 3], [4, 5, 6]) - 0.1) < 1e-9);
  assert(Math.abs(mannWhitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) - 2 / 252) < 1e-9);
  assert.strictEqual(mannWhitney([1, 4], [2, 3]), 1);
});

test('of times and sizes less is better', () => {
  const small = (values: readonly number[]): Result[] => {
    return combineRounds(values.map((value) => [{ ...figure('start', value), unit: 'ms', lessIsBetter: true }]));
  };
  assert.strictEqual(compareResults(small([100, 101, 102]), small([120, 121, 122]))[0]!.verdict, 'worse');
  assert.strictEqual(compareResults(small([120, 121, 122]), small([100, 101, 102]))[0]!.verdict, 'better');
});

test('ticks are round numbers that enclose what is drawn', () => {
  assert.deepStrictEqual(linearTicks(23), [0, 5, 10, 15, 20, 25]);
  assert.deepStrictEqual(linearTicks(0.3), [0, 0.1, 0.2, 0.3]);
  assert.deepStrictEqual(logTicks(3, 40), [2, 5, 10, 20, 50]);
  assert.deepStrictEqual(logTicks(1, 1000), [1, 10, 100, 1000]);
  const wide = logTicks(0.0001, 1e9);
  assert(wide[0]! <= 0.0001 && wide.length <= 9, wide.join(' '));
});

test('windows tell a rate, and when it was back', () => {
  const window = (count: number): HistogramData => {
    const histogram = new Histogram();
    for (let each = 0; each < count; each++) histogram.record(10);
    return histogram.data();
  };
  const windows = [100, 100, 100, 100, 10, 10, 10, 10, 50, 95, 100, 100, 100, 100].map(window);
  assert.strictEqual(rateBetween(windows, 50, { fromMs: 0, toMs: 200 }), 2000);
  // The four windows from the tenth on are the first with 0.9 of it together.
  assert.strictEqual(recoveryMs(windows, 50, 400, 1800), 50);
  assert.strictEqual(recoveryMs(windows, 50, 400, 5000), Number.POSITIVE_INFINITY);
});

test('a shuffled epoch has each file once, in the same order each time', () => {
  const order = shuffled(1000);
  assert.deepStrictEqual(
    [...order].toSorted((left, right) => left - right),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  assert.deepStrictEqual(shuffled(1000), order);
  const neighbours = order.filter((value, index) => index > 0 && value === order[index - 1]! + 1).length;
  assert(neighbours < 10, `${neighbours} of 999 neighbours`);
});

test('a key of a tree stands with a hundred others', () => {
  assert.strictEqual(keyName('flat', 7), 'bench/0000007');
  assert.strictEqual(keyName('tree', 123_456), 'tree/012/34/0123456');
  const leaves = new Set(Array.from({ length: 1000 }, (_, index) => keyName('tree', index).slice(0, 11)));
  assert.strictEqual(leaves.size, 10);
});

test('the command line of a load says what is run', () => {
  assert.strictEqual(parseOptions(['s3', '--sweep']).s3!.at(-1)!.clients, 1000);
  assert.deepStrictEqual(parseOptions(['s3', '--sustained', '60']).sustained!.load.op, 'mixed');
  assert.strictEqual(parseOptions(['s3', '--overload', '--op', 'put']).overload!.op, 'put');
  const upload = parseOptions(['s3', '--op', 'multipart', '--parts', '3']).s3![0]!;
  assert(upload.op === 'multipart' && upload.partBytes.length === 3);
  const read = parseOptions(['mount', '--op', 'random read, direct', '--processes', '2']).mount!;
  assert.deepStrictEqual([read.op, read.processes, read.files], ['random read, direct', 2, 256]);
  assert.strictEqual(parseOptions(['mount', '--op', 'random-read-direct']).mount!.op, 'random read, direct');
  assert.deepStrictEqual(parseOptions(['--quick']).scenarios, ['micro', 's3', 'mount']);
  for (const wrong of [
    ['s3', '--parts', '0', '--op', 'multipart'],
    ['cold', 's3'],
    ['mount', '--op', 'swim'],
  ]) {
    assert.throws(() => parseOptions(wrong), UsageError);
  }
});

test('a load is divided among generators without a client, a key or a request lost or doubled', () => {
  const place = { host: 'h', port: 1, tls: false, bucket: 'b', generators: 3 };
  const credentials = { accessKey: 'a', secretKey: 's', region: 'r' };
  const load = { op: 'delete', bodyBytes: 1, clients: 10, keys: 100, rate: 300, firstKey: 7 } as const;
  const parts = divided(taskFor({ ...place, credentials }, load, { seconds: 1 }), 3);
  const of = (read: (part: LoadTask) => number) => parts.reduce((sum, part) => sum + read(part), 0);
  assert.deepStrictEqual([of((p) => p.clients), of((p) => p.keys), of((p) => p.rate)], [10, 100, 300]);
  const keys = parts.flatMap(({ firstKey, keys }) => Array.from({ length: keys }, (_, index) => firstKey + index));
  assert.deepStrictEqual(
    keys,
    Array.from({ length: 100 }, (_, index) => 7 + index),
  );
  assert.strictEqual(divided(taskFor({ ...place, credentials }, { ...load, clients: 2 }, { seconds: 1 }), 3).length, 2);
});

test('the page and the table hold every figure, and the page loads nothing', () => {
  const histogram = new Histogram();
  for (let us = 1; us < 1000; us++) histogram.record(us);
  const curve = [1, 16].map((x) => ({
    ...figure(`get <${x}>`, x * 10, 200),
    curve: { name: 'get', x, over: 'clients' as const },
  }));
  const points = [
    [1, 5],
    [2, 9],
  ] as const;
  const series = [{ title: 'growth', name: 'rate', unit: 'a second', over: 'files', points }] as const;
  const s3 = { ...figure('S3 get', 3, 10), latency: latencyOf(histogram), cost: NO_COST, series };
  const results = combineRounds([[{ ...curve[0]!, latency: latencyOf(histogram) }, curve[1]!, s3]]);
  const page = htmlPage(results, { date: 'today', machine: 'a machine' });
  assert.match(page, /get &#60;1&#62;/);
  assert.match(page, /get: throughput/);
  assert.match(page, /S3 get: latencies/);
  assert.match(page, /growth/);
  assert(!/NaN|undefined|Infinity/.test(page), 'no hole in the page');
  assert(!/<script|src=|href=/.test(page));
  assert.match(formatResults(results), /get <16>/);
});

test('sizes are read with their units and refused without sense', () => {
  assert.deepStrictEqual(['512', '4KiB', '1 MiB'].map(parseSize), [512, 4096, 1 << 20]);
  assert.throws(() => parseSize('4kb'), RangeError);
});
