// Leadership handed over at the leader's own wish (Ongaro 2014, 3.10): the target is brought up to date, then told to
// stand for election at once, and the voters are told that its leader wants it. Guarantees:
//   H1  From the moment a transfer begins this leader has no lease, and takes no proposals.
//   H2  After a transfer that failed a lease rests only on rounds of heartbeats that began after TIMEOUT_NOW left.
//   H3  A voter helps such an election in spite of R8 only if it has heard no round that began after TIMEOUT_NOW left.
//       So a TIMEOUT_NOW that comes late finds no quorum among voters that support a lease: H2.

import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { stand } from './candidate.js';
import { wake } from './quiescence.js';
import { NOBODY, type Raft } from './raft.js';
import type { Progress } from './tracker.js';

/** The surroundings want another voter to lead. One that is no voter, or leads already, is not heeded. */
export function transfer(raft: Raft, message: Message): void {
  const target = message.from;
  if (target === raft.id || !raft.isVoter(target) || raft.transfer.target === target) return;
  wake(raft); // its time is counted in ticks
  raft.transfer.begin(target);
  handOver(raft, target, raft.progressOf(target));
}

/** If the target of a transfer has the whole log it is told to stand for election. */
export function handOver(raft: Raft, id: number, progress: Progress): void {
  if (raft.transfer.target !== id || raft.transfer.asked || progress.match !== raft.log.lastIndex) return;
  raft.transfer.ask(raft.round);
  sendTimeoutNow(raft, id);
}

export function sendTimeoutNow(raft: Raft, to: number): void {
  raft.send(raft.message(MessageKind.TIMEOUT_NOW, to, { context: raft.round + 1 }));
}

/** A transfer that takes an election timeout has failed: proposals are taken again. */
export function tickTransfer(raft: Raft): void {
  if (raft.transfer.target === NOBODY) return;
  raft.transfer.elapsed++;
  if (raft.transfer.elapsed >= raft.electionTicks) raft.transfer.end();
}

/** H3 holds for the target's own vote too. */
export function followerTimeoutNow(raft: Raft, message: Message): void {
  if (!raft.membership.mayVote(raft.id) || raft.silent || message.context <= raft.round) return;
  stand(raft, message.context);
}

/** H3. Whether this call for votes is one that this member's leader asked for, and may still be heeded. */
export function askedByLeader(raft: Raft, message: Message): boolean {
  return message.kind === MessageKind.VOTE && message.term === raft.term + 1 && message.context > raft.round;
}
