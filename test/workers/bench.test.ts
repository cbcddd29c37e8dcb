// The benchmarks of workers/, run small, so that none rots.

import assert from 'node:assert';
import { test } from 'node:test';
import { channelBench } from '../../workers/channel.bench.js';
import { ringBench } from '../../workers/ring/ring.bench.js';

test('the benchmark of the ring gives a positive figure for each case', async () => {
  const figures = await ringBench({ caseMs: 10 });
  assert(figures.length >= 15);
  for (const { name, value } of figures) assert(value > 0, name);
});

test('the benchmark of channels gives positive figures for each case', async () => {
  const figures = await channelBench({ caseMs: 10 });
  assert(figures.length >= 6);
  for (const { name, requestsPerSecond, p50Us } of figures) assert(requestsPerSecond > 0 && p50Us > 0, name);
});
