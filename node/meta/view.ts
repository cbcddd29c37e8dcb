// What operations stand on: an ordered view of a group's rows, and a transaction that collects changes over it. The
// operations themselves (node/meta/operations) are pure functions of view, request and context; they run unchanged on
// the pending state of the leader, on an LMDB snapshot of any thread of the process, and in the simulation.

import type { ByteString } from '../../proto/codec.js';
import type { MetaOperationName, MetaOperations, Time } from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';

export interface View {
  /** The value of a key, valid only until the next call of this view: decode it at once. */
  get(key: ByteString): Buffer | undefined;
  /**
   * Rows with start <= key < end in order, until `visit` returns false. The value is valid only during the visit, which
   * must not call the view.
   */
  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void;
}

/** A view in which its own changes are seen. An operation that throws leaves no change. */
export interface Transaction extends View {
  /** `value` is kept, not copied: hand over a buffer of its own. */
  put(key: ByteString, value: Buffer): void;
  delete(key: ByteString): void;
}

export type BlockBytes = NonNullable<MetaAnswer<'open'>['inlined']>;

export interface ReadContext {
  /** The partition whose inodes this group makes. */
  readonly partition: number;
  readonly now: Time;
  /** Whether a living session holds the inode (an open file or a read under way). */
  holds(inode: number): boolean;
  /** The bytes of a block, checked, if they are at hand without waiting. `bytes` is valid until the next call. */
  blockBytes(block: number, length: number): BlockBytes | null;
}

export interface WriteContext extends ReadContext {
  /** Whether a session may commit: opened and neither closed nor expired. Session 0 is the service itself. */
  sessionAlive(session: number): boolean;
  /** 16 random bytes as 32 hexadecimal digits. */
  token(): ByteString;
}

export type MetaRequest<K extends MetaOperationName> = RequestOf<MetaOperations[K]>;
export type MetaAnswer<K extends MetaOperationName> = AnswerOf<MetaOperations[K]>;

/** Throws OfsError for whatever is wrong with the request; then nothing is changed. Never awaits. */
export type ReadHandler<K extends MetaOperationName> = (
  view: View,
  request: MetaRequest<K>,
  context: ReadContext,
) => MetaAnswer<K>;
export type WriteHandler<K extends MetaOperationName> = (
  transaction: Transaction,
  request: MetaRequest<K>,
  context: WriteContext,
) => MetaAnswer<K>;
