// The answering side of a link: hands requests to the thread's Service and carries its answers back. It takes no
// request before there is a service, nor while more answers wait for space than limits.channelQueueBytes: a peer that
// does not read its answers gets no further, and answers never wait for requests, so the two cannot block each other.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { Reader } from '../../proto/codec.js';
import { emptyHeader, FrameFlag } from '../../proto/frame.js';
import { limits } from '../../proto/limits.js';
import type { Request, Service } from '../channel.js';
import { viewSlab } from '../slab/index.js';
import type { FrameReceiver } from './frame-receiver.js';
import type { FrameSender } from './frame-sender.js';
import type { Endpoint, Hub } from './hub.js';

const NOTHING = Buffer.alloc(0);
/** Reading the clock after each request would cost as much as a short one. */
const MESSAGES_PER_LOOK = 4;
const NO_PAYLOAD: readonly Uint8Array[] = [];

/** A request lives until it is answered, so it is an object of its own: reused ones would turn a double answer into an
 * answer to somebody else, and one that dies young costs some 20 ns. */
class RingRequest implements Request {
  readonly session = 0;
  readonly window = 0;
  private answered = false;

  constructor(
    private readonly answerer: RingAnswerer,
    readonly kind: number,
    readonly group: number,
    readonly number: number,
    readonly body: Reader,
    readonly payload: Buffer,
  ) {}

  answer(status: number, body: Uint8Array = NOTHING, payload: readonly Uint8Array[] = NO_PAYLOAD): void {
    assert(!this.answered, 'request answered twice');
    this.answered = true;
    this.answerer.answer(this, status, body, payload);
  }
}

export class RingAnswerer implements Endpoint {
  private service: Service | null = null;
  private readonly reader = new Reader(NOTHING);
  private readonly header = emptyHeader();
  private dirty = false;
  private closed = false;

  constructor(
    private readonly hub: Hub,
    private readonly receiver: FrameReceiver,
    private readonly sender: FrameSender,
    private readonly peerSlab: SharedArrayBuffer | undefined,
  ) {
    hub.add(this);
  }

  serve(service: Service): void {
    assert(this.service === null, 'a thread has one service');
    this.service = service;
    this.hub.nudge();
  }

  answer(request: Request, status: number, body: Uint8Array, payload: readonly Uint8Array[]): void {
    if (this.closed) return;
    let payloadLength = 0;
    for (const piece of payload) payloadLength += piece.length;
    assert(body.length <= limits.frameBodyBytes && payloadLength <= limits.framePayloadBytes, 'answer over the limit');
    const header = this.header;
    header.flags = FrameFlag.ANSWER | FrameFlag.NO_CRC;
    header.kind = request.kind;
    header.group = request.group;
    header.number = request.number;
    header.status = status;
    header.bodyLength = body.length;
    header.payloadLength = payloadLength;
    // Bounded by what the peer may have in flight.
    this.sender.send(header, body, payload, Number.POSITIVE_INFINITY);
    if (this.dirty) return;
    this.dirty = true;
    this.hub.markDirty(this);
  }

  poll(): boolean {
    if (this.sender.queuedBytes > 0) this.sender.flush();
    const service = this.service;
    if (service === null || this.closed) return false;
    const count = this.takeBatch(service);
    this.receiver.release();
    if (count === 0 && this.receiver.ended()) this.close();
    return count > 0;
  }

  hasWork(): boolean {
    if (this.sender.canMove()) return true;
    if (this.service === null || this.closed) return false;
    return (this.mayTake() && this.receiver.available()) || this.receiver.ended();
  }

  flush(): void {
    this.dirty = false;
    if (!this.closed) this.sender.flush();
  }

  /** Nobody asks any more: answers go nowhere from here on. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.sender.close();
  }

  /** Takes requests until the ring is empty or the batch has its bound, in number or in time. */
  private takeBatch(service: Service): number {
    if (!this.receiver.available()) return 0;
    const untilMs = performance.now() + limits.ringBatchMs;
    let count = 0;
    while (count < limits.ringBatchMessages && this.mayTake() && this.receiver.next()) {
      count++;
      service(this.takeRequest());
      if (count % MESSAGES_PER_LOOK === 0 && performance.now() > untilMs) break;
    }
    return count;
  }

  private mayTake(): boolean {
    return this.sender.queuedBytes <= limits.channelQueueBytes;
  }

  private takeRequest(): RingRequest {
    const { header, bytes } = this.receiver;
    assert((header.flags & FrameFlag.ANSWER) === 0, 'answer among the requests');
    const start = this.receiver.bodyStart();
    const body = this.reader.reset(bytes, start, start + header.bodyLength);
    return new RingRequest(this, header.kind, header.group, header.number, body, this.takePayload());
  }

  private takePayload(): Buffer {
    const { flags, payloadLength, slabOffset } = this.receiver.header;
    if (payloadLength === 0) return NOTHING;
    if ((flags & FrameFlag.SLAB) !== 0) {
      assert(this.peerSlab !== undefined, 'slab payload from a thread without a slab');
      return viewSlab(this.peerSlab, slabOffset, payloadLength);
    }
    const view = this.receiver.payload();
    // The ring's space is given back before the answer: what must last until then moves out.
    return this.receiver.owned ? view : Buffer.from(view);
  }
}
