// The memory that writers of one block store share. Requests that find none wait in one line, first come first served,
// so nobody starves. Memory comes back by itself from blocks on their way to disk; what lies in blocks still being
// filled comes back because their holders are told to send them short (`cut`), oldest first, once others wait. A writer
// that waits holds nothing but blocks on their way. So the line always moves, whoever is slow.

import assert from 'node:assert';
import { limits } from '../../proto/limits.js';
import type { BlockStore } from './interface.js';

export interface SpaceRequest {
  /** Bytes that would be best, and the fewest that are of use. */
  readonly wantBytes: number;
  readonly floorBytes: number;
  /** Fewer still, that will do after a while of waiting. */
  readonly lateFloorBytes?: number;
  /** Called once, with a buffer of `floorBytes` to `wantBytes`. */
  give(buffer: Buffer): void;
}

/** Somebody with a block that is being filled. */
export interface Holder {
  /** Since when, on the clock of performance.now(). */
  readonly sinceMs: number;
  /** How long it may go on filling while others wait. */
  readonly patienceMs: number;
  /** Sends what it holds as it is, and leaves the list. Answers the bytes that will come back. */
  cut(): number;
}

interface Waiter {
  readonly request: SpaceRequest;
  readonly sinceMs: number;
}

const TICK_MS = 50;
/** When the late floor of a request holds. */
const LATE_AFTER_MS = 100;

export class Space {
  /** Bytes that writers hold, as allocated. */
  heldBytes = 0;
  /** Of them, bytes of blocks on their way to disk. */
  inFlightBytes = 0;
  private readonly waiters: Waiter[] = [];
  private readonly holders = new Set<Holder>();
  private armed = false;
  private ticker: NodeJS.Timeout | null = null;

  constructor(
    readonly store: BlockStore,
    private readonly budgetBytes: number,
  ) {}

  get waiting(): number {
    return this.waiters.length;
  }

  /** A buffer of `floorBytes` to `wantBytes`; null when there is none or others wait: then `wait`. */
  allocate(wantBytes: number, floorBytes: number): Buffer | null {
    return this.waiters.length > 0 ? null : this.take(wantBytes, floorBytes);
  }

  release(buffer: Buffer): void {
    this.heldBytes -= buffer.length;
    this.store.release(buffer);
  }

  wait(request: SpaceRequest): void {
    assert(request.floorBytes <= request.wantBytes && request.wantBytes <= limits.blockBytes);
    this.waiters.push({ request, sinceMs: performance.now() });
    if (this.waiters.length === 1) this.press();
    this.arm();
  }

  cancel(request: SpaceRequest): void {
    const index = this.waiters.findIndex((waiter) => waiter.request === request);
    if (index >= 0) this.waiters.splice(index, 1);
    if (this.waiters.length === 0) this.disarm();
  }

  /** In order of `sinceMs`: a holder enlists when it begins to fill a block. */
  enlist(holder: Holder): void {
    this.holders.delete(holder);
    this.holders.add(holder);
  }

  delist(holder: Holder): void {
    this.holders.delete(holder);
  }

  private take(wantBytes: number, floorBytes: number): Buffer | null {
    for (let bytes = wantBytes; ; bytes = Math.max(floorBytes, bytes >>> 1)) {
      if (this.heldBytes + bytes <= this.budgetBytes) {
        const buffer = this.store.allocate(bytes);
        if (buffer !== null) {
          this.heldBytes += buffer.length;
          return buffer;
        }
      }
      if (bytes === floorBytes) return null;
    }
  }

  private arm(): void {
    this.ticker ??= setInterval(() => this.press(), TICK_MS);
    if (this.armed) return;
    this.armed = true;
    this.store.onSpace(this.serve);
  }

  private disarm(): void {
    if (this.ticker !== null) clearInterval(this.ticker);
    this.ticker = null;
  }

  private readonly serve = (): void => {
    this.armed = false;
    const now = performance.now();
    for (let waiter = this.waiters[0]; waiter !== undefined; waiter = this.waiters[0]) {
      const { wantBytes, floorBytes, lateFloorBytes = floorBytes } = waiter.request;
      const late = now - waiter.sinceMs > LATE_AFTER_MS;
      const buffer = this.take(wantBytes, late ? lateFloorBytes : floorBytes);
      if (buffer === null) break;
      this.waiters.shift();
      waiter.request.give(buffer);
    }
    if (this.waiters.length > 0) this.arm();
    else this.disarm();
  };

  /** Has holders send what they hold, oldest first, until what is on its way covers what is asked for. */
  private press(): void {
    let missing = -this.inFlightBytes;
    for (const waiter of this.waiters) missing += waiter.request.wantBytes;
    const now = performance.now();
    for (const holder of this.holders) {
      if (missing <= 0) return;
      if (now - holder.sinceMs >= holder.patienceMs) missing -= holder.cut();
    }
  }
}

const spaces = new WeakMap<BlockStore, Space>();

/** The one Space of a store. */
export function spaceOf(store: BlockStore): Space {
  let space = spaces.get(store);
  if (space === undefined) {
    space = new Space(store, limits.writeBufferBytes);
    spaces.set(store, space);
  }
  return space;
}
