// What a simulated state machine holds, as far as checkpoints, snapshots and invariants have to do with it.

import type { Configuration } from '../../../proto/raft/index.js';

export interface SimState {
  index: number;
  term: number;
  configuration: Configuration;
  /** Of all that it holds; equal states have equal hashes, whichever way they came about. */
  readonly hash: number;
  /** The hash as it follows from what is held. */
  computedHash(): number;
  encode(): Buffer;
}

/** How states of a kind begin, and are read again. */
export interface StateKind {
  empty(configuration: Configuration): SimState;
  /** Undefined if these are not the bytes of a state. */
  decode(bytes: Buffer): SimState | undefined;
}
