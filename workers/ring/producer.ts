// The writing end of a ring. Messages are written in place: `reserve` gives the offset, `commit` ends the message, and
// `publish` shows everything committed so far to the consumer with one atomic store. A producer that dies leaves the
// consumer everything that it published and nothing else.

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

export class RingProducer {
  /** The ring's data; `reserve` gives offsets in it. */
  readonly bytes: Buffer;
  /** No message may be longer. */
  readonly longestMessage: number;
  /** A quarter of the ring. */
  readonly shareBytes: number;
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly capacity: number;
  private position: number;
  private published: number;
  /** The head as last seen: the consumer's cache line is touched only when the ring looks full. */
  private seenHead: number;
  private reservedLength = -1;

  constructor(
    readonly shared: SharedArrayBuffer,
    private readonly consumerBell: Doorbell,
  ) {
    this.capacity = capacityOf(shared);
    this.longestMessage = longestMessage(this.capacity);
    this.shareBytes = this.capacity / 4;
    this.control = new Int32Array(shared, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(shared, CONTROL_BYTES);
    this.bytes = Buffer.from(shared, CONTROL_BYTES, this.capacity);
    this.position = Atomics.load(this.control, TAIL);
    this.published = this.position;
    this.seenHead = Atomics.load(this.control, HEAD);
  }

  /**
   * The offset in `bytes` where a message of up to `length` bytes may be written now, or -1 if the ring has no room.
   * A second `reserve` without `commit` replaces the first.
   */
  reserve(length: number): number {
    assert(length >= 0 && length <= this.longestMessage, 'message longer than the ring takes');
    const span = messageSpan(length);
    const offset = this.position & (this.capacity - 1);
    const untilEnd = this.capacity - offset;
    const skipped = span <= untilEnd ? 0 : untilEnd;
    if (!this.hasRoom(skipped + span)) return -1;
    this.reservedLength = length;
    if (skipped === 0) return offset + MESSAGE_HEADER_BYTES;
    this.words[offset >> 2] = SKIP;
    this.position = (this.position + skipped) | 0;
    return MESSAGE_HEADER_BYTES;
  }

  /** Ends the reserved message at `length` bytes. The consumer sees it after `publish`. */
  commit(length: number): void {
    assert(length >= 0 && length <= this.reservedLength, 'commit without a reserve of that length');
    this.reservedLength = -1;
    this.words[(this.position & (this.capacity - 1)) >> 2] = length;
    this.position = (this.position + messageSpan(length)) | 0;
  }

  /** Whether `reserve(length)` would succeed. */
  fits(length: number): boolean {
    const span = messageSpan(length);
    const untilEnd = this.capacity - (this.position & (this.capacity - 1));
    return this.hasRoom(span <= untilEnd ? span : untilEnd + span);
  }

  /**
   * Bytes of the ring that are committed and not published. Past `shareBytes` it is time to publish, whatever the batch,
   * so that the two threads work at once and not in turns.
   */
  get pendingBytes(): number {
    return (this.position - this.published) | 0;
  }

  /** Shows all committed messages to the consumer, and wakes it if it sleeps. */
  publish(): void {
    if (this.position === this.published) return;
    this.published = this.position;
    Atomics.store(this.control, TAIL, this.position);
    this.consumerBell.ring();
  }

  /**
   * Asks for this thread's bell to be rung when the consumer has given space back. As with sleeping, the caller tries
   * `fits` once more afterwards: space may have come before the wish was seen.
   */
  wantSpace(): void {
    Atomics.store(this.control, SPACE_WANTED, 1);
  }

  /** Tells the consumer that nothing will follow what was published. */
  close(): void {
    this.publish();
    Atomics.store(this.control, CLOSED, 1);
    this.consumerBell.ring();
  }

  private hasRoom(bytes: number): boolean {
    if (this.capacity - ((this.position - this.seenHead) | 0) >= bytes) return true;
    this.seenHead = Atomics.load(this.control, HEAD);
    return this.capacity - ((this.position - this.seenHead) | 0) >= bytes;
  }
}
