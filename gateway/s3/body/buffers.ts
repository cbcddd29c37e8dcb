// The buffers that large reads of a thread go through: a fixed number, so that slow clients cannot take its memory. A
// stream whose client does not take what it was sent parks here with the buffers it has; whoever needs one takes it
// from the one that has been parked longest, which will read those bytes again.

import { Buffer } from 'node:buffer';
import { limits } from '../../../proto/limits.js';

/** A stream that waits for its client. */
export interface Parked {
  /** Gives up a buffer that it can do without; undefined when it has none left. */
  surrender(): Buffer | undefined;
  /** Told once a second, with how long it has been parked. */
  stillParked(ms: number): void;
}

const TICK_MS = 1000;

export class ReadBuffers {
  private readonly free: Buffer[] = [];
  private made = 0;
  private readonly waiting: ((buffer: Buffer) => void)[] = [];
  private readonly parked = new Map<Parked, number>();
  private readonly lenders = new Set<Parked>();
  private timer: NodeJS.Timeout | undefined;

  /** A buffer of limits.s3ReadPieceBytes at once, or when one is free. */
  take(): Buffer | Promise<Buffer> {
    const free = this.free.pop() ?? this.make() ?? this.reclaim();
    return free ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(buffer);
    else next(buffer);
  }

  /** Whether somebody waits. */
  get scarce(): boolean {
    return this.waiting.length > 0;
  }

  park(stream: Parked): void {
    this.parked.set(stream, performance.now());
    this.lenders.add(stream);
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
    while (this.waiting.length > 0) {
      const buffer = stream.surrender();
      if (buffer === undefined) return;
      this.give(buffer);
    }
  }

  unpark(stream: Parked): void {
    this.parked.delete(stream);
    this.lenders.delete(stream);
  }

  private make(): Buffer | undefined {
    if (this.made === limits.s3ReadPieces) return undefined;
    this.made++;
    return Buffer.allocUnsafeSlow(limits.s3ReadPieceBytes);
  }

  private reclaim(): Buffer | undefined {
    for (const stream of this.lenders) {
      const buffer = stream.surrender();
      if (buffer !== undefined) return buffer;
      this.lenders.delete(stream);
    }
    return undefined;
  }

  private tick(): void {
    const now = performance.now();
    for (const [stream, since] of this.parked) stream.stillParked(now - since);
    if (this.parked.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
