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

/**
 * Resolves with the place in the log that the new checkpoint stands at; undefined when it was given up because of
 * `signal`. Rejects with ENOSPC when there is no room for it, and, when a sync fails, with what is to end the process.
 */
export async function takeCheckpoint(
  engine: Engine,
  home: GroupHome,
  signal: AbortSignal,
): Promise<AppliedState | undefined> {
  engine.refresh();
  engine.forgetDeadReaders();
  const snapshot = engine.snapshot();
  const state = snapshot.applied();
  const { size, head } = home.head(META_PAGES * engine.pageSize);
  try {
    await copyInPieces(home, { size, head, signal });
  } catch (error) {
    home.dropUnfinished();
    throw error;
  } finally {
    snapshot.release();
  }
  if (signal.aborted) {
    home.dropUnfinished();
    return undefined;
  }
  await verify(home.unfinished, state);
  await home.syncData();
  home.finishCheckpoint();
  return state;
}

async function copyInPieces(
  home: GroupHome,
  { size, head, signal }: { size: number; head: Buffer; signal: AbortSignal },
): Promise<void> {
  const from = await fs.open(home.data, 'r');
  const to = await fs.open(home.unfinished, 'w');
  try {
    const piece = Buffer.alloc(limits.checkpointPieceBytes);
    for (let offset = 0; offset < size && !signal.aborted; ) {
      const startedMs = performance.now();
      const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, size - offset), offset);
      assert(bytesRead > 0, `${home.data} became shorter while it was copied`);
      if (offset === 0) head.copy(piece);
      const { bytesWritten } = await to.write(piece, 0, bytesRead, offset);
      if (bytesWritten < bytesRead) throw noSpace(home.unfinished);
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

/** A write that ends short is the kernel's way to say so. */
function noSpace(file: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`no space left to write ${file}`), { code: 'ENOSPC' });
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
