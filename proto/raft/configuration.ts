// Who belongs to a raft group, as it stands in the payload of a CONFIGURATION entry and in a snapshot: always the whole
// configuration, never a difference, so that whoever reads one entry knows all.

import type { Buffer } from 'node:buffer';
import { type Codec, decode, encode, list, struct, u32 } from '../codec.js';
import { limits } from '../limits.js';

export interface Configuration {
  readonly voters: readonly number[];
  /** The voters before the change that is under way; empty when there is none. Both majorities decide meanwhile. */
  readonly outgoing: readonly number[];
  /** They get the log and count for nothing. None of them is a voter of either half. */
  readonly learners: readonly number[];
  /** Outgoing voters that are learners once the change is through. */
  readonly learnersNext: readonly number[];
}

export const configurationCodec: Codec<Configuration> = struct({
  voters: list(u32, limits.raftVoters),
  outgoing: list(u32, limits.raftVoters),
  learners: list(u32, limits.raftLearners),
  learnersNext: list(u32, limits.raftVoters),
}) as Codec<Configuration>;

export function encodeConfiguration(configuration: Configuration): Buffer {
  return encode(configurationCodec, configuration);
}

/** Throws DecodeError. */
export function decodeConfiguration(payload: Buffer): Configuration {
  return decode(configurationCodec, payload);
}
