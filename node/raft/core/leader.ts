// What a leader does: replicates its log, counts what is stored where, and commits.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { conflict } from './follower.js';
import { announced, broadcastHeartbeat } from './heartbeat.js';
import { entryBytes } from './log.js';
import { tickQuiescence } from './quiescence.js';
import { NOBODY, type Raft } from './raft.js';
import { confirmReads } from './reads.js';
import { sendSnapshot, snapshotArrived, tickSnapshot } from './snapshots.js';
import type { Progress } from './tracker.js';
import { handOver, tickTransfer } from './transfer.js';

/** R4: an index is committed by counting only if its entry is of this term. R5: `match` of the leader is its store's. */
export function maybeCommit(raft: Raft): boolean {
  const index = raft.tracker.committed;
  if (index < raft.termStart || index <= raft.log.committed) return false;
  assert(raft.log.term(index) === raft.term, 'R4');
  return raft.log.commitTo(index);
}

export function broadcastAppend(raft: Raft): void {
  if (raft.alone) return;
  for (const [id, progress] of raft.tracker.progress) if (id !== raft.id) sendAppends(raft, id, progress);
}

/** Sends what a member lacks, in messages of bounded size, until it has all or its window is full. */
export function sendAppends(raft: Raft, to: number, progress: Progress): void {
  const { log } = raft;
  for (;;) {
    const commit = announced(raft);
    const lacking = progress.next <= log.lastIndex;
    if (progress.paused || !(lacking || progress.sentCommit < commit || progress.state === 'probe')) return;
    if (progress.next < log.firstIndex) {
      sendSnapshot(raft, to, progress);
      return;
    }
    const fromStore = lacking && !log.remembers(progress.next);
    sendAppend(raft, to, progress);
    // A member that is far behind reads the store: one message now, the next when it answers, so that it is its own
    // pace that throttles it, and no proposal waits for its reads.
    if (fromStore || progress.next > log.lastIndex) return;
  }
}

/** A message with entries from `next` on. */
function sendAppend(raft: Raft, to: number, progress: Progress): void {
  const { log } = raft;
  const index = progress.next - 1;
  const entries = progress.next <= log.lastIndex ? log.read(progress.next, log.lastIndex, limits.raftMessageBytes) : [];
  const commit = announced(raft);
  raft.send(raft.message(MessageKind.APPEND, to, { index, logTerm: log.term(index), commit, entries }));
  progress.sentCommit = commit;
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  progress.sent(index + entries.length, bytes);
}

export function leaderAppendAnswer(raft: Raft, message: Message): void {
  const { from } = message;
  const progress = raft.tracker.progress.get(from);
  if (progress === undefined) return;
  progress.active = true;
  if (message.reject) {
    // Entries of a later term than the hint's cannot match: skip them in one go.
    const hint = conflict(raft, Math.min(message.hintIndex, raft.log.lastIndex), message.hintTerm);
    if (progress.refused(message.index, hint)) sendAppends(raft, from, progress);
    return;
  }
  const news = progress.update(message.index);
  if (progress.state === 'snapshot') snapshotArrived(raft, progress, message.index);
  else if (progress.state === 'probe' && (news || progress.match === message.index)) progress.replicate();
  progress.inflights.freeTo(message.index);
  if (news) maybeCommit(raft);
  sendAppends(raft, from, progress);
  handOver(raft, from, progress);
}

/** An answered heartbeat lets a probe be sent again, frees a place in a window whose answers were lost, and finds out. */
export function leaderHeartbeatAnswer(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  progress.probing = false;
  if (progress.inflights.full) progress.inflights.freeFirst();
  const { match, next } = progress;
  if (match < raft.log.lastIndex || progress.state === 'probe') sendAppends(raft, message.from, progress);
  // All is sent and some of it not answered. If it was lost, and nothing new comes, an append without entries tells.
  const unanswered = progress.state === 'replicate' && match < raft.log.lastIndex && next > raft.log.lastIndex;
  if (unanswered && progress.next === next) sendAppend(raft, message.from, progress);
  if (message.context <= progress.round) return;
  assert(message.context <= raft.round, 'an answer to a round that began');
  progress.round = message.context;
  confirmReads(raft);
}

/** Messages to a member were lost: what was sent ahead of its answers is to be found out. */
export function unreachable(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress?.state === 'replicate') progress.probe();
}

export function tickLeader(raft: Raft): void {
  raft.electionElapsed++;
  raft.heartbeatElapsed++;
  if (raft.electionElapsed >= raft.electionTicks) {
    raft.electionElapsed = 0;
    if (!raft.tracker.takeQuorumActive(raft.id)) {
      raft.becomeFollower(raft.term, NOBODY);
      return;
    }
  }
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue;
    progress.tick(raft.log.committed);
    tickSnapshot(progress);
  }
  tickTransfer(raft);
  if (tickQuiescence(raft)) return;
  if (raft.heartbeatElapsed >= raft.heartbeatTicks) broadcastHeartbeat(raft);
}
