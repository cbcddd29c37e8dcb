// Where blocks are written to and read from: the block threads of this process, block servers over TCP, later a cloud.

import type { Windows } from './windows.js';

export interface BlockStore {
  /** The session under which this client writes; blocks that no metadata came to name are freed after it has ended. */
  readonly session: number;
  /** Whether a read waits for a network, so that reading ahead is worth a copy more. */
  readonly isDistant: boolean;
  /** Whether blocks are read without asking another process. */
  readonly isInProcess: boolean;
  /**
   * A buffer of at least `bytes` (at most limits.blockBytes) to fill and hand to `write`, from the thread's slab where
   * the store is in this process. Null when the bound is reached: wait for `onSpace`.
   */
  allocate(bytes: number): Buffer | null;
  /** Gives a buffer of `allocate` back; not before the write that uses it has ended. */
  release(buffer: Buffer): void;
  /** Calls once when `allocate` may succeed again. */
  onSpace(callback: () => void): void;
  /**
   * Writes one block: `data` is a view of an allocated buffer. Resolves when it is on disk as the volume's policy
   * says, with the blob's id. `blob` 0 begins a blob (index 0). Rejects with OfsError: SEALED (begin a new blob),
   * NOSPC, BUSY, TIMEOUT, IO.
   * `checksums` are the CRC-32s of its pieces of limits.checksumPieceBytes.
   */
  write(blob: number, index: number, data: Buffer, checksums: readonly number[]): Promise<number>;
  /**
   * Copies [offset, offset + target.length) of a block into `target` at once, checked, if that costs no waiting
   * (co-located and lately used); false otherwise.
   */
  readSync(block: number, offset: number, target: Buffer): boolean;
  /** The same, waiting. Rejects with OfsError CORRUPT (after a repair was tried), NOENT, IO, TIMEOUT. */
  read(block: number, offset: number, target: Buffer): Promise<void>;
  /** Small blocks that lie behind others, where their files are on this machine. */
  readonly windows?: Windows | null;
  /** Bytes that the store has in all, and that are free. */
  capacity(): Promise<{ totalBytes: number; freeBytes: number }>;
  close(): Promise<void>;
}
