// Members that lack entries which are cut from the leader's log. The core says which snapshot a member is to get and
// waits for what becomes of it; its bytes travel beside the core, in pieces that may be resumed, and SNAPSHOT is given
// to the member's core when all of them have arrived and were checked. Guarantees:
//   S1  A member takes a snapshot whole, or not at all, and never one that holds less than it knows to be committed.
//   S2  A snapshot brings the configuration in force at its end.
//   S3  A way that was broken is taken up again, with the same snapshot while the store has it, after the member was
//       heard of; one from which nothing comes for raftSnapshotTicks counts as broken.
//   S4  Where the log may be cut waits for a member that recovers, so that entries follow its snapshot and not the next
//       snapshot; but for no member longer than raftHoldTicks.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import {
  decodeConfiguration,
  EntryKind,
  encodeConfiguration,
  type Message,
  MessageKind,
} from '../../../proto/raft/index.js';
import { heard } from './follower.js';
import type { Raft } from './raft.js';
import type { Progress } from './tracker.js';

/** S2, S3. To members that were heard of lately only: the bytes are not for someone who is not there. */
export function sendSnapshot(raft: Raft, to: number, progress: Progress): void {
  const { snapshot } = raft.log;
  if (snapshot === null || !progress.active) return;
  const { index, term, configuration } = snapshot;
  progress.snapshot(index);
  const entries = [{ index, term, kind: EntryKind.CONFIGURATION, payload: encodeConfiguration(configuration) }];
  raft.send(raft.message(MessageKind.SNAPSHOT, to, { index, logTerm: term, entries }));
}

/** A member in state snapshot has all up to `index`: from the snapshot on its way, or from somewhere else. */
export function snapshotArrived(raft: Raft, progress: Progress, index: number): void {
  if (progress.match >= raft.log.firstIndex - 1) progress.replicate();
  else if (index >= progress.snapshotIndex) progress.probe();
}

/** What the surroundings say of a snapshot on its way: S3. */
export function snapshotStatus(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress?.state !== 'snapshot' || progress.snapshotIndex !== message.index) return;
  if (message.context > 0) progress.snapshotTicks = 0;
  else progress.snapshotOver(!message.reject);
}

export function tickSnapshot(progress: Progress): void {
  if (progress.snapshotTicks >= limits.raftSnapshotTicks) progress.snapshotOver(false);
}

/** S1. The answer leaves when the store has it. */
export function followerSnapshot(raft: Raft, message: Message): void {
  heard(raft, message);
  takeSnapshot(raft, message);
  raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: raft.log.committed }));
}

/** What a snapshot holds is committed, so it is as good in a later term than the one in which it set out. */
export function takeSnapshot(raft: Raft, message: Message): void {
  const { log } = raft;
  const { index, logTerm: term } = message;
  if (log.matches(index, term)) {
    log.commitTo(index);
  } else if (index > log.committed) {
    const [configuration] = message.entries;
    assert(configuration?.kind === EntryKind.CONFIGURATION && configuration.index === index, 'S2');
    raft.restore({ index, term, configuration: decodeConfiguration(configuration.payload) });
  }
}

/** S4. How far the log may be cut, if the caller wants it cut up to `index`. */
export function cutLimit(raft: Raft, index: number): number {
  let limit = index;
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id || progress.behindTicks >= limits.raftHoldTicks) continue;
    limit = Math.min(limit, Math.max(progress.match, progress.snapshotIndex));
  }
  return limit;
}
