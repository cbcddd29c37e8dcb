// Compaction (R2.4): a chunk whose row has grown long is read as readers see it and written again in few slices. Long
// stretches that still are most of their blob are kept as they are, only the small ones are joined, so a log that is
// appended to for hours is not rewritten over and over. One chunk at a time, in the background; the service swaps the
// slices only if nobody has changed the ones that were read (BUSY otherwise: somebody is writing, so later).

import { encode } from '../../proto/codec.js';
import { crc32c } from '../../proto/crc32c.js';
import { limits } from '../../proto/limits.js';
import { AttrFlag, chunkRowCodec, mergeSlices, type Segment, type Slice } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type BlockPart, type BlockStore, partsOf, Run, readParts, type Space } from '../blocks/index.js';
import type { MetaChannel } from '../channel/index.js';
import { allocate } from './commit.js';

export interface CompactionHost {
  readonly meta: MetaChannel;
  readonly blocks: BlockStore;
  readonly space: Space;
  readonly group: number;
  warn(message: string): void;
}

/** A stretch of the new row: kept as it is, or [start, end) to be written again. */
type Plan = { keep: Slice } | { start: number; end: number };

export class Compactor {
  private readonly queue = new Map<string, { inode: number; chunk: number }>();
  private running: Promise<void> | null = null;
  private stopped = false;

  constructor(private readonly host: CompactionHost) {}

  add(inode: number, chunks: readonly number[]): void {
    for (const chunk of chunks) {
      if (this.queue.size >= limits.compactionQueue || this.stopped) return;
      this.queue.set(`${inode}/${chunk}`, { inode, chunk });
    }
    this.running ??= this.work();
  }

  /** Resolves when nothing is queued or running. */
  async idle(): Promise<void> {
    while (this.running !== null) await this.running;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.queue.clear();
    await this.idle();
  }

  private async work(): Promise<void> {
    for (const [key, { inode, chunk }] of this.queue) {
      this.queue.delete(key);
      try {
        await compactChunk(this.host, inode, chunk);
      } catch (error) {
        if (!(error instanceof OfsError)) throw error;
        const expected = error.status === Status.BUSY || error.status === Status.NOENT || error.status === Status.STALE;
        if (!expected) this.host.warn(`compacting chunk ${chunk} of inode ${inode}: ${error.message}`);
      }
    }
    this.running = null;
  }
}

/** Rejects with OfsError BUSY when the chunk is being changed by others. */
export async function compactChunk(host: CompactionHost, inode: number, chunk: number): Promise<void> {
  const { attr, chunks } = await host.meta.call('chunkRead', host.group, { inode, first: chunk, count: 1 });
  const slices = chunks.find((candidate) => candidate.chunk === chunk)?.slices ?? [];
  // It may have been compacted since it was called crowded.
  if (slices.length <= limits.slicesPerChunkBeforeCompaction || (attr.flags & AttrFlag.PARTS) !== 0) return;
  const plans = planRow(slices);
  const session = host.blocks.session;
  const runs: Run[] = [];
  try {
    const row: Slice[] = [];
    for (const plan of plans) {
      if ('keep' in plan) row.push(plan.keep);
      else row.push(...(await writeAgain(host, slices, plan, runs)));
    }
    if (row.length >= slices.length) return;
    const check = crc32c(encode(chunkRowCodec, { slices }));
    await host.meta.session(host.group);
    const request = { inode, session, chunk, count: slices.length, check, slices: row };
    await host.meta.call('chunkCompact', host.group, request);
  } catch (error) {
    if (!(error instanceof OfsError) || error.status !== Status.INVAL) throw error;
    // Slices beyond the end: of a file that was cut meanwhile, or a mistake of ours.
    const now = await host.meta.call('getattr', host.group, { inode });
    if (now.attr.version === attr.version) throw error;
  } finally {
    for (const run of runs) run.abort();
  }
}

function planRow(slices: readonly Slice[]): Plan[] {
  const segments = mergeSlices(slices, 0, limits.chunkBytes).filter(({ blob }) => blob !== 0);
  const careful = plan(segments, isWorthKeeping);
  // Where that gains too little, all is written again.
  return careful.length * 2 <= slices.length ? careful : plan(segments, () => false);
}

function isWorthKeeping({ length, blobLength }: Segment): boolean {
  return length >= limits.compactionKeepBytes && length * 2 >= blobLength;
}

function plan(segments: readonly Segment[], keeps: (segment: Segment) => boolean): Plan[] {
  const plans: Plan[] = [];
  for (const segment of segments) {
    const last = plans.at(-1);
    if (keeps(segment)) plans.push({ keep: { ...segment } });
    else if (last !== undefined && 'start' in last && last.end === segment.offset) last.end += segment.length;
    else plans.push({ start: segment.offset, end: segment.offset + segment.length });
  }
  return plans;
}

async function writeAgain(
  host: CompactionHost,
  slices: readonly Slice[],
  { start, end }: { start: number; end: number },
  runs: Run[],
): Promise<Slice[]> {
  const run = new Run(host.space, start, end - start);
  runs.push(run);
  while (run.length < end - start) {
    const length = Math.min(limits.blockBytes, end - run.end);
    const data = Buffer.allocUnsafeSlow(length);
    const parts: BlockPart[] = [];
    partsOf(slices, run.end, data, parts);
    await readParts(host.blocks, parts);
    run.adopt(await allocate(host.space, length));
    run.append(data, 0, length);
  }
  run.seal();
  await run.settled();
  return run.slices();
}
