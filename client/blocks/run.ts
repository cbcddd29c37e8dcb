// A run: bytes of one chunk of a file written in order, on their way into a blob. Bytes are copied once, into the block
// being filled, and their checksums taken as they pass; a full block is sent at once, several at a time, once the first
// of its blob is answered and the blob has its id. A block's memory is kept until it and all before it are on disk. When
// a block cannot be written where the blob lives (volume sealed, server gone), the rest of the run goes on in a new blob;
// blocks of the old one behind that point are named by nobody and left to the sweep. Who owns the run sees none of that:
// it seals, waits (`settled`), and takes the slices.

import assert from 'node:assert';
import { blobOf, blockOf } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import type { Slice } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { PieceChecksums } from './checksums.js';
import type { Space } from './space.js';

const BLOCK = limits.blockBytes;

interface RunBlock {
  /** Null once it is on disk with all before it. */
  buffer: Buffer | null;
  length: number;
  readonly checksums: PieceChecksums;
  sending: boolean;
  landed: boolean;
}

/** Blocks from `first` on (to the next part's first) that lie in one blob. */
interface Part {
  readonly first: number;
  readonly session: number;
  id: number;
  sending: number;
  failure: OfsError | null;
}

export class Run {
  length = 0;
  sealed = false;
  /** Why the run stands still; `retry` starts it again from where it stopped. */
  error: OfsError | null = null;
  /** Called when a block has come to disk, and when the run has failed. */
  onProgress: (() => void) | null = null;
  private readonly blocks: RunBlock[] = [];
  private readonly parts: Part[] = [];
  private tail: RunBlock | null = null;
  /** The part that takes the next block; null: a new blob is to be begun. */
  private part: Part | null = null;
  private next = 0;
  private durable = 0;
  private redirects = 0;
  private aborted = false;
  private held = false;
  private waiters: { resolve: () => void; reject: (error: OfsError) => void }[] = [];

  /** `start`: offset in the file of the first byte; `limit`: the most bytes it takes, at most to the chunk's end. */
  constructor(
    private readonly space: Space,
    readonly start: number,
    readonly limit: number,
  ) {
    assert(limit > 0 && (start % limits.chunkBytes) + limit <= limits.chunkBytes);
  }

  get end(): number {
    return this.start + this.length;
  }

  /** Blocks complete and not on disk yet. */
  get pendingBlocks(): number {
    return this.blocks.length - this.durable;
  }

  /** Whether any byte has been sent. */
  get sent(): boolean {
    return this.next > 0;
  }

  get hasTail(): boolean {
    return this.tail !== null;
  }

  /** Whether `splitTail` has two sides to make. */
  get canSplit(): boolean {
    return !this.sealed && this.blocks.length > 0 && this.tail !== null && this.tail.length > 0;
  }

  /** Bytes of memory of the block being filled. */
  get tailBytes(): number {
    return this.tail?.buffer?.length ?? 0;
  }

  /** The most bytes that the block being filled, or the next one, comes to have. */
  get blockLimit(): number {
    return Math.min(BLOCK, this.limit - this.blocks.length * BLOCK);
  }

  /** Bytes that `append` takes without another buffer. */
  get room(): number {
    const { tail } = this;
    if (tail === null || this.sealed) return 0;
    return Math.min(tail.buffer!.length - tail.length, this.limit - this.length); // a tail has its buffer
  }

  /** Memory for the block being filled: the first, or a bigger one, into which what is there is copied. */
  adopt(buffer: Buffer): void {
    assert(!this.sealed && buffer.length <= BLOCK);
    const { tail } = this;
    if (tail === null) {
      this.tail = { buffer, length: 0, checksums: new PieceChecksums(), sending: false, landed: false };
      return;
    }
    const old = tail.buffer!; // a tail has its buffer
    assert(buffer.length > old.length);
    old.copy(buffer, 0, 0, tail.length);
    tail.buffer = buffer;
    this.space.release(old);
  }

  /** Takes what fits of `data[from, to)`; answers how many bytes. At its limit the run seals itself. */
  append(data: Uint8Array, from: number, to: number): number {
    const bytes = Math.min(this.room, to - from);
    const { tail } = this;
    if (tail === null || bytes === 0) return 0;
    tail.checksums.copy(data, from, from + bytes, tail.buffer!, tail.length); // a tail has its buffer
    tail.length += bytes;
    this.length += bytes;
    if (this.length === this.limit) this.seal();
    else if (tail.length === BLOCK) this.completeTail();
    return bytes;
  }

  /** No more bytes: what is in the block being filled is sent as the blob's last. */
  seal(): void {
    if (this.sealed) return;
    this.sealed = true;
    if (this.tail === null) return;
    if (this.tail.length > 0) {
      this.completeTail();
      return;
    }
    this.free(this.tail);
    this.tail = null;
  }

  /** Seals the run behind its last full block; the block being filled goes on as the first of a run of its own. */
  splitTail(): Run {
    const { tail } = this;
    assert(tail !== null && this.canSplit);
    const taken = this.blocks.length * BLOCK;
    const rest = new Run(this.space, this.start + taken, this.limit - taken);
    rest.tail = tail;
    rest.length = tail.length;
    this.tail = null;
    this.length = taken;
    this.sealed = true;
    return rest;
  }

  /**
   * Seals a run of at most `bytes`, of which nothing was sent, and does not send it: whoever has the bytes now writes them
   * in another way, and calls `written` or `sendNow`. Null, and nothing changed, for any other run.
   */
  hold(bytes: number): { data: Buffer; crc: number } | null {
    const { tail } = this;
    if (this.sealed || this.error !== null || this.blocks.length > 0 || tail === null) return null;
    if (tail.length === 0 || tail.length > Math.min(bytes, limits.checksumPieceBytes)) return null;
    this.held = true;
    this.seal();
    return { data: tail.buffer!.subarray(0, tail.length), crc: tail.checksums.finish()[0]! }; // a tail has its buffer
  }

  /** The bytes of a held run are on disk, as a blob of their own written under `session`. */
  written(blob: number, session: number): void {
    assert(this.held && !this.aborted);
    this.held = false;
    this.part = { first: 0, session, id: blob, sending: 0, failure: null };
    this.parts.push(this.part);
    this.next = 1;
    this.landed(this.part, this.blocks[0]!, blob); // a held run has its block
  }

  /** A held run goes the way of all others. */
  sendNow(): void {
    assert(this.held);
    this.held = false;
    this.pump();
  }

  /** Resolves when the sealed run is on disk whole; rejects with what stops it. */
  settled(): Promise<void> {
    assert(this.sealed);
    if (this.error !== null) return Promise.reject(this.error);
    if (this.isDurable) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  get isDurable(): boolean {
    return this.sealed && this.tail === null && this.durable === this.blocks.length;
  }

  /** Tries again what failed; the bytes are still here. */
  retry(): void {
    if (this.error === null || this.aborted) return;
    this.error = null;
    this.redirects = 0;
    this.pump();
  }

  /** Gives the bytes up and their memory back, as far as it is not being sent. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.sealed = true;
    for (const block of this.blocks) if (!block.sending) this.free(block);
    if (this.tail !== null) this.free(this.tail);
    this.tail = null;
    this.fail(new OfsError(Status.CLOSED, 'the write was given up'));
  }

  /** The run as slices of its chunk, when it is durable. */
  slices(): Slice[] {
    assert(this.isDurable);
    return this.parts.map((part, index) => {
      const begin = part.first * BLOCK;
      const end = Math.min(this.length, (this.parts[index + 1]?.first ?? this.blocks.length) * BLOCK);
      const offset = (this.start % limits.chunkBytes) + begin;
      return { offset, length: end - begin, blob: part.id, blobOffset: 0, blobLength: end - begin };
    });
  }

  /** Whether all that is on disk was written under this session. */
  isOf(session: number): boolean {
    return this.parts.every((part) => part.session === session);
  }

  /** Memory with the byte at `at` of the run, or null when it is on disk: then `blockAt`. */
  memoryAt(at: number): Buffer | null {
    const index = Math.floor(at / BLOCK);
    return (index < this.blocks.length ? this.blocks[index]! : this.tail)?.buffer ?? null;
  }

  /** The id of the block with the byte at `at`, which is on disk, with the block's offset in the run and its length. */
  blockAt(at: number): { block: number; start: number; length: number } {
    const index = Math.floor(at / BLOCK);
    assert(index < this.durable);
    const part = this.parts.findLast(({ first }) => first <= index)!; // durable blocks lie in a part
    return { block: blockOf(part.id, index - part.first), start: index * BLOCK, length: this.blocks[index]!.length };
  }

  private completeTail(): void {
    this.blocks.push(this.tail!); // callers have one
    this.tail = null;
    this.pump();
  }

  private pump(): void {
    while (this.error === null && !this.aborted && !this.held && this.next < this.blocks.length) {
      if (this.part === null) {
        this.part = { first: this.next, session: this.space.store.session, id: 0, sending: 0, failure: null };
        this.parts.push(this.part);
      }
      const { part } = this;
      const allowed = part.id === 0 ? 1 : limits.blocksInFlightPerBlob;
      if (part.failure !== null || part.sending >= allowed) return;
      this.send(part, this.blocks[this.next]!, this.next - part.first);
      this.next++;
    }
  }

  private send(part: Part, block: RunBlock, index: number): void {
    const buffer = block.buffer!; // kept until durable
    const data = block.length === buffer.length ? buffer : buffer.subarray(0, block.length);
    block.sending = true;
    part.sending++;
    this.space.inFlightBytes += buffer.length;
    const ended = (): void => {
      block.sending = false;
      part.sending--;
      this.space.inFlightBytes -= buffer.length;
      if (this.aborted) this.free(block);
    };
    this.space.store.write(part.id, index, data, block.checksums.finish()).then(
      (blob) => {
        ended();
        this.landed(part, block, blob);
      },
      (error: unknown) => {
        ended();
        this.missed(part, error);
      },
    );
  }

  private landed(part: Part, block: RunBlock, blob: number): void {
    assert(blob === blobOf(blob) && (part.id === 0 || part.id === blob));
    if (this.aborted) return;
    part.id = blob;
    block.landed = true;
    for (let first = this.blocks[this.durable]; first?.landed === true; first = this.blocks[this.durable]) {
      this.free(first);
      this.durable++;
      this.redirects = 0;
    }
    if (part.failure !== null) this.recover(part);
    else this.pump();
    this.onProgress?.();
    if (this.isDurable) this.wake();
  }

  private missed(part: Part, error: unknown): void {
    if (this.aborted) return;
    part.failure ??= error instanceof OfsError ? error : new OfsError(Status.IO, `writing a block: ${String(error)}`);
    this.recover(part);
  }

  /** When all that was sent to a blob that failed has ended: the first block not on disk begins a new blob. */
  private recover(part: Part): void {
    if (part.sending > 0) return;
    const failure = part.failure!; // the caller has seen it
    const begun = this.durable > part.first;
    if (!begun) this.parts.pop();
    for (let index = this.durable; index < this.blocks.length; index++) this.blocks[index]!.landed = false;
    this.part = null;
    this.next = this.durable;
    this.redirects++;
    const elsewhere = failure.status === Status.SEALED || begun || part.id !== 0;
    if (elsewhere && this.redirects <= limits.blobRedirects) this.pump();
    else this.fail(failure);
  }

  private fail(error: OfsError): void {
    this.error = error;
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    this.onProgress?.();
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter.resolve();
  }

  private free(block: RunBlock): void {
    if (block.buffer !== null) this.space.release(block.buffer);
    block.buffer = null;
  }
}
