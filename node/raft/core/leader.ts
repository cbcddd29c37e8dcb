// What a leader does: replicates its log, counts what is stored where, and commits.

import { limits } from '../../../proto/limits.js';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { conflict } from './follower.js';
import type { Raft } from './raft.js';
import type { Progress } from './tracker.js';

/** R4: an index is committed by counting only if its entry is of this term. R5: `match` of the leader is its store's. */
export function maybeCommit(raft: Raft): boolean {
  const index = raft.tracker.committed;
  if (index < raft.termStart || index <= raft.log.committed) return false;
  return raft.log.commitTo(index);
}

export function broadcastAppend(raft: Raft): void {
  if (raft.alone) return;
  for (const [id, progress] of raft.tracker.progress) if (id !== raft.id) sendAppends(raft, id, progress);
}

/** Sends what a member lacks, in messages of bounded size, until it has all or its window is full. */
export function sendAppends(raft: Raft, to: number, progress: Progress): void {
  for (;;) {
    const commit = announced(raft);
    const lacking = progress.next <= raft.log.lastIndex;
    if (progress.paused || !(lacking || progress.sentCommit < commit || progress.state === 'probe')) return;
    if (!sendAppend(raft, to, progress)) return;
    if (progress.next > raft.log.lastIndex) return;
  }
}

/**
 * A message with entries from `next` on. False if the log begins behind them: such a member needs a snapshot, until
 * which it gets heartbeats only.
 */
function sendAppend(raft: Raft, to: number, progress: Progress): boolean {
  const { log } = raft;
  const index = progress.next - 1;
  if (index < log.firstIndex - 1) return false;
  const entries = progress.next <= log.lastIndex ? log.read(progress.next, log.lastIndex, limits.raftMessageBytes) : [];
  const commit = announced(raft);
  raft.send(raft.message(MessageKind.APPEND, to, { index, logTerm: log.term(index), commit, entries }));
  progress.sentCommit = commit;
  progress.sent(index + entries.length);
  return true;
}

export function broadcastHeartbeat(raft: Raft): void {
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue;
    const commit = Math.min(progress.match, announced(raft));
    raft.send(raft.message(MessageKind.HEARTBEAT, id, { commit }));
  }
}

export function leaderAppendAnswer(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  if (message.reject) {
    // Entries of a later term than the hint's cannot match: skip them in one go.
    const hint = conflict(raft, Math.min(message.hintIndex, raft.log.lastIndex), message.hintTerm);
    if (progress.refused(message.index, hint)) sendAppends(raft, message.from, progress);
    return;
  }
  const news = progress.update(message.index);
  if (progress.state === 'probe' && (news || progress.match === message.index)) progress.replicate();
  progress.inflights.freeTo(message.index);
  if (news) maybeCommit(raft);
  sendAppends(raft, message.from, progress);
}

/** An answered heartbeat lets a probe be sent again, and frees a place in a window whose answers were lost. */
export function leaderHeartbeatAnswer(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  progress.probing = false;
  if (progress.inflights.full) progress.inflights.freeFirst();
  if (progress.match < raft.log.lastIndex || progress.state === 'probe') sendAppends(raft, message.from, progress);
}

/** R6. */
function announced(raft: Raft): number {
  return raft.log.applied;
}
