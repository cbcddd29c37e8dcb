// What a group does by itself, a step at a time and never two steps of one kind at once: expired sessions are ended,
// what nobody names or holds any more is reclaimed, completed uploads are folded into chunk rows, checkpoints are
// taken. Each step is a transaction like any other, so requests go on between them.

import { limits } from '../../proto/limits.js';
import { keys } from '../../proto/meta/index.js';
import type { OpenGroup } from './open-group.js';
import type { DeletedBlob, MetaLogic } from './operation-table.js';
import { forgettableSessions } from './sessions.js';

/** Rounds of one kind taken for a group before the others have their turn. */
const ROUNDS_AT_ONCE = 16;
const SESSIONS_PER_STEP = 64;

export interface JobTools {
  readonly logic: MetaLogic;
  readonly deleteBlobs: (blobs: readonly DeletedBlob[]) => Promise<void>;
}

/** One round for one group. Rejects with OfsError where the group or the block threads cannot now. */
export async function runJobs(open: OpenGroup, tools: JobTools): Promise<void> {
  if (!open.group.leading) return;
  await endExpiredSessions(open);
  if (open.id === 0) return;
  const minAgeMs = limits.reclaimAgeMs;
  if (open.group.sessions.settled) await reclaim(open, tools, { minAgeMs, rounds: ROUNDS_AT_ONCE });
  await fold(open, tools);
}

/**
 * Reclaims rows of at least an age that no session holds. What a round of it plans and the steps it takes happen in one
 * turn, so that nobody can come to hold what was planned; blobs are deleted when all of that is applied.
 */
export async function reclaim(
  open: OpenGroup,
  tools: JobTools,
  how: { minAgeMs: number; rounds: number },
): Promise<void> {
  const { group } = open;
  const { reclaim: rules } = tools.logic;
  let from = open.reclaimFrom;
  for (let round = 0; round < how.rounds && group.leading && !open.deleted; round++) {
    const plan = rules.plan(group.state, group.context, {
      nowMs: open.wallClock(),
      minAgeMs: how.minAgeMs,
      from,
      limit: limits.reclaimRows,
      scan: limits.reclaimScan,
    });
    const steps = plan.steps.map((sequence) =>
      group.run((transaction, context) => rules.step(transaction, context, sequence)),
    );
    await Promise.all([...steps, group.run(() => undefined)]);
    const blobs = plan.deletes.flatMap((row) => row.blobs);
    if (blobs.length > 0) await tools.deleteBlobs(blobs);
    if (plan.deletes.length > 0) await group.run((transaction) => rules.finish(transaction, plan.deletes));
    from = plan.next;
    open.reclaimFrom = from;
    // A step on an inode's row makes rows of blobs, so only a round without work is the end.
    if (from === 0 && plan.steps.length + plan.deletes.length === 0) return;
  }
}

async function fold(open: OpenGroup, tools: JobTools): Promise<void> {
  for (let round = 0; round < ROUNDS_AT_ONCE && open.group.leading && !open.deleted; round++) {
    const more = await open.group.run((transaction) => tools.logic.fold.step(transaction, limits.foldStepSlices));
    if (!more) return;
  }
}

async function endExpiredSessions(open: OpenGroup): Promise<void> {
  const { group } = open;
  const expired = group.sessions.expired();
  for (const session of expired.slice(0, SESSIONS_PER_STEP)) {
    await group.run((transaction) => {
      // It may have been renewed while the one before it was ended.
      if (group.sessions.isExpired(session)) group.endSession(transaction, session, 'LOST');
    });
  }
  if (open.wallClock() < open.forgetSessionsMs) return;
  const forgettable = forgettableSessions(group.state, open.wallClock(), SESSIONS_PER_STEP);
  // The whole table is read for it.
  if (forgettable.length < SESSIONS_PER_STEP) open.forgetSessionsMs = open.wallClock() + limits.sessionForgetMs;
  if (forgettable.length === 0) return;
  await group.run((transaction) => {
    for (const session of forgettable) transaction.delete(keys.session(session));
  });
}
