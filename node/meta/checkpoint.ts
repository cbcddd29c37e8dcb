// A checkpoint: a copy of the database made by its owner while it goes on writing. A read transaction keeps every page
// of one commit as it is, the two pages that name the newest commit are read in the same turn as it is pinned, and the
// rest is copied in pieces, each synced, with pauses, so that the log's own syncs hardly wait. The copy takes the old
// one's place, and the log may be cut behind it, only when it opens, stands where it should, and the live database has
// lost no write either.

import assert from 'node:assert';
import fs from 'node:fs/promises';
import { limits } from '../../proto/limits.js';
import { type AppliedState, Engine } from './engine.js';
import type { GroupHome } from './home.js';

const META_PAGES = 2;

/** Resolves with the place in the log that the new checkpoint stands at. Rejects when a sync fails: end the process. */
export async function takeCheckpoint(engine: Engine, home: GroupHome): Promise<AppliedState> {
  engine.refresh();
  const snapshot = engine.snapshot();
  const state = snapshot.applied();
  const { size, head } = home.head(META_PAGES * engine.pageSize);
  try {
    await copyInPieces(home.data, home.unfinished, size, head);
  } finally {
    snapshot.release();
  }
  await verify(home.unfinished, state);
  await home.syncData();
  home.finishCheckpoint();
  return state;
}

async function copyInPieces(source: string, target: string, size: number, head: Buffer): Promise<void> {
  const from = await fs.open(source, 'r');
  const to = await fs.open(target, 'w');
  try {
    const piece = Buffer.alloc(limits.checkpointPieceBytes);
    for (let offset = 0; offset < size; ) {
      const startedMs = performance.now();
      const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, size - offset), offset);
      assert(bytesRead > 0, `${source} became shorter while it was copied`);
      if (offset === 0) head.copy(piece);
      await to.write(piece, 0, bytesRead, offset);
      await to.datasync();
      offset += bytesRead;
      if (offset < size) await pause(performance.now() - startedMs);
    }
    await to.sync();
  } finally {
    await from.close();
    await to.close();
  }
}

/** The copy leaves the disk to others for as long as it had it, at least. */
function pause(usedMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(limits.checkpointPauseMs, usedMs)));
}

async function verify(file: string, expected: AppliedState): Promise<void> {
  const copy = new Engine(file);
  try {
    assert.deepStrictEqual(copy.applied(), expected, `${file} is not the database that was copied`);
  } finally {
    await copy.close();
  }
}
