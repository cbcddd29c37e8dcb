// Rounds of commits of one file (R2.3, R3.9): what is pending is sealed, waited for until it is on disk, and named in the
// service's chunk rows, oldest first, one request at a time. A round that is not answered leaves everything as it is, to
// be tried again; what cannot be written at all is dropped and said once, at the next flush, as close(2) and fsync(2)
// are expected to. Blocks written under a session that has ended meanwhile are written again under the new one, from
// their places on disk.

import { limits } from '../../proto/limits.js';
import type { Attr, Chunk } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type BlockPart, type BlockStore, partsOfBlob, Run, readParts, type Space } from '../blocks/index.js';
import type { MetaChannel } from '../channel/index.js';
import type { VfsFile } from './file.js';

export interface CommitHost {
  readonly meta: MetaChannel;
  readonly blocks: BlockStore;
  readonly space: Space;
  readonly group: number;
  /** How long a round tries again what failed for a passing reason, before it says so. */
  readonly patienceMs: number;
  /** Chunks whose rows have grown long. */
  onCrowded(file: VfsFile, chunks: readonly number[]): void;
}

/**
 * `WHOLE`: everything. `AGED`: a young block at the very end may stay in the buffer. `SEALED`: only what takes no more
 * bytes anyway.
 */
export type RoundKind = 'WHOLE' | 'AGED' | 'SEALED';

/** Errors after which another attempt may succeed: no answer, or a service that is not ready. */
const PASSING: ReadonlySet<number> = new Set([
  Status.TIMEOUT,
  Status.CLOSED,
  Status.BUSY,
  Status.NOT_LEADER,
  Status.NO_SUCH_GROUP,
  Status.RETRY_TOO_OLD,
]);
const SESSION_POLL_MS = 50;
const RETRY_PAUSE_MS = 50;

/**
 * Commits what is pending; to be run as the file's serial task. Rejects with the first error; then what was dropped
 * for good is no longer pending, and what may succeed later still is.
 */
export async function commitRound(host: CommitHost, file: VfsFile, kind: RoundKind): Promise<void> {
  const deadline = performance.now() + host.patienceMs;
  for (;;) {
    try {
      for (const run of file.pending) run.retry();
      file.uncommittedBytes = 0;
      if (kind === 'WHOLE') await commitSmall(host, file);
      if (kind !== 'SEALED') sealRuns(file, kind);
      await commitSealed(host, file);
      file.failedCommits = 0;
      return;
    } catch (error) {
      const passing = error instanceof OfsError && PASSING.has(error.status);
      if (!passing || performance.now() + RETRY_PAUSE_MS > deadline) {
        file.failedCommits++;
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
    }
  }
}

/**
 * Few bytes go with their commit, in one request, where the blocks are another process's. What does not succeed is left
 * to the way of all others.
 */
async function commitSmall(host: CommitHost, file: VfsFile): Promise<void> {
  const [run, ...others] = file.pending;
  if (run === undefined || others.length > 0 || host.blocks.isInProcess) return;
  const held = run.hold(limits.inlineBytes);
  if (held === null) return;
  file.streak = 0;
  const { session } = host.blocks;
  const request = { inode: file.inode, session, offset: run.start, size: run.end, mtime: file.mtime, crc: held.crc };
  let answer: Committed & { blob: number };
  try {
    await host.meta.session(host.group);
    answer = await host.meta.call('writeCommit', host.group, request, Buffer.from(held.data));
  } catch (error) {
    asOfsError(error);
    run.sendNow();
    return;
  }
  if (answer.blob === 0) {
    file.pending = file.pending.filter((pending) => pending !== run);
    run.abort();
    file.learn(answer.attr);
    return;
  }
  run.written(answer.blob, session);
  finish(host, file, [run], { ...answer, chunks: slicesByChunk([run]) });
}

async function commitSealed(host: CommitHost, file: VfsFile): Promise<void> {
  let failure: OfsError | null = null;
  let left = file.pending.filter((run) => run.sealed).length;
  while (left > 0) {
    const batch = nextBatch(file, left);
    if (batch.length === 0) break;
    failure ??= await settle(file, batch);
    const landed = batch.filter((run) => run.isDurable);
    // A run that still waits for its disk holds back what was written after it.
    const stuck = landed.length < batch.length && batch.some((run) => !run.isDurable && file.pending.includes(run));
    if (stuck) break;
    await commitBatch(host, file, landed);
    left -= batch.length;
  }
  if (failure !== null) throw failure;
}

function sealRuns(file: VfsFile, kind: RoundKind): void {
  const last = file.pending.at(-1);
  for (const run of [...file.pending]) {
    if (run.sealed) continue;
    const young = kind === 'AGED' && run === last && performance.now() - file.dirtySinceMs < limits.partialBlockMs;
    if (!young) {
      file.streak = 0;
      run.seal();
    } else if (run.canSplit) {
      file.pending.push(run.splitTail());
    } else if (!run.hasTail) {
      run.seal();
    }
  }
}

/** The oldest sealed runs, as many as one request takes. */
function nextBatch(file: VfsFile, most: number): Run[] {
  const batch: Run[] = [];
  const chunks = new Set<number>();
  for (const run of file.pending) {
    if (!run.sealed || batch.length === most) break;
    chunks.add(Math.floor(run.start / limits.chunkBytes));
    if (chunks.size > limits.chunksPerCommit) break;
    batch.push(run);
  }
  return batch;
}

/** Waits for the runs to be on disk; drops those that cannot be written. Answers the first error. */
async function settle(file: VfsFile, batch: readonly Run[]): Promise<OfsError | null> {
  const results = await Promise.allSettled(batch.map((run) => run.settled()));
  let failure: OfsError | null = null;
  for (let index = 0; index < batch.length; index++) {
    const result = results[index]!;
    if (result.status === 'fulfilled') continue;
    const error = asOfsError(result.reason);
    failure ??= error;
    if (!mayRetry(file, error)) drop(file, [batch[index]!], error);
  }
  return failure;
}

async function commitBatch(host: CommitHost, file: VfsFile, batch: readonly Run[]): Promise<void> {
  let runs = batch;
  for (;;) {
    const session = host.blocks.session;
    try {
      await host.meta.session(host.group);
      if (!runs.every((run) => run.isOf(session))) runs = await rewriteAll(host, file, runs);
      else return finish(host, file, runs, await commitOnce(host, file, runs, session));
    } catch (error) {
      const failure = asOfsError(error);
      if (failure.status === Status.SESSION_ENDED && (await sessionChanged(host, session))) continue;
      if (!mayRetry(file, failure)) drop(file, runs, failure);
      throw failure;
    }
  }
}

type Committed = { attr: Attr; crowded: number[] };

async function commitOnce(
  host: CommitHost,
  file: VfsFile,
  runs: readonly Run[],
  session: number,
): Promise<Committed & { chunks: Chunk[] }> {
  const chunks = slicesByChunk(runs);
  if (chunks.length === 0) return { attr: file.attr, crowded: [], chunks };
  let size = 0;
  for (const run of runs) size = Math.max(size, run.end);
  const request = { inode: file.inode, session, chunks, size, mtime: file.mtime };
  const answer = await host.meta.call('chunkCommit', host.group, request);
  return { ...answer, chunks };
}

/** In one turn: what was pending is committed, so that a reader finds it here or there, never twice nor nowhere. */
function finish(
  host: CommitHost,
  file: VfsFile,
  runs: readonly Run[],
  { attr, crowded, chunks }: Committed & { chunks: Chunk[] },
): void {
  const done = new Set(runs);
  file.pending = file.pending.filter((run) => !done.has(run));
  if (attr.version === file.attr.version + 1) {
    file.chunks.append(attr.version, chunks, Math.ceil(file.attr.size / limits.chunkBytes));
    file.attr = attr;
  } else {
    file.learn(attr);
  }
  file.dirtySinceMs = performance.now();
  if (crowded.length > 0) host.onCrowded(file, crowded);
}

function slicesByChunk(runs: readonly Run[]): Chunk[] {
  const chunks = new Map<number, Chunk>();
  for (const run of runs) {
    if (run.length === 0) continue;
    const index = Math.floor(run.start / limits.chunkBytes);
    let chunk = chunks.get(index);
    if (chunk === undefined) {
      chunk = { chunk: index, slices: [] };
      chunks.set(index, chunk);
    }
    chunk.slices.push(...run.slices());
  }
  return [...chunks.values()].sort((left, right) => left.chunk - right.chunk);
}

/** Waits for the client's new session after one has ended. */
async function sessionChanged(host: CommitHost, ended: number): Promise<boolean> {
  const deadline = performance.now() + limits.sessionLifetimeMs;
  while (host.blocks.session === ended) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, SESSION_POLL_MS));
  }
  return true;
}

/** The same runs, written again under the session of now; they take their places in what is pending. */
async function rewriteAll(host: CommitHost, file: VfsFile, runs: readonly Run[]): Promise<Run[]> {
  const session = host.blocks.session;
  const rewritten: Run[] = [];
  for (const run of runs) {
    const copy = run.isOf(session) ? run : await rewrite(host, run);
    const place = file.pending.indexOf(run);
    file.pending[place] = copy;
    rewritten.push(copy);
  }
  return rewritten;
}

async function rewrite(host: CommitHost, run: Run): Promise<Run> {
  const copy = new Run(host.space, run.start, run.limit);
  try {
    for (const slice of run.slices()) {
      for (let done = 0; done < slice.length; done += limits.blockBytes) {
        const length = Math.min(limits.blockBytes, slice.length - done);
        const data = await readBlob(host.blocks, slice.blob, done, { length, blobLength: slice.blobLength });
        copy.adopt(await allocate(host.space, length));
        copy.append(data, 0, length);
      }
    }
    copy.seal();
    await copy.settled();
    return copy;
  } catch (error) {
    copy.abort();
    throw error;
  }
}

async function readBlob(
  blocks: BlockStore,
  blob: number,
  offset: number,
  { length, blobLength }: { length: number; blobLength: number },
): Promise<Buffer> {
  const data = Buffer.allocUnsafeSlow(length);
  const parts: BlockPart[] = [];
  partsOfBlob(blob, offset, blobLength, data, parts);
  await readParts(blocks, parts);
  return data;
}

/** Memory of exactly `bytes`, waited for. */
export function allocate(space: Space, bytes: number): Promise<Buffer> {
  const buffer = space.allocate(bytes, bytes);
  if (buffer !== null) return Promise.resolve(buffer);
  return new Promise((resolve) => space.wait({ wantBytes: bytes, floorBytes: bytes, give: resolve }));
}

/** Whether the data is kept for another attempt after this error. */
function mayRetry(file: VfsFile, error: OfsError): boolean {
  return PASSING.has(error.status) && file.failedCommits + 1 < limits.commitAttempts;
}

function drop(file: VfsFile, runs: readonly Run[], error: OfsError): void {
  file.error ??= error;
  const dropped = new Set(runs);
  file.pending = file.pending.filter((run) => !dropped.has(run));
  file.generation++;
  for (const run of runs) run.abort();
}

function asOfsError(error: unknown): OfsError {
  if (error instanceof OfsError) return error;
  throw error;
}
