// Keys in order, for the rows of the pending state: some ten thousand at most, inserted and removed one at a time, and
// walked from any place. A list of short sorted lists: both steps cost a binary search and the move of a few hundred
// words.

import type { ByteString } from '../../proto/codec.js';

const PIECE_KEYS = 256;

export class SortedKeys {
  private readonly pieces: ByteString[][] = [];

  /** The key must not be in already. */
  insert(key: ByteString): void {
    if (this.pieces.length === 0) {
      this.pieces.push([key]);
      return;
    }
    const at = this.pieceOf(key);
    const piece = this.pieces[at]!;
    piece.splice(lowerBound(piece, key), 0, key);
    if (piece.length > PIECE_KEYS) this.pieces.splice(at + 1, 0, piece.splice(PIECE_KEYS / 2));
  }

  /** The key must be in. */
  remove(key: ByteString): void {
    const at = this.pieceOf(key);
    const piece = this.pieces[at]!;
    piece.splice(lowerBound(piece, key), 1);
    if (piece.length === 0) this.pieces.splice(at, 1);
  }

  /** A cursor at the first key >= start; valid until the next change. */
  from(start: ByteString): KeyCursor {
    if (this.pieces.length === 0) return new KeyCursor(this.pieces, 0, 0);
    const at = this.pieceOf(start);
    return new KeyCursor(this.pieces, at, lowerBound(this.pieces[at]!, start));
  }

  /** The piece where a key stands or would stand. */
  private pieceOf(key: ByteString): number {
    let low = 0;
    let high = this.pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.pieces[middle]![0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** `key` is undefined behind the last. */
export class KeyCursor {
  key: ByteString | undefined;

  constructor(
    private readonly pieces: readonly (readonly ByteString[])[],
    private at: number,
    private index: number,
  ) {
    this.settle();
  }

  advance(): void {
    this.index++;
    this.settle();
  }

  private settle(): void {
    let piece = this.pieces[this.at];
    if (piece !== undefined && this.index >= piece.length) {
      piece = this.pieces[++this.at];
      this.index = 0;
    }
    this.key = piece?.[this.index];
  }
}

function lowerBound(sorted: readonly ByteString[], key: ByteString): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
