// How a host counts time: ticks, and how far its clock and its timers may be trusted.

import { limits } from '../../../proto/limits.js';

export interface Timing {
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Ticks without work after which a group falls silent; 0 for never. */
  readonly quiesceTicks: number;
  readonly tickEarlyMs: number;
  readonly clockErrorPpm: number;
}

export const timing: Timing = {
  tickMs: limits.raftTickMs,
  electionTicks: limits.raftElectionTicks,
  heartbeatTicks: limits.raftHeartbeatTicks,
  quiesceTicks: limits.raftQuiesceTicks,
  tickEarlyMs: limits.raftTickEarlyMs,
  clockErrorPpm: limits.raftClockErrorPpm,
};
