// When a leader may answer reads by the clock alone. A quorum that answered a round of heartbeats elects nobody else for
// an election timeout by their clocks (R7, R8), so for a little less than that after the round left, by the leader's
// clock, nobody else leads. The core knows no clock: it names the round, its surroundings remember when that left.
// Guarantees:
//   E1  A lease rests on a round that a quorum answered, in this term, which is check-quorum's own condition.
//   E2  It begins after the first entry of the term is applied (I2), and never for a quiescent group (P2) or while
//       leadership is handed over (H1, H2).
//   E3  It ends before the first member of that quorum may help another leader, with both clocks wrong by their error,
//       the first tick of a member coming at once and every tick as early as a timer may.

import assert from 'node:assert';
import type { Raft } from './raft.js';

export interface LeaseTimes {
  readonly electionTicks: number;
  readonly tickMs: number;
  readonly tickEarlyMs: number;
  readonly clockErrorPpm: number;
}

/** The round that a lease may be counted from, 0 for none. Asked anew before any message of a ready leaves. */
export function leaseRound(raft: Raft): number {
  if (!raft.established || raft.quiescent) return 0;
  const round = raft.tracker.confirmedRound;
  return raft.transfer.allowsLease(round) ? round : 0;
}

/** E3. How long after its round left a lease lasts, in microseconds of the leader's monotonic clock. */
export function leaseUs(times: LeaseTimes): number {
  const { electionTicks, tickMs, tickEarlyMs, clockErrorPpm } = times;
  const error = clockErrorPpm / 1e6;
  assert(error >= 0 && error < 1 && tickEarlyMs < tickMs);
  const theirsMs = (electionTicks - 1) * (tickMs - tickEarlyMs);
  return Math.floor(((theirsMs * 1000) / (1 + error)) * (1 - error));
}
