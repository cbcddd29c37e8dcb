// What a follower does with messages, and how any member answers a call for votes.

import assert from 'node:assert';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { NOBODY, type Raft, Role } from './raft.js';

/** An append: entries behind one that both logs hold are taken, otherwise the answer hints where they may agree. */
export function followerAppend(raft: Raft, message: Message): void {
  heard(raft, message);
  const { log } = raft;
  if (message.index < log.committed) {
    raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: log.committed }));
    return;
  }
  if (!log.matches(message.index, message.logTerm)) {
    const hintIndex = conflict(raft, Math.min(message.index, log.lastIndex), message.logTerm);
    raft.sendStored(
      raft.message(MessageKind.APPEND_ANSWER, message.from, {
        index: message.index,
        reject: true,
        hintIndex,
        hintTerm: log.term(hintIndex),
      }),
    );
    return;
  }
  const last = log.merge(message.entries, message.index);
  raft.takeEntries(message.entries);
  log.commitTo(Math.min(message.commit, last));
  raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: last }));
}

/** The leader's commit index is at most what this member is known to have. */
export function followerHeartbeat(raft: Raft, message: Message): void {
  heard(raft, message);
  raft.log.commitTo(message.commit);
  raft.sendStored(raft.message(MessageKind.HEARTBEAT_ANSWER, message.from, { context: message.context }));
}

/** A candidate that hears from the leader of its term has lost. */
export function yieldTo(step: (raft: Raft, message: Message) => void): (raft: Raft, message: Message) => void {
  return (raft, message) => {
    raft.becomeFollower(message.term, message.from);
    step(raft, message);
  };
}

/** R1, R3. A pre-vote binds nobody: it is answered again and again, and stores nothing. */
export function answerVote(raft: Raft, message: Message): void {
  const pre = message.kind === MessageKind.PRE_VOTE;
  const free = raft.vote === NOBODY && raft.leader === NOBODY;
  const may = raft.vote === message.from || free || (pre && message.term > raft.term);
  const isUpToDate = raft.log.isUpToDate(message.index, message.logTerm);
  if (!isUpToDate) raft.wanted = true;
  const granted = may && isUpToDate;
  if (pre) {
    // A refusal carries the voter's own term, so that a candidate that fell behind learns of it.
    const term = granted ? message.term : raft.term;
    raft.sendStored(raft.message(MessageKind.PRE_VOTE_ANSWER, message.from, { term, reject: !granted }));
    return;
  }
  if (granted) {
    raft.vote = message.from;
    raft.electionElapsed = 0;
  }
  raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, message.from, { reject: !granted }));
}

/** The last entry at or before `index` whose term is at most `term`: no entry between can match the sender's log. */
export function conflict(raft: Raft, index: number, term: number): number {
  let at = index;
  while (at >= raft.log.firstIndex && raft.log.term(at) > term) at--;
  return at;
}

/** R8. The round of a heartbeat is remembered for transfer.ts (H3). */
export function heard(raft: Raft, message: Message): void {
  assert(raft.role === Role.FOLLOWER);
  raft.electionElapsed = 0;
  raft.heardElapsed = 0;
  raft.wanted = false;
  if (message.context > raft.round) raft.round = message.context;
  raft.leader = message.from;
}
