// The way in: rules about terms that hold in every role, then one small function by role and kind of message.

import assert from 'node:assert';
import { isLocal, type Message, MessageKind } from '../../../proto/raft/index.js';
import { campaign, preVoteAnswer, voteAnswer } from './candidate.js';
import { settleMembership } from './changes.js';
import { answerVote, followerAppend, followerHeartbeat, yieldTo } from './follower.js';
import { broadcastHeartbeat } from './heartbeat.js';
import {
  broadcastAppend,
  leaderAppendAnswer,
  leaderHeartbeatAnswer,
  maybeCommit,
  tickLeader,
  unreachable,
} from './leader.js';
import { followerQuiesce, wake, wakes } from './quiescence.js';
import { NOBODY, type Raft, type Ready, Role } from './raft.js';
import { flushReads, followerReadAnswer, leaderRead, tickReads } from './reads.js';
import { followerSnapshot, snapshotStatus, takeSnapshot } from './snapshots.js';
import { askedByLeader, followerTimeoutNow, transfer } from './transfer.js';

type Step = (raft: Raft, message: Message) => void;
type Steps = { readonly [kind: number]: Step };

const everyRole: Steps = {
  [MessageKind.PRE_VOTE]: answerVote,
  [MessageKind.VOTE]: answerVote,
  [MessageKind.STORED]: stored,
  [MessageKind.WAKE]: wake,
};

/** From the leader of a term to a candidate in it, which has lost. */
const yielding: Steps = {
  [MessageKind.APPEND]: yieldTo(followerAppend),
  [MessageKind.HEARTBEAT]: yieldTo(followerHeartbeat),
  [MessageKind.QUIESCE]: yieldTo(followerQuiesce),
  [MessageKind.SNAPSHOT]: yieldTo(followerSnapshot),
};

const table: { readonly [role in Role]: Steps } = {
  [Role.FOLLOWER]: {
    ...everyRole,
    [MessageKind.CAMPAIGN]: campaign,
    [MessageKind.APPEND]: followerAppend,
    [MessageKind.HEARTBEAT]: followerHeartbeat,
    [MessageKind.QUIESCE]: followerQuiesce,
    [MessageKind.SNAPSHOT]: followerSnapshot,
    [MessageKind.READ_ANSWER]: followerReadAnswer,
    [MessageKind.TIMEOUT_NOW]: followerTimeoutNow,
  },
  [Role.PRE_CANDIDATE]: {
    ...everyRole,
    [MessageKind.CAMPAIGN]: campaign,
    [MessageKind.PRE_VOTE_ANSWER]: preVoteAnswer,
    ...yielding,
  },
  [Role.CANDIDATE]: {
    ...everyRole,
    [MessageKind.CAMPAIGN]: campaign,
    [MessageKind.VOTE_ANSWER]: voteAnswer,
    ...yielding,
  },
  [Role.LEADER]: {
    ...everyRole,
    [MessageKind.APPEND]: secondLeader,
    [MessageKind.HEARTBEAT]: secondLeader,
    [MessageKind.QUIESCE]: secondLeader,
    [MessageKind.SNAPSHOT]: secondLeader,
    [MessageKind.READ]: leaderRead,
    [MessageKind.TRANSFER]: transfer,
    [MessageKind.UNREACHABLE]: unreachable,
    [MessageKind.SNAPSHOT_STATUS]: snapshotStatus,
    [MessageKind.APPEND_ANSWER]: leaderAppendAnswer,
    [MessageKind.HEARTBEAT_ANSWER]: leaderHeartbeatAnswer,
  },
};

/** Takes a message from another member, or what the member's own surroundings tell it. */
export function step(raft: Raft, message: Message): void {
  if (!isLocal(message.kind)) {
    if (raft.quiescent && wakes(raft, message)) wake(raft);
    if (asksForVote(message) && raft.silent) return; // R7
    if (message.term < raft.term) {
      answerStale(raft, message);
      return;
    }
    if (asksForVote(message) && raft.supportsLeader && !askedByLeader(raft, message)) return; // R8
    if (message.term > raft.term && !entersTerm(raft, message)) return;
  }
  table[raft.role][message.kind]?.(raft, message);
}

/** A tick of the group's clock. */
export function tick(raft: Raft): void {
  if (raft.quiet) return;
  if (raft.leading) {
    tickLeader(raft);
    return;
  }
  if (raft.electionDue()) campaign(raft);
  tickReads(raft);
}

/** Takes what there is to do, with at most `storeBytes` of entries to store and `applyBytes` to apply (or one each). */
export function ready(raft: Raft, storeBytes: number, applyBytes: number): Ready {
  if (raft.toSettle) settleMembership(raft);
  flushReads(raft);
  if (raft.toHeartbeat) broadcastHeartbeat(raft);
  if (raft.toReplicate) {
    raft.toReplicate = false;
    broadcastAppend(raft);
  }
  return raft.takeReady(storeBytes, applyBytes);
}

/** A message of a later term. False: it is to be ignored. Pre-votes and their grants speak of a term nobody is in. */
function entersTerm(raft: Raft, message: Message): boolean {
  if (message.kind === MessageKind.PRE_VOTE) return answersInOwnTerm(raft, message);
  if (message.kind === MessageKind.PRE_VOTE_ANSWER && !message.reject) return answersInOwnTerm(raft, message);
  raft.becomeFollower(message.term, fromLeader(message) ? message.from : NOBODY);
  return true;
}

/** What only the leader of its term says, and wants answered if that term is over. */
function fromLeader({ kind }: Message): boolean {
  return (
    kind === MessageKind.APPEND ||
    kind === MessageKind.HEARTBEAT ||
    kind === MessageKind.QUIESCE ||
    kind === MessageKind.SNAPSHOT
  );
}

function asksForVote(message: Message): boolean {
  return message.kind === MessageKind.VOTE || message.kind === MessageKind.PRE_VOTE;
}

function answersInOwnTerm(raft: Raft, message: Message): boolean {
  table[raft.role][message.kind]?.(raft, message);
  return false;
}

/**
 * A message of an earlier term. A leader that was cut off learns the term of those it reaches, so that it steps down;
 * a candidate that fell behind likewise.
 */
function answerStale(raft: Raft, message: Message): void {
  if (fromLeader(message)) {
    if (message.kind === MessageKind.SNAPSHOT && raft.role === Role.FOLLOWER) takeSnapshot(raft, message);
    raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from));
  } else if (message.kind === MessageKind.PRE_VOTE) {
    raft.sendStored(raft.message(MessageKind.PRE_VOTE_ANSWER, message.from, { reject: true }));
  }
}

/**
 * The store has what it was handed. R5: an acknowledgement from an earlier term is not counted, since its entries may
 * have been replaced and come back by then; entering a term stores term and vote, and the acknowledgement of those
 * speaks for the entries as they are now.
 */
function stored(raft: Raft, message: Message): void {
  if (message.term !== raft.term || !raft.log.stored(message.index, message.logTerm)) return;
  if (!raft.leading) return;
  raft.progressOf(raft.id).update(raft.log.stable);
  maybeCommit(raft);
}

/** R1 makes a second leader of one term impossible: whoever says so is broken, and this member stops. */
function secondLeader(raft: Raft, message: Message): void {
  assert.fail(`member ${message.from} claims to lead term ${message.term}, which member ${raft.id} leads`);
}
