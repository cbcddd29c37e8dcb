// What a handler learns beyond its view and its request, on the owner thread: the time, which never goes back, the
// sessions, and randomness.

import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { limits } from '../../proto/limits.js';
import type { Time } from '../../proto/meta/index.js';
import type { NeedleSpan } from '../block/index.js';
import type { Sessions } from './sessions.js';
import type { BlockBytes, WriteContext } from './view.js';

/** Fills `target` with the first bytes of a block, checked, if that costs no waiting; null otherwise. */
export type ReadBlock = (block: number, target: Buffer) => Readonly<NeedleSpan> | null;

const NANOSECONDS_PER_MS = 1_000_000;

export class GroupContext implements WriteContext {
  private readonly random = Buffer.alloc(4096);
  private readonly blockBuffer = Buffer.allocUnsafeSlow(limits.inlineBytes);
  private randomAt = this.random.length;
  private lastMs = 0;
  now: Time = { sec: 0, nsec: 0 };

  constructor(
    readonly partition: number,
    private readonly sessions: Sessions,
    private readonly wallClock: () => number,
    private readonly readBlock: ReadBlock,
  ) {}

  /** Sets `now`, which never goes back. */
  tick(): void {
    const nowMs = Math.max(this.lastMs, this.wallClock());
    if (nowMs === this.lastMs) return;
    this.lastMs = nowMs;
    this.now = { sec: Math.floor(nowMs / 1000), nsec: (nowMs % 1000) * NANOSECONDS_PER_MS };
  }

  get nowMs(): number {
    return this.lastMs;
  }

  holds(inode: number): boolean {
    return this.sessions.holds(inode);
  }

  blockBytes(block: number, length: number): BlockBytes | null {
    const bytes = this.blockBuffer.subarray(0, length);
    const span = this.readBlock(block, bytes);
    return span === null ? null : { block, crc: crc32(bytes), position: span.position, until: span.until, bytes };
  }

  sessionAlive(session: number): boolean {
    return this.sessions.alive(session);
  }

  token(): string {
    if (this.randomAt === this.random.length) {
      randomFillSync(this.random);
      this.randomAt = 0;
    }
    this.randomAt += 16;
    return this.random.toString('hex', this.randomAt - 16, this.randomAt);
  }
}
