// The benchmarks of the log and of the core run, small, so that they do not rot.

import assert from 'node:assert';
import { test } from 'node:test';
import { benchCore } from '../../../node/raft/core.bench.js';
import { benchWal } from '../../../node/raft/wal.bench.js';
import { temporaryDirectory } from './machine.js';

test('the benchmark measures what was asked for, and more in flight shares syncs', async () => {
  using place = temporaryDirectory();
  const figures = await benchWal({
    directory: place.directory,
    millisecondsEach: 100,
    payloadBytes: 200,
    inFlight: [1, 32],
    segmentBytes: 1 << 22,
  });
  assert.strictEqual(figures.length, 4);
  for (const { name, perSecond, medianUs, p99Us } of figures) {
    assert(perSecond > 0 && medianUs > 0 && p99Us >= medianUs, name);
  }
  const shared = figures[3]!; // as the length says
  assert(shared.syncsPerSecond !== undefined && shared.syncsPerSecond * 4 < shared.perSecond);
});

test('the benchmark of the core measures proposals and groups at rest', () => {
  const figures = benchCore({ millisecondsEach: 50, batch: 64, payloadBytes: 200, groups: 20 });
  assert(figures.proposalUs > 0 && figures.quiescentTickUs >= 0 && Number.isFinite(figures.groupBytes));
});
