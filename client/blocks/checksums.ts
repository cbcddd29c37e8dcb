// Checksums of a block's data: the CRC-32 (node:zlib's, IEEE 802.3) of each piece of limits.checksumPieceBytes, the last
// piece shorter. Writers compute them while the bytes are in the cache; readers check only the pieces they touch.

import { crc32 } from 'node:zlib';
import { limits } from '../../proto/limits.js';

const PIECE = limits.checksumPieceBytes;

/** The checksums of one block, computed as its bytes arrive in order. */
export class PieceChecksums {
  private readonly complete: number[] = [];
  private current = 0;
  private currentBytes = 0;

  /** Copies `source[from, to)` to `target[at]`, piece by piece, and takes its checksum where it is still hot. */
  copy(source: Uint8Array, from: number, to: number, target: Buffer, at: number): void {
    let position = from;
    let place = at;
    while (position < to) {
      const length = Math.min(PIECE - this.currentBytes, to - position);
      target.set(length === source.length ? source : source.subarray(position, position + length), place);
      this.current = crc32(target.subarray(place, place + length), this.current);
      this.currentBytes += length;
      position += length;
      place += length;
      if (this.currentBytes === PIECE) this.endPiece();
    }
  }

  /** The checksums of all bytes so far; nothing may be added after it. */
  finish(): readonly number[] {
    if (this.currentBytes > 0) this.endPiece();
    return this.complete;
  }

  private endPiece(): void {
    this.complete.push(this.current);
    this.current = 0;
    this.currentBytes = 0;
  }
}

/** Whether `data`, which begins at the start of piece `first` of a block, is what `checksums` of that block say. */
export function piecesMatch(data: Uint8Array, checksums: readonly number[], first: number): boolean {
  let piece = first;
  for (let at = 0; at < data.length; at += PIECE) {
    if (crc32(data.subarray(at, at + PIECE)) !== checksums[piece++]) return false;
  }
  return true;
}
