// Pieces of blocks that were read and checked, for small reads over and over. Blocks never change, so nothing here goes
// stale; a block is dropped whole, by second chance, when the bytes go over the bound. Reads of one piece at a time that
// meet on their way share one request.

import { limits } from '../../proto/limits.js';
import type { BlockStore } from '../blocks/index.js';

const PIECE = limits.checksumPieceBytes;
/** What an entry costs beyond its pieces. */
const ENTRY_BYTES = 512;

interface Entry {
  readonly pieces: (Buffer | Promise<Buffer> | undefined)[];
  bytes: number;
  used: boolean;
}

export class BlockCache {
  bytes = 0;
  private readonly entries = new Map<number, Entry>();

  constructor(
    private readonly store: BlockStore,
    private readonly boundBytes: number,
  ) {}

  /** Copies [offset, offset + target.length) of a block if all of it is here. */
  readSync(block: number, offset: number, target: Buffer): boolean {
    const entry = this.entries.get(block);
    if (entry === undefined) return false;
    for (let done = 0; done < target.length; ) {
      const piece = Math.floor((offset + done) / PIECE);
      const held = entry.pieces[piece];
      if (!Buffer.isBuffer(held)) return false;
      done += copy(held, offset + done - piece * PIECE, target, done);
    }
    entry.used = true;
    return true;
  }

  /** The same, reading what is missing. `blockLength`: bytes that the block has. Rejects as BlockStore.read. */
  async read(block: number, offset: number, target: Buffer, blockLength: number): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const piece = Math.floor((offset + done) / PIECE);
      const held = await this.piece(block, piece, blockLength);
      done += copy(held, offset + done - piece * PIECE, target, done);
    }
  }

  /** Whether all of a block of one piece is here. */
  has(block: number): boolean {
    return Buffer.isBuffer(this.entries.get(block)?.pieces[0]);
  }

  /** All bytes, checked, of a block of one piece; they stay as they are. */
  put(block: number, bytes: Buffer): void {
    if (this.entries.has(block)) return;
    const entry = this.enter(block);
    entry.pieces[0] = bytes;
    entry.bytes += bytes.length;
    this.bytes += bytes.length;
    this.evict();
  }

  private piece(block: number, piece: number, blockLength: number): Buffer | Promise<Buffer> {
    let entry = this.entries.get(block);
    if (entry === undefined) entry = this.enter(block);
    else entry.used = true;
    const held = entry.pieces[piece];
    if (held !== undefined) return held;
    const reading = this.fetch(entry, block, piece, Math.min(PIECE, blockLength - piece * PIECE));
    entry.pieces[piece] = reading;
    return reading;
  }

  private async fetch(entry: Entry, block: number, piece: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length);
    try {
      await this.store.read(block, piece * PIECE, buffer);
    } catch (error) {
      entry.pieces[piece] = undefined;
      if (entry.bytes === ENTRY_BYTES) this.drop(block, entry);
      throw error;
    }
    entry.pieces[piece] = buffer;
    if (this.entries.get(block) === entry) {
      entry.bytes += length;
      this.bytes += length;
      this.evict();
    }
    return buffer;
  }

  private enter(block: number): Entry {
    const entry = { pieces: [], bytes: ENTRY_BYTES, used: false };
    this.bytes += ENTRY_BYTES;
    this.entries.set(block, entry);
    return entry;
  }

  /** In order of entering; one that was used since goes to the end, once. */
  private evict(): void {
    for (const [block, entry] of this.entries) {
      if (this.bytes <= this.boundBytes) return;
      this.entries.delete(block);
      if (entry.used) {
        entry.used = false;
        this.entries.set(block, entry);
      } else {
        this.bytes -= entry.bytes;
      }
    }
  }

  private drop(block: number, entry: Entry): void {
    if (this.entries.get(block) !== entry) return;
    this.entries.delete(block);
    this.bytes -= entry.bytes;
  }
}

function copy(held: Buffer, from: number, target: Buffer, at: number): number {
  const copied = held.copy(target, at, from, Math.min(held.length, from + target.length - at));
  if (copied === 0) throw new RangeError('read beyond the end of a block');
  return copied;
}
