// The rounds of heartbeats of a leader, on which check-quorum, reads and leases rest.

import { MessageKind } from '../../../proto/raft/index.js';
import type { Raft } from './raft.js';

/**
 * Heartbeats begin a round, which the answers name: a quorum that answered one has heard this leader after it left.
 * While an election that the leader asked for may be under way no round begins (transfer.ts).
 */
export function broadcastHeartbeat(raft: Raft): void {
  raft.heartbeatElapsed = 0;
  raft.toHeartbeat = false;
  if (!raft.transfer.asked) raft.round++;
  raft.progressOf(raft.id).round = raft.round;
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue;
    const commit = Math.min(progress.match, announced(raft));
    raft.send(raft.message(MessageKind.HEARTBEAT, id, { commit, context: raft.round }));
  }
}

/** R6. */
export function announced(raft: Raft): number {
  return raft.log.applied;
}
