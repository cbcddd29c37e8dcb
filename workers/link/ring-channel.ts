// The asking side of a link: a Channel over a ring of requests and a ring of answers. Guarantees one answer per call,
// no more than limits.requestsInFlightPerPeer calls in flight and no more than limits.channelQueueBytes waiting for
// space in the ring; past either bound a call is answered BUSY. When the peer is gone all are answered CLOSED.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { Reader } from '../../proto/codec.js';
import { emptyHeader, FrameFlag } from '../../proto/frame.js';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import type { Channel, OnAnswer } from '../channel.js';
import type { Slab } from '../slab/index.js';
import type { FrameReceiver } from './frame-receiver.js';
import type { FrameSender } from './frame-sender.js';
import type { Endpoint, Hub } from './hub.js';

const SLOTS: number = limits.requestsInFlightPerPeer;
const NOTHING = Buffer.alloc(0);
const NO_PAYLOAD: readonly Uint8Array[] = [];

export class RingChannel implements Channel, Endpoint {
  /** Per call in flight. A slot's number rises by SLOTS with each use, so that a number names one call for good. */
  private readonly callbacks = new Array<OnAnswer | null>(SLOTS).fill(null);
  private readonly spans = new Array<Buffer | null>(SLOTS).fill(null);
  private readonly numbers = new Float64Array(SLOTS);
  private readonly freeSlots = new Uint32Array(SLOTS);
  private freeCount = SLOTS;
  private readonly header = emptyHeader();
  private readonly reader = new Reader(NOTHING);
  private readonly inline: Uint8Array[] = [NOTHING];
  private dirty = false;
  private closed = false;

  constructor(
    private readonly hub: Hub,
    private readonly sender: FrameSender,
    private readonly receiver: FrameReceiver,
    private readonly slab: Slab | undefined,
  ) {
    for (let slot = 0; slot < SLOTS; slot++) {
      this.numbers[slot] = slot;
      this.freeSlots[slot] = SLOTS - 1 - slot;
    }
    hub.add(this);
  }

  call(kind: number, group: number, body: Uint8Array, payload: Buffer | null, onAnswer: OnAnswer): void {
    const payloadLength = payload === null ? 0 : payload.length;
    const refusal = this.refusal(body.length, payloadLength);
    if (refusal !== Status.OK) {
      this.hub.refuse(onAnswer, refusal);
      return;
    }
    const slot = this.freeSlots[this.freeCount - 1]!;
    const header = this.header;
    header.kind = kind;
    header.group = group;
    header.number = this.numbers[slot]! + SLOTS;
    header.bodyLength = body.length;
    header.payloadLength = payloadLength;
    const inline = payloadLength === 0 ? this.withoutPayload() : this.placePayload(payload!, slot);
    if (!this.sender.send(header, body, inline, limits.channelQueueBytes)) {
      this.releaseSpan(slot);
      this.hub.refuse(onAnswer, Status.BUSY);
      return;
    }
    this.freeCount--;
    this.numbers[slot] = header.number;
    this.callbacks[slot] = onAnswer;
    this.markDirty();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.sender.close();
    for (let slot = 0; slot < SLOTS; slot++) {
      const onAnswer = this.callbacks[slot];
      if (!onAnswer) continue;
      this.callbacks[slot] = null;
      // The peer may still be reading the payload: what it does with it is acknowledged to nobody.
      this.releaseSpan(slot);
      this.hub.refuse(onAnswer, Status.CLOSED);
    }
  }

  poll(): boolean {
    const receiver = this.receiver;
    let count = 0;
    while (count < limits.ringBatchMessages && receiver.next()) {
      count++;
      this.takeAnswer();
    }
    receiver.release();
    if (count === 0 && !this.closed && receiver.ended()) this.close();
    if (this.sender.queuedBytes > 0) this.sender.flush();
    return count > 0;
  }

  hasWork(): boolean {
    return this.receiver.available() || this.sender.canMove() || (!this.closed && this.receiver.ended());
  }

  flush(): void {
    this.dirty = false;
    if (!this.closed) this.sender.flush();
  }

  private takeAnswer(): void {
    const { header, bytes } = this.receiver;
    assert((header.flags & FrameFlag.ANSWER) !== 0 && (header.flags & FrameFlag.SLAB) === 0, 'no answer for this side');
    if (this.closed) return;
    const slot = header.number % SLOTS;
    const onAnswer = this.callbacks[slot];
    assert(onAnswer && this.numbers[slot] === header.number, 'answer to a call that is not in flight');
    this.callbacks[slot] = null;
    this.releaseSpan(slot);
    this.freeSlots[this.freeCount++] = slot;
    const start = this.receiver.bodyStart();
    onAnswer(header.status, this.reader.reset(bytes, start, start + header.bodyLength), this.receiver.payload());
  }

  /** Why a call cannot leave; OK if it can. */
  private refusal(bodyLength: number, payloadLength: number): Status {
    if (this.closed) return Status.CLOSED;
    if (bodyLength > limits.frameBodyBytes || payloadLength > limits.framePayloadBytes) return Status.INVAL;
    return this.freeCount === 0 ? Status.BUSY : Status.OK;
  }

  private markDirty(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.hub.markDirty(this);
  }

  private withoutPayload(): readonly Uint8Array[] {
    this.header.flags = FrameFlag.NO_CRC;
    this.header.slabOffset = 0;
    return NO_PAYLOAD;
  }

  /** Decides how the payload travels; returns the pieces to be written behind the body. */
  private placePayload(payload: Buffer, slot: number): readonly Uint8Array[] {
    let span = payload;
    if (this.slab === undefined || !this.slab.owns(payload)) {
      // A large payload is copied once, into the slab, instead of into the ring and out of it.
      const copy = payload.length > limits.slabMinBytes ? (this.slab?.allocate(payload.length) ?? null) : null;
      if (copy === null) {
        this.withoutPayload();
        this.inline[0] = payload;
        return this.inline;
      }
      copy.set(payload);
      this.spans[slot] = copy;
      span = copy;
    }
    this.header.flags = FrameFlag.NO_CRC | FrameFlag.SLAB;
    this.header.slabOffset = span.byteOffset;
    return NO_PAYLOAD;
  }

  private releaseSpan(slot: number): void {
    const span = this.spans[slot];
    if (!span) return;
    this.spans[slot] = null;
    this.slab!.release(span); // A span is only ever of this slab.
  }
}
