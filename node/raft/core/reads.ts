// Linearizable reads without a log entry (Ongaro 2014, 6.4): a leader that a quorum answers after the read was asked for
// was not replaced before, so what it had applied holds all that was acknowledged. Reads are counted, not kept: all that
// are asked between two readies share a ticket, an answer to a ticket answers all before it, and all requests that are
// there when a round of heartbeats begins share the round. Guarantees:
//   I1  A read's index is taken, and the round that confirms it begins, after it was asked for.
//   I2  Nothing is answered before the first entry of the leader's term is applied: until then it may not know all that
//       was committed.
//   I3  An index that is told is applied at the leader.
//   I4  A ticket is never given twice, so a late answer to another read of it cannot come.

import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { broadcastHeartbeat } from './heartbeat.js';
import { wake } from './quiescence.js';
import { NOBODY, type Raft } from './raft.js';

/**
 * Asks for a read of the group's state as it is now; any member may. Returns the ticket that a later ready's `reads`
 * names or passes, 0 if there is no leader to ask.
 */
export function read(raft: Raft): number {
  const { reads } = raft;
  if (raft.leader === NOBODY) return 0;
  wake(raft);
  if (!reads.open) {
    reads.open = true;
    reads.asked++;
  }
  return reads.asked;
}

/** Before a ready is taken: the open ticket is closed and asked, and a round begins if someone waits for one. */
export function flushReads(raft: Raft): void {
  const { reads } = raft;
  if (reads.open) {
    reads.open = false;
    if (raft.leading) reads.waiting.set(raft.id, reads.asked);
    else askLeader(raft);
  }
  if (raft.roundDue) beginRound(raft);
  confirmReads(raft); // a configuration that needs fewer answers may have come into force
}

/** A request or its answer may be lost; the one for the newest ticket stands for all. */
export function tickReads(raft: Raft): void {
  const { reads } = raft;
  if (reads.asked > reads.answered && !reads.open && raft.heardElapsed % raft.heartbeatTicks === 0) askLeader(raft);
}

export function leaderRead(raft: Raft, message: Message): void {
  if (!raft.tracker.progress.has(message.from)) return;
  raft.reads.waiting.set(message.from, Math.max(message.context, raft.reads.waiting.get(message.from) ?? 0));
  wake(raft);
}

export function followerReadAnswer(raft: Raft, message: Message): void {
  raft.reads.answer(message.context, message.index);
}

/** Releases the rounds that a quorum has answered: I1. */
export function confirmReads(raft: Raft): void {
  const { reads } = raft;
  if (reads.rounds.length === 0) return;
  const confirmed = raft.tracker.confirmedRound;
  while (reads.rounds.length > 0 && reads.rounds[0]!.round <= confirmed) {
    const { tickets, index } = reads.rounds.shift()!; // there is one
    for (const [id, ticket] of tickets) {
      if (id === raft.id) reads.answer(ticket, index);
      else raft.send(raft.message(MessageKind.READ_ANSWER, id, { index, context: ticket }));
    }
  }
}

function askLeader(raft: Raft): void {
  if (raft.leader === NOBODY || raft.leading) return;
  raft.send(raft.message(MessageKind.READ, raft.leader, { context: raft.reads.asked }));
}

function beginRound(raft: Raft): void {
  const { reads } = raft;
  broadcastHeartbeat(raft);
  reads.rounds.push({ round: raft.round, index: raft.log.applied, tickets: reads.waiting });
  reads.waiting = new Map();
  confirmReads(raft);
}
