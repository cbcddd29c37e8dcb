// How long a lease lasts, against the worst that clocks and timers may do to those that it rests on.

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { leaseUs } from '../../../node/raft/core/index.js';
import { limits } from '../../../proto/limits.js';

const times = fc.record({
  electionTicks: fc.integer({ min: 2, max: 100 }),
  tickMs: fc.integer({ min: 2, max: 1000 }),
  tickEarlyMs: fc.integer({ min: 0, max: 1 }),
  clockErrorPpm: fc.integer({ min: 0, max: 200_000 }),
});

test('a lease ends before a member whose clock is fastest counts an election timeout, the leader having the slowest', () => {
  fc.assert(
    fc.property(times, (given) => {
      const { electionTicks, tickMs, tickEarlyMs, clockErrorPpm } = given;
      const error = clockErrorPpm / 1e6;
      // In true time: the first tick at once, the others early, on a clock that is fast.
      const votesAtUs = ((electionTicks - 1) * (tickMs - tickEarlyMs) * 1000) / (1 + error);
      const endsAtUs = leaseUs(given) / (1 - error);
      assert(endsAtUs <= votesAtUs + 1e-6, `${endsAtUs} after ${votesAtUs}`);
      assert(endsAtUs > votesAtUs - 2, 'and not much before');
    }),
  );
});

test('with the limits of production a lease lasts most of an election timeout', () => {
  const timeoutUs = limits.raftElectionTicks * limits.raftTickMs * 1000;
  const lasts = leaseUs({
    electionTicks: limits.raftElectionTicks,
    tickMs: limits.raftTickMs,
    tickEarlyMs: limits.raftTickEarlyMs,
    clockErrorPpm: limits.raftClockErrorPpm,
  });
  assert(lasts < timeoutUs && lasts > 0.85 * timeoutUs);
});
