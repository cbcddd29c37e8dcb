// What a process's threads are and who talks to whom; and the messages by which the main thread governs them.

import type { LinkEnd } from './link/index.js';

export interface ThreadSpec {
  /** Unique; peers are found by it. */
  name: string;
  /** The module that the thread runs: it calls `joinHost` and, when it can serve, `ready`. */
  module: URL | string;
  /** Given to the thread as it is (structured clone). */
  data: unknown;
}

export interface Topology {
  threads: readonly ThreadSpec[];
  /** Pairs of names that talk to each other, each way. */
  links: readonly (readonly [string, string])[];
  /** Memory given to all threads, by name. */
  shared?: Record<string, SharedArrayBuffer>;
  /** Bytes of the slab of each thread that sends payloads, a multiple of limits.slabMaxBytes. */
  slabBytes?: Record<string, number>;
  /** Names in the order in which threads are stopped; those not named follow, in the reverse order of `threads`. */
  stopOrder?: readonly string[];
}

/** What a thread is born with. */
export interface ThreadBirth {
  orangefsThread: true;
  name: string;
  data: unknown;
  shared: Record<string, SharedArrayBuffer>;
  bell: SharedArrayBuffer;
  slab: SharedArrayBuffer | undefined;
  links: LinkEnd[];
}

export type ToThread = { type: 'stop' } | { type: 'post'; message: unknown };
export type ToMain = { type: 'ready' } | { type: 'stopped'; errors: unknown[] } | { type: 'post'; message: unknown };
