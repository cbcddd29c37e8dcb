// The files of the log: which hold records that are needed, which are ready to be written, which wait to be used
// again. Guarantees: a segment is complete on disk, under its name, before a batch is placed in it, so that writing one
// never needs space; numbers only rise; files leave from the old end only, so what is left is one piece. A disk without
// room for a new segment is a state (`full`), not an error: it is tried again until there is room.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import type { Clock } from '../clock.js';
import type { WalFile, WalStorage } from './storage.js';

/** Places are segment number × span + offset: 2^27 segments of 64 MiB, 8 PiB written in the life of a log. */
const PLACE_SPAN = limits.walSegmentBytes;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER / PLACE_SPAN;
const TEMPORARY = 'new.tmp';

export class Segment {
  /** Where the next batch goes. */
  used = 0;
  /** Offsets of the batches, rising. */
  readonly batches: number[] = [];
  /** The highest entry of each group that has one here. */
  readonly highest = new Map<number, number>();

  constructor(
    readonly number: number,
    readonly file: WalFile,
    readonly bytes: number,
  ) {
    assert(bytes <= PLACE_SPAN);
  }

  place(offset: number): number {
    return this.number * PLACE_SPAN + offset;
  }

  noteEntry(group: number, index: number): void {
    const known = this.highest.get(group);
    if (known === undefined || known < index) this.highest.set(group, index);
  }
}

export function placeSegment(place: number): number {
  return Math.floor(place / PLACE_SPAN);
}

export function placeOffset(place: number): number {
  return place % PLACE_SPAN;
}

export function segmentName(number: number): string {
  return `${String(number).padStart(16, '0')}.wal`;
}

/** The number in the name of a segment, undefined for other files. */
export function segmentNumber(name: string): number | undefined {
  return /^\d{16}\.wal$/.test(name) ? Number(name.slice(0, 16)) : undefined;
}

export function isTemporary(name: string): boolean {
  return name === TEMPORARY;
}

export function write(file: WalFile, buffer: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(buffer, position, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Overwrites a range with zeros, on disk when it resolves. */
export async function writeZeros(file: WalFile, start: number, end: number): Promise<void> {
  const zeros = Buffer.alloc(Math.min(limits.walFillBytes, Math.max(0, end - start)));
  for (let at = start; at < end; at += zeros.length) {
    await write(file, zeros.subarray(0, Math.min(zeros.length, end - at)), at);
  }
}

function isNoSpace(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

export interface SegmentsOptions {
  readonly storage: WalStorage;
  readonly segmentBytes: number;
  readonly retryMs: number;
  readonly clock: Pick<Clock, 'after'>;
  /** Something changed: a segment is ready, or none can be made for lack of space. */
  readonly onChange: () => void;
  readonly onFailure: (error: Error) => void;
  readonly warn: (message: string) => void;
}

export class Segments {
  /** Oldest first; the last is written. */
  readonly live: Segment[] = [];
  readonly prepared: Segment[] = [];
  readonly free: Segment[] = [];
  nextNumber = 1;
  /** The disk has no room for another segment. */
  full = false;
  private working: Promise<void> | undefined;
  private cancelRetry: (() => void) | undefined;
  private closed = false;

  constructor(private readonly options: SegmentsOptions) {}

  get current(): Segment | undefined {
    return this.live.at(-1);
  }

  byNumber(number: number): Segment {
    let low = 0;
    let high = this.live.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.live[middle]!.number < number) low = middle + 1;
      else high = middle;
    }
    const segment = this.live[low];
    assert(segment !== undefined && segment.number === number, `segment ${number} is not in the log`);
    return segment;
  }

  /** Begins to write the next prepared segment; undefined if there is none. */
  advance(): Segment | undefined {
    const segment = this.prepared.shift();
    if (segment === undefined) return undefined;
    this.live.push(segment);
    this.maintain();
    return segment;
  }

  /** A group is gone: its entries are needed by nobody, whatever a group of its number writes later. */
  forget(group: number): void {
    for (const segment of this.live) segment.highest.delete(group);
  }

  /** Gives up the oldest segments that are not needed. What makes them so must be on disk. */
  release(needed: (segment: Segment) => boolean): void {
    let released = false;
    while (this.live.length > 1 && !needed(this.live[0]!)) {
      this.free.push(this.live.shift()!);
      released = true;
    }
    if (released) this.maintain();
  }

  /** Sees to it, beside everything else, that segments are prepared and no more are kept than the limit. */
  maintain(): void {
    if (this.closed || this.working !== undefined || this.satisfied()) return;
    this.cancelRetry?.();
    this.working = this.work()
      .then(() => this.worked())
      .catch(this.options.onFailure);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.cancelRetry?.();
    await this.working;
    for (const segment of [...this.live, ...this.prepared, ...this.free]) await segment.file.close();
  }

  private satisfied(): boolean {
    return this.prepared.length >= limits.walPreparedSegments && this.free.length <= limits.walRecycledSegments;
  }

  private worked(): void {
    this.working = undefined;
    if (this.full && !this.closed) {
      this.cancelRetry = this.options.clock.after(this.options.retryMs, () => this.maintain());
    }
    this.options.onChange();
    if (!this.full) this.maintain();
  }

  private async work(): Promise<void> {
    if (this.prepared.length >= limits.walPreparedSegments) return this.removeOldest();
    const recycled = this.free[0];
    try {
      if (recycled !== undefined && recycled.bytes === this.options.segmentBytes) await this.recycle(recycled);
      else if (recycled !== undefined) await this.removeOldest();
      else await this.make();
      this.full = false;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      if (!this.full) this.options.warn(`no space for a new log segment: ${(error as Error).message}; trying again`);
      this.full = true;
      await this.options.storage.remove(TEMPORARY);
    }
  }

  private takeNumber(): number {
    assert(this.nextNumber < NUMBER_MAX, 'the log has used all its segment numbers');
    return this.nextNumber++;
  }

  private async recycle(segment: Segment): Promise<void> {
    const number = this.takeNumber();
    await this.options.storage.rename(segmentName(segment.number), segmentName(number));
    this.free.shift();
    this.prepared.push(new Segment(number, segment.file, segment.bytes));
  }

  private async make(): Promise<void> {
    const file = await this.options.storage.create(TEMPORARY);
    const { segmentBytes } = this.options;
    const number = this.takeNumber();
    try {
      await writeZeros(file, 0, segmentBytes);
      await file.sync();
      await this.options.storage.rename(TEMPORARY, segmentName(number));
    } catch (error) {
      await file.close();
      throw error;
    }
    this.prepared.push(new Segment(number, file, segmentBytes));
  }

  private async removeOldest(): Promise<void> {
    const segment = this.free[0]!;
    await this.options.storage.remove(segmentName(segment.number));
    this.free.shift();
    await segment.file.close();
  }
}
