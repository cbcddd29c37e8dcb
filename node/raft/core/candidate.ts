// Elections: a pre-vote first, which disturbs nobody, then the vote.

import assert from 'node:assert';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { members } from './quorum.js';
import { type Raft, Role } from './raft.js';

/** An election timeout passed, or a group's only voter begins. */
export function campaign(raft: Raft): void {
  if (!raft.isVoter(raft.id)) return;
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

function askForVotes(raft: Raft, kind: number, term: number): void {
  const { lastIndex: index, lastTerm: logTerm } = raft.log;
  for (const id of members(raft.configuration)) {
    if (id !== raft.id) raft.send(raft.message(kind, id, { term, index, logTerm }));
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

/** R1: the candidate's own vote is counted when term and vote are in the store. The others may be asked before. */
function stand(raft: Raft): void {
  raft.becomeCandidate();
  askForVotes(raft, MessageKind.VOTE, raft.term);
  raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, raft.id));
}
