// Frames on their way into a socket: what is sent in one turn leaves with one write behind it. The bytes go to the socket
// where they were put together; they are copied once more only where the socket still holds earlier ones.

import type { Socket } from 'node:net';
import { Writer } from '../../proto/codec.js';
import { FRAME_HEADER_BYTES, type FrameHeader, writeHeader } from '../../proto/frame.js';

/** Payloads up to this size are cheaper copied behind their header than written on their own. */
const COPIED_TOGETHER_BYTES = 64 * 1024;
const BUFFER_BYTES = 16 * 1024;

export interface FrameSenderOptions {
  /** Called once behind each turn in which something was sent; calls `flushInto` or `drop`. */
  readonly flush: () => void;
  /** Whether large payloads are copied too, or stay as they are until the answer. */
  readonly largePayloads: 'copied' | 'kept';
}

export class FrameSender {
  private out = new Writer(BUFFER_BYTES);
  /** What goes before `out`: large payloads, and the frames before each. */
  private readonly queued: Uint8Array[] = [];
  private planned = false;

  constructor(private readonly options: FrameSenderOptions) {}

  /** Whether a flush is due. */
  get isPlanned(): boolean {
    return this.planned;
  }

  /** Lengths and CRC are filled in. Copies `body`, and what it does not keep of `payload`. */
  send(header: FrameHeader, body: Uint8Array, payload: readonly Uint8Array[]): void {
    const { out } = this;
    header.bodyLength = body.length;
    header.payloadLength = 0;
    for (const piece of payload) header.payloadLength += piece.length;
    out.ensure(FRAME_HEADER_BYTES + header.bodyLength);
    writeHeader(out.buffer, out.position, header, body);
    out.position += FRAME_HEADER_BYTES;
    out.raw(body);
    if (header.payloadLength <= COPIED_TOGETHER_BYTES) for (const piece of payload) out.raw(piece);
    else this.queueLarge(payload);
    if (this.planned) return;
    this.planned = true;
    queueMicrotask(this.run);
  }

  /** Writes all that was sent since the last time. */
  flushInto(socket: Socket): void {
    if (this.queued.length > 0) this.flushPieces(socket);
    else if (this.out.position === 0) return;
    else if (socket.writableLength > 0) {
      socket.write(this.out.take());
      this.out.reset();
    } else {
      socket.write(this.out.view());
      // Nearly always the kernel has taken it all. Where it has not, the buffer is the socket's until it does.
      if (socket.writableLength === 0) this.out.reset();
      else this.out = new Writer(BUFFER_BYTES);
    }
  }

  /** Forgets what was sent and not written. */
  drop(): void {
    this.queued.length = 0;
    this.out.reset();
  }

  private queueLarge(payload: readonly Uint8Array[]): void {
    this.queued.push(this.out.take());
    this.out.reset();
    if (this.options.largePayloads === 'copied') this.queued.push(Buffer.concat(payload));
    else this.queued.push(...payload);
  }

  private flushPieces(socket: Socket): void {
    socket.cork();
    for (const piece of this.queued) socket.write(piece);
    if (this.out.position > 0) socket.write(this.out.take());
    socket.uncork();
    this.drop();
  }

  private readonly run = (): void => {
    this.planned = false;
    this.options.flush();
  };
}
