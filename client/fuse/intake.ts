// The engine's side of the device threads: takes requests out of their rings, in turns, and hands each to `begin`.
// Stops taking while the engine has its bound of requests in flight; the rings fill, the threads wait, and the requests
// stay with the kernel. Gives slots back when the engine is done with the payload in them. Looks on for a moment before it
// sleeps, where requests follow each other closely.

import assert from 'node:assert';
import { Worker } from 'node:worker_threads';
import { limits } from '../../proto/limits.js';
import { createDoorbell, Doorbell, RingConsumer } from '../../workers/ring/index.js';
import type { DatabaseData } from './database.js';
import {
  Control,
  createThreadData,
  type Departure,
  type DeviceThreadData,
  FIRST_SLOT,
  FREED,
  INLINE,
  MESSAGE_BYTES,
  SLOT_BYTES,
  SlotState,
} from './shared.js';

/** Where a request lies: valid until `begin` returns, or until `free` when `slot` names one. */
export interface Arrival {
  buffer: Buffer;
  at: number;
  end: number;
  /** Gives the memory of the request back; null when `begin` must not keep it. */
  free: (() => void) | null;
}

export interface IntakeTarget {
  /** False while no more requests may be begun; then `Intake.resume` is called when that has changed. */
  mayBegin(): boolean;
  /** Whether requests are begun and not answered. */
  isBusy(): boolean;
  begin(arrival: Arrival): void;
}

/**
 * How long the intake looks on after it has begun a request, a look per turn of the event loop: about what falling asleep,
 * being rung and waking up cost both sides together. Only where all is answered already, from memory: the service takes
 * longer, and may want this core. Measured with lookups answered from memory, medians: 0.65 of the time with one process,
 * 0.85 with two, the same with four, with no more of the processor's time. Looking on after answers of the service too
 * made those slower, by a tenth with two processes.
 */
const LINGER_MS = 0.05;
/** A request in time earns 1, up to the first; one that came later costs the second. */
const MOST_TRUST = 8;
const LOST_TRUST = 2;

export interface IntakeOptions {
  readonly descriptor: number;
  readonly threads: number;
  /** FlushAccounts.shared. */
  readonly flushWords: SharedArrayBuffer;
  /** PlainFiles.shared. */
  readonly plainFiles: SharedArrayBuffer;
  /** What the threads may read of the volume themselves. */
  readonly database: DatabaseData | null;
}

/** A thread without a free slot reads nothing, so the last ones are not let go of for long. */
const SLOTS_BEFORE_SPILL = limits.fuseWriteSlotsPerThread - 1;

/** Copies of writes that wait, so that they do not keep everything else waiting; a bounded number of bytes. */
class Spill {
  private usedBytes = 0;

  /** Null when the bound is reached. */
  copy(source: Buffer, bytes: number): Arrival | null {
    if (this.usedBytes + bytes > limits.fuseSpillBytes) return null;
    this.usedBytes += bytes;
    const buffer = Buffer.allocUnsafeSlow(bytes);
    source.copy(buffer, 0, 0, bytes);
    const free = () => {
      this.usedBytes -= bytes;
    };
    return { buffer, at: 0, end: bytes, free };
  }
}

class DeviceThread {
  readonly consumer: RingConsumer;
  readonly worker: Worker;
  private readonly slots: Int32Array;
  private readonly buffers: Buffer[] = [];
  private readonly frees: (() => void)[] = [];
  /** Slots that requests in flight lie in. */
  private heldSlots = 0;
  readonly left: Promise<Departure>;

  constructor(
    data: DeviceThreadData,
    private readonly spill: Spill,
  ) {
    this.consumer = new RingConsumer(data.ring, new Doorbell(data.ownBell));
    this.slots = new Int32Array(data.slots);
    const memory = Buffer.from(data.memory);
    for (let slot = 0; slot < limits.fuseWriteSlotsPerThread; slot++) {
      this.buffers.push(memory.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES));
      this.frees.push(() => this.free(slot));
    }
    this.worker = new Worker(new URL('./device-thread.js', import.meta.url), { workerData: data });
    this.left = new Promise((resolve) => {
      let departure: Departure = { reason: 'failed', message: 'the thread ended without a word' };
      this.worker.on('message', (message: Departure) => {
        departure = message;
      });
      this.worker.on('error', (error: unknown) => {
        departure = { reason: 'failed', message: String(error) };
      });
      this.worker.on('exit', () => resolve(departure));
    });
  }

  arrival(): Arrival {
    const { bytes, offset, length } = this.consumer;
    const slot = bytes.readUInt32LE(offset);
    const size = bytes.readUInt32LE(offset + 4);
    if (slot === INLINE) {
      assert(length === MESSAGE_BYTES + size, 'message and request differ in length');
      return { buffer: bytes, at: offset + MESSAGE_BYTES, end: offset + length, free: null };
    }
    this.heldSlots++;
    const buffer = this.buffers[slot]!;
    if (this.heldSlots >= SLOTS_BEFORE_SPILL) {
      const spilled = this.spill.copy(buffer, size);
      if (spilled !== null) {
        this.free(slot);
        return spilled;
      }
    }
    return { buffer, at: 0, end: size, free: this.frees[slot]! };
  }

  private free(slot: number): void {
    this.heldSlots--;
    assert(Atomics.load(this.slots, FIRST_SLOT + slot) === SlotState.ENGINE, 'slot freed twice');
    Atomics.store(this.slots, FIRST_SLOT + slot, SlotState.FREE);
    Atomics.add(this.slots, FREED, 1);
    Atomics.notify(this.slots, FREED);
  }
}

export class Intake {
  private readonly control = new SharedArrayBuffer(Control.WORDS * 4);
  private readonly words = new Int32Array(this.control);
  private readonly bell = new Doorbell(createDoorbell());
  private readonly threads: DeviceThread[] = [];
  /** Whether a turn is running or due. */
  private awake = false;
  private first = 0;
  /** When requests were last begun. */
  private lastMs = 0;
  /** Above 0 where requests come within LINGER_MS of each other. */
  private trust = 0;

  constructor(
    { threads, ...given }: IntakeOptions,
    private readonly target: IntakeTarget,
  ) {
    assert(threads >= 1 && threads <= limits.fuseThreads, `1 to ${limits.fuseThreads} device threads`);
    const spill = new Spill();
    for (let index = 0; index < threads; index++) {
      const shared = { ...given, control: this.control, engineBell: this.bell.shared };
      this.threads.push(new DeviceThread(createThreadData(shared), spill));
    }
  }

  get size(): number {
    return this.threads.length;
  }

  /** How each thread has left the device, when it has. */
  get departures(): Promise<Departure>[] {
    return this.threads.map((thread) => thread.left);
  }

  /** Lets the threads read the device. */
  start(): void {
    Atomics.store(this.words, Control.GO, 1);
    Atomics.notify(this.words, Control.GO);
    this.wake();
  }

  /** From now on a reader that comes upon a statfs answers it itself and leaves. */
  stop(): void {
    Atomics.store(this.words, Control.STOP, 1);
    Atomics.notify(this.words, Control.GO);
  }

  /** The target may begin requests again. */
  resume(): void {
    this.wake();
  }

  /** Resolves when everything that the threads have left behind is begun; after all have left. */
  async drained(): Promise<void> {
    while (!this.threads.every((thread) => thread.consumer.ended())) {
      this.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private wake(): void {
    if (this.awake) return;
    this.awake = true;
    this.turn();
  }

  /** Some requests, then the event loop, so that answers of the other side are not kept waiting. */
  private readonly turn = (): void => {
    let budget: number = limits.fuseRequestsPerTurn;
    const count = this.threads.length;
    let idle = 0;
    while (budget > 0 && idle < count) {
      if (!this.target.mayBegin()) {
        this.awake = false;
        return;
      }
      const thread = this.threads[this.first]!;
      this.first = (this.first + 1) % count;
      if (!thread.consumer.next()) {
        idle++;
        continue;
      }
      idle = 0;
      budget--;
      this.target.begin(thread.arrival());
      thread.consumer.release();
    }
    if (budget === 0 || this.lingers(budget < limits.fuseRequestsPerTurn)) setImmediate(this.turn);
    else this.sleep();
  };

  /** After each turn: whether to look again without sleeping. */
  private lingers(tookAny: boolean): boolean {
    const now = performance.now();
    const isInTime = now - this.lastMs <= LINGER_MS;
    if (!tookAny) return isInTime && this.trust > 0 && !this.target.isBusy();
    this.trust = isInTime ? Math.min(MOST_TRUST, this.trust + 1) : Math.max(0, this.trust - LOST_TRUST);
    this.lastMs = now;
    // An answer from memory may need this turn to end: whether the target is busy shows in the next.
    return this.trust > 0;
  }

  private sleep(): void {
    this.bell.announce();
    if (this.threads.some((thread) => thread.consumer.available())) {
      this.bell.withdraw();
      setImmediate(this.turn);
      return;
    }
    if (this.threads.every((thread) => thread.consumer.ended())) {
      this.bell.withdraw();
      this.awake = false;
      return;
    }
    const rung = this.bell.waitAsync();
    if (rung === null) setImmediate(this.turn);
    else void rung.then(this.turn);
  }
}
