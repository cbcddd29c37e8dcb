// How one part of the system asks another. A caller holds a Channel and cannot tell whether the answerer is a thread of
// the same process (frames in shared-memory rings) or another process (frames over TCP); an answerer is a Service and
// cannot tell who asks.

import type { Reader } from '../proto/codec.js';

/** Called exactly once per call. `body` and `payload` are views, valid only while it runs. */
export type OnAnswer = (status: number, body: Reader, payload: Buffer) => void;

export interface Channel {
  /**
   * Sends a request; `body` is copied before it returns. `payload` must stay as it is until the answer: a view into
   * this thread's slab travels through a ring as a reference. Never throws; a channel at its bound
   * (limits.requestsInFlightPerPeer) answers BUSY, a closed one CLOSED, always after `call` has returned.
   */
  call(kind: number, group: number, body: Uint8Array, payload: Buffer | null, onAnswer: OnAnswer): void;
  close(): void;
}

/** A request as its answerer sees it. */
export interface Request {
  readonly kind: number;
  readonly group: number;
  /** Who asks, for retries; 0 where the transport cannot lose an answer (rings). */
  readonly session: number;
  readonly number: number;
  /** How far below `number` the oldest request lies that the asker has no answer for. */
  readonly window: number;
  /** Valid only while the service's call runs. */
  readonly body: Reader;
  /** Valid until answered. */
  readonly payload: Buffer;
  /**
   * Answers, once, at any time, on this thread. With a status other than OK `body` is a message for people, in UTF-8. `body` and the pieces of `payload` are copied or sent before it
   * returns. When the asker is gone it does nothing.
   */
  answer(status: number, body?: Uint8Array, payload?: readonly Uint8Array[]): void;
}

/** Must not throw; answers every request once. */
export type Service = (request: Request) => void;
