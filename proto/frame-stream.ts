// Frames out of a stream of bytes that arrives in pieces of any size. Header and body are checked before a frame is
// handed on. What lies whole in one piece is handed on as a view of it; what does not is copied once.

import { Buffer } from 'node:buffer';
import { DecodeError } from './codec.js';
import { checkFrame, emptyHeader, FRAME_HEADER_BYTES, FrameFlag, type FrameHeader, readHeader } from './frame.js';

/** `body` and `payload` are views, of the piece given to `push` or of the frame's own memory; `header` only during the call. */
export type FrameSink = (header: FrameHeader, body: Buffer, payload: Buffer) => void;

/** A stream has a CRC in each frame and no slab to refer to. */
const RING_ONLY = FrameFlag.NO_CRC | FrameFlag.SLAB;
const NOTHING = Buffer.alloc(0);

export class FrameAssembler {
  private readonly header = emptyHeader();
  private readonly headBytes = Buffer.alloc(FRAME_HEADER_BYTES);
  private headFill = 0;
  /** The frame that did not come whole in one piece, once its length is known. */
  private partial: Buffer | null = null;
  private partialFill = 0;

  constructor(private readonly sink: FrameSink) {}

  /** Throws DecodeError on bytes that are no frame; the stream cannot be read on after that. */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      if (this.partial !== null) at = this.fillPartial(piece, at);
      else if (this.headFill > 0 || piece.length - at < FRAME_HEADER_BYTES) at = this.fillHead(piece, at);
      else {
        readHeader(piece, at, this.header);
        if (piece.length - at < this.header.length) at = this.beginPartial(piece, at);
        else {
          this.deliver(piece, at);
          at += this.header.length;
        }
      }
    }
  }

  private fillHead(piece: Buffer, at: number): number {
    const take = Math.min(FRAME_HEADER_BYTES - this.headFill, piece.length - at);
    piece.copy(this.headBytes, this.headFill, at, at + take);
    this.headFill += take;
    if (this.headFill < FRAME_HEADER_BYTES) return at + take;
    readHeader(this.headBytes, 0, this.header);
    this.headFill = 0;
    this.beginPartial(this.headBytes, 0);
    if (this.partialFill === this.header.length) this.finishPartial();
    return at + take;
  }

  private beginPartial(piece: Buffer, at: number): number {
    this.partial = Buffer.allocUnsafeSlow(this.header.length);
    this.partialFill = Math.min(piece.length - at, this.header.length);
    piece.copy(this.partial, 0, at, at + this.partialFill);
    return at + this.partialFill;
  }

  private fillPartial(piece: Buffer, at: number): number {
    const partial = this.partial!; // checked by the caller
    const take = Math.min(partial.length - this.partialFill, piece.length - at);
    piece.copy(partial, this.partialFill, at, at + take);
    this.partialFill += take;
    if (this.partialFill === partial.length) this.finishPartial();
    return at + take;
  }

  private finishPartial(): void {
    const frame = this.partial!; // a frame is under way
    this.partial = null;
    this.partialFill = 0;
    this.deliver(frame, 0);
  }

  private deliver(source: Buffer, at: number): void {
    const header = this.header;
    if ((header.flags & RING_ONLY) !== 0) throw new DecodeError('a frame for rings in a stream');
    checkFrame(source, at, header);
    const body = at + FRAME_HEADER_BYTES;
    const payload = body + header.bodyLength;
    this.sink(
      header,
      header.bodyLength === 0 ? NOTHING : source.subarray(body, payload),
      header.payloadLength === 0 ? NOTHING : source.subarray(payload, payload + header.payloadLength),
    );
  }
}
