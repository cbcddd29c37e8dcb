// The reading end of a ring. `next` steps to a message and tells where it lies; the bytes stay as they are until
// `release`, which gives everything read so far back to the producer with one atomic store.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import type { Doorbell } from './doorbell.js';
import {
  CLOSED,
  CONTROL_BYTES,
  capacityOf,
  HEAD,
  longestMessage,
  MESSAGE_HEADER_BYTES,
  messageSpan,
  SKIP,
  SPACE_WANTED,
  TAIL,
} from './layout.js';

export class RingConsumer {
  /** The ring's data; the message at hand is `bytes[offset, offset + length)`. */
  readonly bytes: Buffer;
  offset = 0;
  length = 0;
  /** A quarter of the ring. */
  readonly shareBytes: number;
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly capacity: number;
  private readonly longest: number;
  private position: number;
  private released: number;
  /** The tail as last seen: the producer's cache line is touched only when all that was seen is read. */
  private seenTail: number;

  constructor(
    readonly shared: SharedArrayBuffer,
    private readonly producerBell: Doorbell,
  ) {
    this.capacity = capacityOf(shared);
    this.longest = longestMessage(this.capacity);
    this.shareBytes = this.capacity / 4;
    this.control = new Int32Array(shared, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(shared, CONTROL_BYTES);
    this.bytes = Buffer.from(shared, CONTROL_BYTES, this.capacity);
    this.position = Atomics.load(this.control, HEAD);
    this.released = this.position;
    this.seenTail = this.position;
  }

  /** Steps to the next message; false if there is none. */
  next(): boolean {
    while (this.available()) {
      const offset = this.position & (this.capacity - 1);
      const length = this.words[offset >> 2]!;
      if (length === SKIP) {
        this.position = (this.position + this.capacity - offset) | 0;
        continue;
      }
      assert(length >= 0 && length <= this.longest, 'ring holds a message of an impossible length');
      this.offset = offset + MESSAGE_HEADER_BYTES;
      this.length = length;
      this.position = (this.position + messageSpan(length)) | 0;
      return true;
    }
    return false;
  }

  /** Whether anything is published that `next` has not passed. */
  available(): boolean {
    if (this.position !== this.seenTail) return true;
    this.seenTail = Atomics.load(this.control, TAIL);
    return this.position !== this.seenTail;
  }

  /** Bytes of the ring that are read and not released. Past `shareBytes` it is time to release, whatever the batch. */
  get heldBytes(): number {
    return (this.position - this.released) | 0;
  }

  /** Gives all messages read so far back, and rings the producer if it waits for space. */
  release(): void {
    if (this.position === this.released) return;
    this.released = this.position;
    Atomics.store(this.control, HEAD, this.position);
    if (Atomics.load(this.control, SPACE_WANTED) === 0) return;
    if (Atomics.exchange(this.control, SPACE_WANTED, 0) === 1) this.producerBell.ring();
  }

  /** Whether the producer has closed its end and everything that it published is read. */
  ended(): boolean {
    return Atomics.load(this.control, CLOSED) === 1 && !this.available();
  }
}

/** Closes a ring on behalf of a producer that is no more, and wakes its consumer. */
export function closeOrphan(shared: SharedArrayBuffer, consumerBell: Doorbell): void {
  Atomics.store(new Int32Array(shared, 0, CONTROL_BYTES / 4), CLOSED, 1);
  consumerBell.ring();
}
