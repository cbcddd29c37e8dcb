// Changes of who belongs to the group. A change is proposed by saying what some members shall be; what is in force from
// then on is in the log (membership.ts). Guarantees:
//   C1  A change begins only when the one before it is committed and left.
//   C2  A change begins only when the first entry of the leader's term is applied: until then an earlier leader's change
//       may be committed without its knowing.
//   C3  A joint configuration is left by itself, as soon as it is committed.
//   C4  Only a learner that is nearly caught up becomes a voter, so that a change does not take the group's quorum away.
//   C5  A leader that is no voter any more leads until that is committed, does not count itself, and then makes way.

import { limits } from '../../../proto/limits.js';
import { type Change, changed, left } from './membership.js';
import { isJoint, isVoter, memberIds } from './quorum.js';
import { NOBODY, type Raft } from './raft.js';
import { sendTimeoutNow } from './transfer.js';

export type ChangeRefusal =
  | 'not leading'
  | 'leadership is being handed over'
  | 'another change is under way'
  | 'no voter would be left'
  | 'too many members'
  | 'a new voter must be a learner that is caught up';

/** Proposes a change; returns its index, 0 if it is refused (`changeRefusal` says why) or changes nothing. */
export function changeMembers(raft: Raft, changes: readonly Change[]): number {
  if (changeRefusal(raft, changes) !== null) return 0;
  const { configuration } = raft;
  const next = changed(configuration, changes);
  if (!isJoint(next) && next.learners.length === configuration.learners.length) {
    if (next.learners.every((id) => configuration.learners.includes(id))) return 0;
  }
  return raft.appendConfiguration(next);
}

export function changeRefusal(raft: Raft, changes: readonly Change[]): ChangeRefusal | null {
  if (!raft.leading) return 'not leading';
  if (raft.transfer.target !== NOBODY) return 'leadership is being handed over';
  const { configuration, membership, log } = raft;
  const underWay = isJoint(configuration) || membership.currentIndex > log.applied;
  if (underWay || !raft.established) return 'another change is under way'; // C1, C2
  const next = changed(configuration, changes);
  if (next.voters.length === 0) return 'no voter would be left';
  if (next.voters.length > limits.raftVoters || memberIds(next).length > limits.raftLearners) return 'too many members';
  const ready = next.voters.every((id) => isVoter(configuration, id) || mayVote(raft, id));
  return ready ? null : 'a new voter must be a learner that is caught up';
}

/** To be called when the configuration in force is committed (`toSettle`). */
export function settleMembership(raft: Raft): void {
  if (isJoint(raft.configuration)) {
    raft.appendConfiguration(left(raft.configuration)); // C3
    return;
  }
  raft.unsettled = false;
  raft.forgetOthers();
  if (!raft.isVoter(raft.id)) makeWay(raft);
}

/** C4. */
function mayVote(raft: Raft, id: number): boolean {
  if (!raft.configuration.learners.includes(id)) return false;
  const progress = raft.progressOf(id);
  return progress.state === 'replicate' && progress.match + limits.raftPromotionLagEntries >= raft.log.lastIndex;
}

/** C5. The voter that is furthest stands for election at once. */
function makeWay(raft: Raft): void {
  let best = NOBODY;
  let match = -1;
  for (const id of raft.configuration.voters) {
    const progress = raft.progressOf(id);
    if (progress.match <= match) continue;
    best = id;
    match = progress.match;
  }
  sendTimeoutNow(raft, best);
  raft.becomeFollower(raft.term, NOBODY);
}
