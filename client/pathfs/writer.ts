// The content of one upload on its way into blobs. Its memory follows what arrives: exact for a small body of known
// length, growing from limits.writerStartBytes for an unknown one, whole blocks for a long one; with memory short it
// takes what there is and ends a blob early rather than hold a block that it cannot fill (client/blocks/space.ts).

import { limits } from '../../proto/limits.js';
import type { Chunk } from '../../proto/meta/index.js';
import { type Holder, Run, type Space, type SpaceRequest } from '../blocks/index.js';
import type { ObjectWriter } from './interface.js';

const GROWTH = 4;

export class BlobObjectWriter implements ObjectWriter, Holder, SpaceRequest {
  size = 0;
  sinceMs = 0;
  readonly patienceMs = limits.writerPatienceMs;
  wantBytes = 0;
  floorBytes = 0;
  lateFloorBytes = 0;
  private stored = 0;
  private run: Run | null = null;
  private readonly runs: Run[] = [];
  /** Pieces that came when there was no memory: at most those of one turn of the connection. */
  private readonly held: Buffer[] = [];
  private waiting = false;
  private aborted = false;
  /** A run stands still: nothing more is taken, and `finish` says why. */
  private failed = false;
  private drain: (() => void) | null = null;
  private finished: Promise<Chunk[]> | null = null;
  private onStored: (() => void) | null = null;

  constructor(
    private readonly space: Space,
    private readonly sizeHint: number,
  ) {}

  write(piece: Uint8Array): boolean {
    this.size += piece.length;
    if (this.aborted || this.failed) return true;
    let taken = 0;
    if (this.held.length === 0) taken = this.take(piece);
    if (taken < piece.length) this.held.push(Buffer.from(piece.subarray(taken)));
    return this.held.length === 0;
  }

  onDrain(callback: () => void): void {
    if (this.held.length === 0) queueMicrotask(callback);
    else this.drain = callback;
  }

  finish(): Promise<Chunk[]> {
    this.finished ??= this.complete();
    return this.finished;
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    if (this.waiting) this.space.cancel(this);
    this.waiting = false;
    this.space.delist(this);
    for (const run of this.runs) run.abort();
    this.held.length = 0;
    this.advance();
  }

  give(buffer: Buffer): void {
    this.waiting = false;
    this.adopt(buffer);
    this.advance();
  }

  cut(): number {
    this.space.delist(this);
    const bytes = this.run?.tailBytes ?? 0;
    this.endRun();
    return bytes;
  }

  private async complete(): Promise<Chunk[]> {
    if (this.held.length > 0) await new Promise<void>((resolve) => (this.onStored = resolve));
    this.endRun();
    await Promise.all(this.runs.map((run) => run.settled()));
    return chunksOf(this.runs);
  }

  /** Goes on with what is held, after memory or a block's answer has come. */
  private advance(): void {
    if (this.waiting) return;
    if (this.failed) this.held.length = 0;
    for (let piece = this.held[0]; piece !== undefined; piece = this.held[0]) {
      const taken = this.take(piece);
      if (taken < piece.length) {
        this.held[0] = piece.subarray(taken);
        return;
      }
      this.held.shift();
    }
    const { drain, onStored } = this;
    this.drain = null;
    drain?.();
    if (this.held.length === 0) onStored?.();
  }

  private take(piece: Uint8Array): number {
    let at = 0;
    while (at < piece.length) {
      const run = this.currentRun();
      const bytes = run.append(piece, at, piece.length);
      at += bytes;
      this.stored += bytes;
      if (!run.hasTail) this.space.delist(this);
      if (run.sealed) this.run = null;
      else if (at < piece.length && run.room === 0 && !this.provide(run, piece.length - at)) break;
    }
    return at;
  }

  private currentRun(): Run {
    if (this.run !== null) return this.run;
    const run = new Run(this.space, this.stored, limits.chunkBytes - (this.stored % limits.chunkBytes));
    run.onProgress = () => {
      this.failed ||= run.error !== null;
      this.advance();
    };
    this.runs.push(run);
    this.run = run;
    return run;
  }

  /** Memory for the run's next block, or more of it for the block that is full; false when it must be waited for. */
  private provide(run: Run, atHand: number): boolean {
    if (run.hasTail) return this.enlarge(run);
    if (this.pendingBlocks() >= limits.blocksInFlightPerWriter) return false;
    this.wantBytes = this.wish(run, atHand);
    this.floorBytes = Math.min(this.wantBytes, limits.writerFloorBytes);
    this.lateFloorBytes = Math.min(this.wantBytes, limits.writerStartBytes);
    const buffer = this.space.allocate(this.wantBytes, this.floorBytes);
    if (buffer !== null) {
      this.adopt(buffer);
      return true;
    }
    this.waiting = true;
    this.space.wait(this);
    return false;
  }

  private wish(run: Run, atHand: number): number {
    const left = this.sizeHint - this.stored;
    const expected = left > 0 ? left : this.stored * GROWTH;
    const least = left > 0 ? 1 : limits.writerStartBytes;
    return Math.min(run.blockLimit, powerOfTwo(Math.max(expected, atHand, least)));
  }

  private enlarge(run: Run): boolean {
    const want = Math.min(run.blockLimit, run.tailBytes * GROWTH);
    const buffer = this.space.allocate(want, Math.min(want, run.tailBytes * 2));
    if (buffer === null) this.endRun();
    else this.adopt(buffer);
    return true;
  }

  private adopt(buffer: Buffer): void {
    this.sinceMs = performance.now();
    this.currentRun().adopt(buffer);
    this.space.enlist(this);
  }

  private endRun(): void {
    this.space.delist(this);
    this.run?.seal();
    this.run = null;
  }

  private pendingBlocks(): number {
    let blocks = 0;
    for (const run of this.runs) blocks += run.pendingBlocks;
    return blocks;
  }
}

/** The slices of runs that are in order of their offsets, by chunk. */
export function chunksOf(runs: readonly Run[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (const run of runs) {
    if (run.length === 0) continue;
    const chunk = Math.floor(run.start / limits.chunkBytes);
    const last = chunks.at(-1);
    if (last?.chunk === chunk) last.slices.push(...run.slices());
    else chunks.push({ chunk, slices: run.slices() });
  }
  return chunks;
}

function powerOfTwo(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}
