// Groups in which nothing happens stop talking: a leader whose members all have all of the log says so once, and from
// then on neither it nor those that agree are ticked. Guarantees:
//   P1  A quiescent member goes on supporting its leader (R8): time stands still for it.
//   P2  A quiescent leader has no lease (lease.ts).
//   P3  Whatever is said to a quiescent member by someone who is not quiescent wakes it, and a leader that wakes wakes
//       the others. So a member that missed the word stands for election in vain, and a group whose leader is gone
//       elects another as soon as one member is told (WAKE) or asked anything.

import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { followerHeartbeat, heard } from './follower.js';
import { announced } from './heartbeat.js';
import { isJoint } from './quorum.js';
import { NOBODY, type Raft } from './raft.js';

/** Work has come, or will: no member is quiescent for a while. */
export function wake(raft: Raft): void {
  raft.idleTicks = 0;
  if (!raft.quiescent) return;
  raft.quiescent = false;
  raft.electionElapsed = 0;
  raft.toHeartbeat = raft.leading;
}

/** P3. What was sent before the group fell silent, and comes late, wakes nobody. */
export function wakes(raft: Raft, message: Message): boolean {
  const { kind, context } = message;
  if (kind === MessageKind.QUIESCE || kind === MessageKind.APPEND_ANSWER)
    return message.term !== raft.term || message.reject;
  if (kind === MessageKind.HEARTBEAT || kind === MessageKind.HEARTBEAT_ANSWER) {
    return message.term !== raft.term || context >= raft.round;
  }
  return true;
}

/** Counts a leader's tick without work; true if the group falls silent with it. */
export function tickQuiescence(raft: Raft): boolean {
  raft.idleTicks++;
  if (raft.quiesceTicks === 0 || raft.idleTicks < raft.quiesceTicks || !atRest(raft)) return false;
  const { lastIndex: index, lastTerm: logTerm } = raft.log;
  raft.round++;
  raft.quiescent = true;
  for (const id of raft.tracker.progress.keys()) {
    if (id === raft.id) continue;
    raft.send(raft.message(MessageKind.QUIESCE, id, { index, logTerm, commit: announced(raft), context: raft.round }));
  }
  return true;
}

/** A member that lacks something answers as to a heartbeat, which wakes the leader. */
export function followerQuiesce(raft: Raft, message: Message): void {
  const { log } = raft;
  if (
    raft.reads.outstanding ||
    log.lastIndex !== message.index ||
    message.commit !== message.index ||
    !log.matches(message.index, message.logTerm)
  ) {
    followerHeartbeat(raft, message);
    return;
  }
  if (message.context < raft.round) return;
  heard(raft, message);
  log.commitTo(message.commit);
  raft.quiescent = true;
}

/** Nothing is under way, and every member answered the last round of heartbeats and has everything. */
function atRest(raft: Raft): boolean {
  const { log } = raft;
  if (log.applied !== log.lastIndex || isJoint(raft.configuration) || raft.unsettled) return false;
  if (raft.transfer.target !== NOBODY || raft.reads.outstanding) return false;
  for (const [id, progress] of raft.tracker.progress) {
    if (progress.match !== log.lastIndex) return false;
    if (id !== raft.id && (progress.state !== 'replicate' || progress.round !== raft.round)) return false;
  }
  return true;
}
