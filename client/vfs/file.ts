// One file that this client has open or has unwritten bytes of: attributes and slices as the service knows them, and on
// top, in order of writing, the runs that are not committed yet. A read is planned in one turn (`plan`): bytes that are
// in memory are copied at once, the rest becomes reads of blocks, which never change; so a reader sees the file as of
// that turn, takes no lock and makes nobody flush (R5.3).

import assert from 'node:assert';
import { limits } from '../../proto/limits.js';
import { type Attr, AttrFlag, mergeSlices, type Segment, type Slice, type Time } from '../../proto/meta/index.js';
import type { OfsError } from '../../proto/status.js';
import { type BlockPart, partsOfBlob, type Run } from '../blocks/index.js';
import { ChunkCache } from '../cache/index.js';

const CHUNK = limits.chunkBytes;

export class VfsFile {
  /** Open handles. */
  handles = 0;
  /** As the service last said; its size and times are without what is pending. */
  attr: Attr;
  readonly chunks = new ChunkCache();
  /** Not committed, oldest first; a later one covers an earlier one. */
  pending: Run[] = [];
  /** When the last write of what is pending was, on this client's clock. */
  mtime: Time = { sec: 0, nsec: 0 };
  /** When the oldest pending run was begun, on the clock of performance.now(). */
  dirtySinceMs = 0;
  /** Where the last write ended, and how many bytes were written in a row up to there. */
  lastEnd = 0;
  streak = 0;
  /** Bytes written since the last round began. */
  uncommittedBytes = 0;
  /** Why pending bytes were dropped, for the next flush. */
  error: OfsError | null = null;
  /** Extended attributes were set here since the file was opened. */
  xattrsSet = false;
  /** Commits in a row that failed for want of an answer. */
  failedCommits = 0;
  /** Rises with every change of what a read would see: read-ahead of before is void. */
  generation = 0;
  /** Writes are placed one after the other; set while one waits for memory. */
  placing: Promise<void> | null = null;
  /** The last of the commits and truncations under way or waiting, and how many they are. */
  private turn: Promise<unknown> = Promise.resolve();
  private turns = 0;

  constructor(attr: Attr) {
    this.attr = attr;
    this.chunks.setVersion(attr.version);
  }

  get inode(): number {
    return this.attr.inode;
  }

  get hasXattrs(): boolean {
    return this.xattrsSet || (this.attr.flags & AttrFlag.XATTRS) !== 0;
  }

  get dirty(): boolean {
    return this.pending.length > 0;
  }

  get size(): number {
    let size = this.attr.size;
    for (const run of this.pending) size = Math.max(size, run.end);
    return size;
  }

  /** Attributes with what is pending in them. `attr` may be of a moment before what this file knows already. */
  view(attr: Attr): Attr {
    const known = attr.version < this.attr.version ? this.attr : attr;
    const size = this.dirty ? Math.max(known.size, this.size) : known.size;
    if (known === attr && !this.dirty) return attr;
    const mtime = this.dirty ? this.mtime : known.mtime;
    return { ...attr, size, mtime, ctime: this.dirty ? this.mtime : attr.ctime, version: known.version };
  }

  /** Takes attributes that the service answered; those of an older content than known are not taken. */
  learn(attr: Attr): void {
    if (attr.version < this.attr.version) return;
    if (attr.version > this.attr.version) {
      this.chunks.setVersion(attr.version);
      this.generation++;
    }
    this.attr = attr;
  }

  /** One after the other, in order of calling: commits and what must not overtake them. */
  serial<T>(task: () => Promise<T>): Promise<T> {
    const result = this.turn.then(task);
    const ended = (): void => {
      this.turns--;
    };
    this.turns++;
    this.turn = result.then(ended, ended); // its caller has the error
    return result;
  }

  /** Whether a serial task is under way or waiting. */
  get busy(): boolean {
    return this.turns > 0;
  }

  /** The first chunk that [offset, offset + length) needs and the cache has not, or -1. */
  missingChunk(offset: number, length: number): number {
    for (let chunk = Math.floor(offset / CHUNK); chunk * CHUNK < offset + length; chunk++) {
      if (this.committedSlices(chunk) === undefined) return chunk;
    }
    return -1;
  }

  /**
   * Fills `target` from `offset`, as the file is now, with all that is in memory, and appends to `parts` what must be
   * read. No chunk may be missing.
   */
  plan(offset: number, target: Buffer, parts: BlockPart[]): void {
    for (let done = 0; done < target.length; ) {
      const chunk = Math.floor((offset + done) / CHUNK);
      const start = offset + done - chunk * CHUNK;
      const length = Math.min(CHUNK - start, target.length - done);
      this.planChunk(chunk, start, target.subarray(done, done + length), parts);
      done += length;
    }
  }

  private planChunk(chunk: number, start: number, target: Buffer, parts: BlockPart[]): void {
    const committed = this.committedSlices(chunk);
    assert(committed !== undefined);
    const slices = this.dirty ? [...committed, ...this.pendingSlices(chunk)] : committed;
    for (const segment of mergeSlices(slices, start, start + target.length)) {
      const at = segment.offset - start;
      const place = target.subarray(at, at + segment.length);
      if (segment.blob === 0) place.fill(0);
      else if (segment.blob < 0) this.planRun(segment, place, parts);
      else partsOfBlob(segment.blob, segment.blobOffset, segment.blobLength, place, parts);
    }
  }

  /** Pending runs as slices of a chunk; in the place of a blob stands the run: -1 is the first. */
  private pendingSlices(chunk: number): Slice[] {
    const slices: Slice[] = [];
    for (let index = 0; index < this.pending.length; index++) {
      const run = this.pending[index]!;
      if (run.length === 0 || Math.floor(run.start / CHUNK) !== chunk) continue;
      slices.push({
        offset: run.start - chunk * CHUNK,
        length: run.length,
        blob: -1 - index,
        blobOffset: 0,
        blobLength: run.length,
      });
    }
    return slices;
  }

  private planRun(segment: Segment, target: Buffer, parts: BlockPart[]): void {
    const run = this.pending[-1 - segment.blob]!; // from pendingSlices, in this turn
    for (let done = 0; done < target.length; ) {
      const at = segment.blobOffset + done;
      const inBlock = at % limits.blockBytes;
      const length = Math.min(limits.blockBytes - inBlock, target.length - done);
      const place = target.subarray(done, done + length);
      const memory = run.memoryAt(at);
      if (memory !== null) {
        memory.copy(place, 0, inBlock, inBlock + length);
      } else {
        const { block, length: blockLength } = run.blockAt(at);
        parts.push({ block, offset: inBlock, target: place, blockLength });
      }
      done += length;
    }
  }

  private committedSlices(chunk: number): readonly Slice[] | undefined {
    return chunk * CHUNK >= this.attr.size ? [] : this.chunks.get(chunk);
  }
}
