// A link between two threads: four rings, so that answers and requests never stand in each other's way.

import { limits } from '../../proto/limits.js';
import { closeOrphan, createRing, Doorbell, RingConsumer, RingProducer } from '../ring/index.js';
import type { Slab } from '../slab/index.js';
import { FrameReceiver } from './frame-receiver.js';
import { FrameSender } from './frame-sender.js';
import type { Hub } from './hub.js';
import { RingAnswerer } from './ring-answerer.js';
import { RingChannel } from './ring-channel.js';

/** A link as one of its two ends sees it; can be sent to that thread. */
export interface LinkEnd {
  peer: string;
  peerBell: SharedArrayBuffer;
  peerSlab: SharedArrayBuffer | undefined;
  requestsOut: SharedArrayBuffer;
  answersIn: SharedArrayBuffer;
  requestsIn: SharedArrayBuffer;
  answersOut: SharedArrayBuffer;
}

/** What a thread brings into a link. */
export interface LinkParty {
  name: string;
  bell: SharedArrayBuffer;
  slab: SharedArrayBuffer | undefined;
}

/** The two ends of a new link. */
export function createLink(one: LinkParty, other: LinkParty): [LinkEnd, LinkEnd] {
  const oneAsks = createRing(limits.ringBytes);
  const otherAnswers = createRing(limits.ringBytes);
  const otherAsks = createRing(limits.ringBytes);
  const oneAnswers = createRing(limits.ringBytes);
  const ofOne: LinkEnd = {
    peer: other.name,
    peerBell: other.bell,
    peerSlab: other.slab,
    requestsOut: oneAsks,
    answersIn: otherAnswers,
    requestsIn: otherAsks,
    answersOut: oneAnswers,
  };
  const ofOther: LinkEnd = {
    peer: one.name,
    peerBell: one.bell,
    peerSlab: one.slab,
    requestsOut: otherAsks,
    answersIn: oneAnswers,
    requestsIn: oneAsks,
    answersOut: otherAnswers,
  };
  return [ofOne, ofOther];
}

/** Attaches a thread's hub to its end of a link. */
export function openLink(
  hub: Hub,
  end: LinkEnd,
  slab: Slab | undefined,
): { channel: RingChannel; answerer: RingAnswerer } {
  const peerBell = new Doorbell(end.peerBell);
  const sender = (ring: SharedArrayBuffer) => new FrameSender(new RingProducer(ring, peerBell));
  const receiver = (ring: SharedArrayBuffer) => new FrameReceiver(new RingConsumer(ring, peerBell));
  return {
    channel: new RingChannel(hub, sender(end.requestsOut), receiver(end.answersIn), slab),
    answerer: new RingAnswerer(hub, receiver(end.requestsIn), sender(end.answersOut), end.peerSlab),
  };
}

/** Closes an end whose thread died, so that its peer's calls are answered CLOSED. */
export function closeLinkEnd(end: LinkEnd): void {
  const peerBell = new Doorbell(end.peerBell);
  closeOrphan(end.requestsOut, peerBell);
  closeOrphan(end.answersOut, peerBell);
}
