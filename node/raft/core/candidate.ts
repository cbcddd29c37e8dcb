// Elections: a pre-vote first, which disturbs nobody, then the vote.

import assert from 'node:assert';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { voterIds } from './quorum.js';
import { type Raft, Role } from './raft.js';

/**
 * An election timeout passed, or a group's only voter begins. R7, R8 hold for the member's own vote too. A member that
 * is to be removed stands too while that is not committed, though its own vote does not count: it may be the only one
 * whose log the others can vote for. So does a learner whose vote was asked for in vain: whoever asked counts it among the
 * voters, by a change that may never come here, and cannot be elected without it. Having led, it makes way (C5).
 */
export function campaign(raft: Raft): void {
  const mayStand = raft.membership.mayVote(raft.id) || raft.wanted;
  if (!mayStand || raft.silent || raft.supportsLeader) return;
  raft.becomePreCandidate();
  askForVotes(raft, MessageKind.PRE_VOTE, raft.term + 1);
  count(raft, raft.id, true);
}

/** A pre-vote asked for the next term; a grant says that term, a refusal the voter's own. */
export function preVoteAnswer(raft: Raft, message: Message): void {
  if (!message.reject && message.term !== raft.term + 1) return;
  count(raft, message.from, !message.reject);
}

export function voteAnswer(raft: Raft, message: Message): void {
  count(raft, message.from, !message.reject);
}

function askForVotes(raft: Raft, kind: number, term: number, context = 0): void {
  const { lastIndex: index, lastTerm: logTerm } = raft.log;
  for (const id of voterIds(raft.configuration)) {
    if (id !== raft.id) raft.send(raft.message(kind, id, { term, index, logTerm, context }));
  }
}

function count(raft: Raft, from: number, granted: boolean): void {
  if (!raft.isVoter(from)) return;
  const result = raft.tracker.vote(from, granted);
  if (result === 'lost') raft.becomeFollower(raft.term, 0);
  if (result !== 'won') return;
  if (raft.role === Role.PRE_CANDIDATE) {
    stand(raft);
  } else {
    assert(raft.role === Role.CANDIDATE);
    raft.becomeLeader();
  }
}

/**
 * R1: the candidate's own vote is counted when term and vote are in the store. The others may be asked before. `context`
 * is that of the TIMEOUT_NOW that asks for this election, if one does.
 */
export function stand(raft: Raft, context = 0): void {
  raft.becomeCandidate();
  askForVotes(raft, MessageKind.VOTE, raft.term, context);
  raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, raft.id));
}
