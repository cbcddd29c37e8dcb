// A slab: shared memory out of which one thread, its owner, gives out spans for payloads, so that other threads read
// them where they lie. A buddy allocator (Knowlton 1965): spans are powers of two, split on the way down and joined
// with their other half when both are free, so memory never stays in pieces once it is given back. The owner alone
// allocates and releases; the books are in its private memory. A release that is not owed (twice, or of bytes that came
// from elsewhere) is an assert.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { limits } from '../../proto/limits.js';

const MIN_SHIFT = Math.log2(limits.slabMinBytes);
const TOP_ORDER = Math.log2(limits.slabMaxBytes) - MIN_SHIFT;
const NONE = -1;

const State = { INSIDE: 0, FREE: 1, USED: 2 } as const;

/** Shared memory for a slab: a multiple of limits.slabMaxBytes, below 4 GiB (offsets travel as 32-bit words). */
export function createSlab(bytes: number): SharedArrayBuffer {
  if (bytes <= 0 || bytes >= 2 ** 32 || bytes % limits.slabMaxBytes !== 0) {
    throw new RangeError(`a slab has a multiple of ${limits.slabMaxBytes} bytes below 4 GiB, not ${bytes}`);
  }
  return new SharedArrayBuffer(bytes);
}

/** A view of a span of somebody's slab, for a thread that was told where it lies. */
export function viewSlab(shared: SharedArrayBuffer, offset: number, length: number): Buffer {
  assert(offset >= 0 && offset + length <= shared.byteLength, 'span outside the slab');
  return Buffer.from(shared, offset, length);
}

export class Slab {
  /** Bytes given out, in whole spans. */
  usedBytes = 0;
  /** Per unit of limits.slabMinBytes: what begins there, of which order, and its neighbours in the list of free spans. */
  private readonly states: Uint8Array;
  private readonly orders: Uint8Array;
  private readonly nexts: Int32Array;
  private readonly previouses: Int32Array;
  /** The view handed out for each used span: only that very view is taken back. */
  private readonly holders: (Buffer | null)[];
  private readonly freeHeads = new Int32Array(TOP_ORDER + 1).fill(NONE);
  private waiters: (() => void)[] = [];
  private wakeScheduled = false;
  private serving = false;
  /** Whether the waiter being served found too little, and whether it asked again and so keeps its place. */
  private servedInVain = false;
  private keepsPlace = false;

  constructor(readonly shared: SharedArrayBuffer) {
    const units = shared.byteLength >> MIN_SHIFT;
    assert(units > 0 && shared.byteLength % limits.slabMaxBytes === 0, 'slab memory of a wrong size');
    this.states = new Uint8Array(units);
    this.orders = new Uint8Array(units);
    this.nexts = new Int32Array(units).fill(NONE);
    this.previouses = new Int32Array(units).fill(NONE);
    this.holders = new Array<Buffer | null>(units).fill(null);
    for (let unit = units - (1 << TOP_ORDER); unit >= 0; unit -= 1 << TOP_ORDER) this.pushFree(unit, TOP_ORDER);
  }

  /**
   * A view of `bytes` bytes (1 to limits.slabMaxBytes) with whatever they held before, or null when no span is free or
   * others wait for one (`onSpace`): newcomers stand behind them.
   */
  allocate(bytes: number): Buffer | null {
    assert(bytes > 0 && bytes <= limits.slabMaxBytes, 'span of an impossible length');
    if (this.waiters.length > 0 && !this.serving) return null;
    const wanted = orderFor(bytes);
    let order = wanted;
    while (order <= TOP_ORDER && this.freeHeads[order] === NONE) order++;
    if (order > TOP_ORDER) {
      this.servedInVain = this.serving;
      return null;
    }
    const unit = this.freeHeads[order]!;
    this.removeFree(unit);
    while (order > wanted) {
      order--;
      this.pushFree(unit + (1 << order), order);
    }
    this.states[unit] = State.USED;
    this.orders[unit] = wanted;
    this.usedBytes += limits.slabMinBytes << wanted;
    const view = Buffer.from(this.shared, unit << MIN_SHIFT, bytes);
    this.holders[unit] = view;
    return view;
  }

  /** Takes back a view that `allocate` gave, that very object, once. */
  release(view: Buffer): void {
    assert(view.buffer === this.shared, 'released bytes that are not of this slab');
    let unit = view.byteOffset >>> MIN_SHIFT;
    assert(this.states[unit] === State.USED && this.holders[unit] === view, 'released a span that is not given out');
    this.holders[unit] = null;
    let order = this.orders[unit]!;
    this.usedBytes -= limits.slabMinBytes << order;
    this.states[unit] = State.INSIDE;
    while (order < TOP_ORDER) {
      const buddy = unit ^ (1 << order);
      if (this.states[buddy] !== State.FREE || this.orders[buddy] !== order) break;
      this.removeFree(buddy);
      unit = Math.min(unit, buddy);
      order++;
    }
    this.pushFree(unit, order);
    if (this.waiters.length > 0) this.scheduleWake();
  }

  /** Where a view (also a part of one) of this slab lies, for `viewSlab` elsewhere. */
  offsetOf(view: Uint8Array): number {
    assert(this.owns(view), 'view of bytes that are not of this slab');
    return view.byteOffset;
  }

  owns(view: Uint8Array): boolean {
    return view.buffer === this.shared;
  }

  /**
   * Calls back once, in order of asking, on a turn after space was released. One that is called back, still finds too
   * little and asks again at once keeps its place at the front, and those behind it wait. False, and nothing is
   * kept, when limits.slabWaiters wait already.
   */
  onSpace(callback: () => void): boolean {
    if (this.waiters.length >= limits.slabWaiters) return false;
    if (this.servedInVain && !this.keepsPlace) {
      this.keepsPlace = true;
      this.waiters.unshift(callback);
    } else this.waiters.push(callback);
    // With nothing given out, no release will come.
    if (this.usedBytes === 0) this.scheduleWake();
    return true;
  }

  private scheduleWake(): void {
    if (this.wakeScheduled) return;
    this.wakeScheduled = true;
    setImmediate(this.wake);
  }

  private readonly wake = (): void => {
    this.wakeScheduled = false;
    for (let rest = this.waiters.length; rest > 0; rest--) {
      const callback = this.waiters.shift()!; // There are at least `rest`.
      this.serving = true;
      this.servedInVain = false;
      this.keepsPlace = false;
      callback();
      this.serving = false;
      if (!this.keepsPlace) continue;
      this.servedInVain = false;
      return;
    }
    this.servedInVain = false;
    // Those who asked while others were served.
    if (this.waiters.length > 0) this.scheduleWake();
  };

  private pushFree(unit: number, order: number): void {
    const head = this.freeHeads[order]!;
    this.states[unit] = State.FREE;
    this.orders[unit] = order;
    this.previouses[unit] = NONE;
    this.nexts[unit] = head;
    if (head !== NONE) this.previouses[head] = unit;
    this.freeHeads[order] = unit;
  }

  private removeFree(unit: number): void {
    const order = this.orders[unit]!;
    const next = this.nexts[unit]!;
    const previous = this.previouses[unit]!;
    if (previous === NONE) this.freeHeads[order] = next;
    else this.nexts[previous] = next;
    if (next !== NONE) this.previouses[next] = previous;
    this.states[unit] = State.INSIDE;
  }
}

function orderFor(bytes: number): number {
  const units = (bytes + limits.slabMinBytes - 1) >>> MIN_SHIFT;
  return units <= 1 ? 0 : 32 - Math.clz32(units - 1);
}
