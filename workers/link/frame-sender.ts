// Puts frames into a ring. A frame of up to limits.ringMessageBytes is written in place and is one message. A longer
// one, or one that finds the ring full, is kept encoded in a bounded queue and follows in order, in pieces if it must,
// as the consumer frees space: so every frame of the protocol fits through a ring, and the usual one is copied once.

import { Buffer } from 'node:buffer';
import { FRAME_HEADER_BYTES, type FrameHeader, frameLength, writeHeader } from '../../proto/frame.js';
import { limits } from '../../proto/limits.js';
import type { RingProducer } from '../ring/index.js';

export class FrameSender {
  queuedBytes = 0;
  private readonly queue: Buffer[] = [];
  /** How much of the queue's first frame is in the ring. */
  private sent = 0;
  private readonly longest: number;

  constructor(private readonly ring: RingProducer) {
    this.longest = Math.min(ring.longestMessage, limits.ringMessageBytes);
  }

  /** Sends a frame; false, and nothing sent, when it had to queue and the queue may not grow past `queueBytes`. */
  send(header: FrameHeader, body: Uint8Array, payload: readonly Uint8Array[], queueBytes: number): boolean {
    const length = frameLength(header);
    if (this.queue.length === 0 && length <= this.longest) {
      const at = this.ring.reserve(length);
      if (at >= 0) {
        place(this.ring.bytes, at, header, body, payload);
        this.ring.commit(length);
        if (this.ring.pendingBytes >= this.ring.shareBytes) this.ring.publish();
        return true;
      }
    }
    if (this.queuedBytes + length > queueBytes) return false;
    const frame = Buffer.allocUnsafe(length);
    place(frame, 0, header, body, payload);
    this.queue.push(frame);
    this.queuedBytes += length;
    return true;
  }

  /** Moves as much of the queue as fits, and publishes. With a rest left, this thread's bell rings when there is space. */
  flush(): void {
    this.moveQueue();
    this.ring.publish();
    while (this.queue.length > 0) {
      this.ring.wantSpace();
      // Space that came between the last try and the wish rings nobody; or it rang, and the wish is used up.
      if (!this.canMove()) return;
      this.moveQueue();
      this.ring.publish();
    }
  }

  /** Whether the queue's next piece fits now. */
  canMove(): boolean {
    return this.queue.length > 0 && this.ring.fits(this.nextPiece());
  }

  /** Publishes what fits and drops the rest: its senders or askers hear CLOSED. */
  close(): void {
    this.moveQueue();
    this.queue.length = 0;
    this.queuedBytes = 0;
    this.ring.close();
  }

  private nextPiece(): number {
    return Math.min(this.longest, this.queue[0]!.length - this.sent);
  }

  private moveQueue(): void {
    let moved = 0;
    while (moved < this.queue.length) {
      const frame = this.queue[moved]!;
      const piece = Math.min(this.longest, frame.length - this.sent);
      const at = this.ring.reserve(piece);
      if (at < 0) break;
      this.ring.bytes.set(frame.subarray(this.sent, this.sent + piece), at);
      this.ring.commit(piece);
      if (this.ring.pendingBytes >= this.ring.shareBytes) this.ring.publish();
      this.sent += piece;
      if (this.sent < frame.length) continue;
      this.queuedBytes -= frame.length;
      this.sent = 0;
      moved++;
    }
    if (moved > 0) this.queue.splice(0, moved);
  }
}

function place(
  target: Buffer,
  at: number,
  header: FrameHeader,
  body: Uint8Array,
  payload: readonly Uint8Array[],
): void {
  writeHeader(target, at, header, body);
  let position = at + FRAME_HEADER_BYTES;
  target.set(body, position);
  position += body.length;
  for (const piece of payload) {
    target.set(piece, position);
    position += piece.length;
  }
}
