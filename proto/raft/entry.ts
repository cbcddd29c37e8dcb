// One entry of a raft log, as it travels between nodes and lies in the WAL.

import type { Buffer } from 'node:buffer';
import { type Codec, struct, u8, u53 } from '../codec.js';
import { limits } from '../limits.js';

export const EntryKind = {
  /** What a state machine proposed. */
  NORMAL: 0,
  /** The entry that a leader begins its term with. */
  EMPTY: 1,
  /** A change of the configuration. */
  CONFIGURATION: 2,
} as const;

export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: number;
  readonly payload: Buffer;
}

/** Bytes that an entry takes beside its payload, at most: index, term, kind, length. */
export const ENTRY_OVERHEAD_BYTES = 8 + 8 + 1 + 4;

/** Bytes as a view into the buffer that was read. */
function view(max: number): Codec<Buffer> {
  return {
    shape: { kind: 'bytes', max },
    write: (writer, value) => writer.bytes(value),
    read: (reader) => reader.bytes(max),
  };
}

export const entryCodec: Codec<Entry> = struct({
  index: u53,
  term: u53,
  kind: u8,
  payload: view(limits.raftEntryBytes),
});
