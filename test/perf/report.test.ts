// What is made of measurements: histograms, rounds, verdicts, the page.

import assert from 'node:assert';
import { test } from 'node:test';
import { compareResults, mannWhitney } from '../../perf/compare.js';
import { combineRounds, type Figure, latencyOf, type Result } from '../../perf/figures.js';
import { Histogram } from '../../perf/histogram.js';
import { htmlPage } from '../../perf/report/html.js';
import { formatResults } from '../../perf/report/table.js';
import { parseSize } from '../../perf/units.js';

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

test('the page and the table hold every figure, and the page loads nothing', () => {
  const histogram = new Histogram();
  for (let us = 1; us < 1000; us++) histogram.record(us);
  const curve = [1, 16].map((x) => ({
    ...figure(`get <${x}>`, x * 10, 200),
    curve: { name: 'get', x, over: 'clients' as const },
  }));
  const results = combineRounds([[{ ...curve[0]!, latency: latencyOf(histogram) }, curve[1]!]]);
  const page = htmlPage(results, { date: 'today', machine: 'a machine' });
  assert.match(page, /get &#60;1&#62;/);
  assert.match(page, /throughput over clients/);
  assert.match(page, /latency distribution/);
  assert(!/NaN|undefined|Infinity/.test(page), 'no hole in the page');
  assert(!/<script|src=|href=/.test(page));
  assert.match(formatResults(results), /get <16>/);
});

test('sizes are read with their units and refused without sense', () => {
  assert.deepStrictEqual(['512', '4KiB', '1 MiB'].map(parseSize), [512, 4096, 1 << 20]);
  assert.throws(() => parseSize('4kb'), RangeError);
});
