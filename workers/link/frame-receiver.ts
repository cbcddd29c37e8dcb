// Takes frames out of a ring: those of one message where they lie, those that came in pieces put together in a buffer
// of their own.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { emptyHeader, FRAME_HEADER_BYTES, FrameFlag, type FrameHeader, readHeader } from '../../proto/frame.js';
import type { RingConsumer } from '../ring/index.js';

const NOTHING = Buffer.alloc(0);

export class FrameReceiver {
  /** The frame at hand: its header, and its bytes from `offset` in `bytes`. */
  readonly header: FrameHeader = emptyHeader();
  bytes: Buffer = NOTHING;
  offset = 0;
  /** Whether the frame's bytes are its own, and outlive `release`. */
  owned = false;
  private pieces: Buffer | null = null;
  private filled = 0;

  constructor(private readonly ring: RingConsumer) {}

  /** Steps to the next whole frame; false if there is none yet. */
  next(): boolean {
    const ring = this.ring;
    while (true) {
      // What came before is done with; large frames are given back before their batch ends.
      if (ring.heldBytes >= ring.shareBytes) ring.release();
      if (!ring.next()) return false;
      if (this.pieces !== null) {
        if (this.addPiece(this.pieces)) return true;
        continue;
      }
      // A frame that is not well-formed was written by our own code: DecodeError ends the thread like an assert.
      readHeader(ring.bytes, ring.offset, this.header);
      assert((this.header.flags & FrameFlag.NO_CRC) !== 0, 'ring frame with a CRC');
      if (this.header.length === ring.length) {
        this.bytes = ring.bytes;
        this.offset = ring.offset;
        this.owned = false;
        return true;
      }
      assert(ring.length < this.header.length, 'ring message longer than its frame');
      this.pieces = Buffer.allocUnsafeSlow(this.header.length);
      this.filled = 0;
      this.addPiece(this.pieces);
    }
  }

  available(): boolean {
    return this.ring.available();
  }

  release(): void {
    this.ring.release();
  }

  ended(): boolean {
    return this.ring.ended();
  }

  bodyStart(): number {
    return this.offset + FRAME_HEADER_BYTES;
  }

  /** The payload that travelled in the frame, as a view. */
  payload(): Buffer {
    const { bodyLength, payloadLength } = this.header;
    if (payloadLength === 0) return NOTHING;
    const start = this.offset + FRAME_HEADER_BYTES + bodyLength;
    return this.bytes.subarray(start, start + payloadLength);
  }

  private addPiece(pieces: Buffer): boolean {
    const { bytes, offset, length } = this.ring;
    assert(this.filled + length <= pieces.length, 'pieces longer than their frame');
    pieces.set(bytes.subarray(offset, offset + length), this.filled);
    this.filled += length;
    if (this.filled < pieces.length) return false;
    this.pieces = null;
    this.bytes = pieces;
    this.offset = 0;
    this.owned = true;
    return true;
  }
}
