// The metadata service as its clients see it.

import type { MetaOperationName, MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';

export interface MetaChannel {
  /**
   * One operation, one request. Resolves with the answer when it is committed; rejects with OfsError.
   * Retries, under the same request number, until limits.requestTimeoutMs have passed. `payload` must stay as it is, also
   * after the call has ended: it may be on its way yet.
   */
  call<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
    payload?: Buffer,
  ): Promise<AnswerOf<MetaOperations[K]>>;
  /**
   * Answers a read at once from this process's own database, if a lease allows it; undefined otherwise. Throws OfsError
   * as `call` rejects.
   */
  readLocal<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
  ): AnswerOf<MetaOperations[K]> | undefined;
  /** The session of this client with a group, opened and renewed by the channel as long as it lives. */
  session(group: number): Promise<number>;
  /** Tells the group with the next renewal, and at once if it is new, that this client holds or lets go an inode. */
  hold(group: number, inode: number): void;
  unhold(group: number, inode: number): void;
  close(): Promise<void>;
}
