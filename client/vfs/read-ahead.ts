// Read-ahead of one handle that reads in order: the stretch behind what was read last is asked for before it is wanted,
// in pieces of the size of the reads, more of them the longer the reading goes on. A piece counts only as long as nothing
// has changed the file since it was asked for; it is bounded for each handle and for all of them.

import { limits } from '../../proto/limits.js';
import type { VfsFile } from './file.js';

/** Reads in a row after which it begins. */
const BEGIN_AFTER = 2;
const SMALLEST_BYTES = 64 * 1024;
const SPARE_BUFFERS = 16;

/** Reads as Vfs.read does, but without read-ahead. */
export type ReadDirect = (file: VfsFile, offset: number, target: Buffer) => Promise<number>;

interface Piece {
  readonly offset: number;
  readonly buffer: Buffer;
  readonly generation: number;
  readonly bytes: Promise<number>;
}

/** The memory of all handles together: bounded, and recycled, since fresh pages cost as much as the copy out of them. */
export class ReadAheadBudget {
  private usedBytes = 0;
  private spare: Buffer[] = [];

  constructor(private readonly boundBytes: number) {}

  allocate(bytes: number): Buffer | null {
    if (this.usedBytes + bytes > this.boundBytes) return null;
    this.usedBytes += bytes;
    const spare = this.spare.pop();
    return spare?.length === bytes ? spare : Buffer.allocUnsafeSlow(bytes);
  }

  release(buffer: Buffer): void {
    this.usedBytes -= buffer.length;
    if (this.spare.length < SPARE_BUFFERS) this.spare.push(buffer);
  }
}

export class ReadAhead {
  private nextOffset = 0;
  private inOrder = 0;
  private pieces: Piece[] = [];
  private windowBytes = 0;

  constructor(
    private readonly budget: ReadAheadBudget,
    private readonly readDirect: ReadDirect,
  ) {}

  async read(file: VfsFile, offset: number, target: Buffer): Promise<number> {
    if (offset !== this.nextOffset) this.reset();
    this.nextOffset = offset + target.length;
    this.inOrder++;
    const ready = this.take(file, offset, target.length);
    if (this.inOrder > BEGIN_AFTER && target.length >= SMALLEST_BYTES) this.extend(file, target.length);
    if (ready === null) return this.readDirect(file, offset, target);
    const bytes = await ready.bytes.catch(() => -1); // the read below says what is wrong
    const whole = bytes === target.length;
    if (whole) ready.buffer.copy(target);
    this.budget.release(ready.buffer);
    return whole ? bytes : this.readDirect(file, offset, target);
  }

  reset(): void {
    for (const piece of this.pieces) this.forget(piece);
    this.pieces = [];
    this.inOrder = 0;
    this.windowBytes = 0;
  }

  /** The piece at the front, if it is this one; all others in front of it are of no use. */
  private take(file: VfsFile, offset: number, length: number): Piece | null {
    const piece = this.pieces.shift();
    if (piece === undefined) return null;
    if (piece.offset === offset && piece.buffer.length === length && piece.generation === file.generation) return piece;
    this.forget(piece);
    this.reset();
    return null;
  }

  private extend(file: VfsFile, length: number): void {
    this.windowBytes = Math.min(limits.readAheadBytes, Math.max(this.windowBytes * 2, length));
    let held = 0;
    for (const piece of this.pieces) held += piece.buffer.length;
    let offset = (this.pieces.at(-1)?.offset ?? this.nextOffset - length) + length;
    while (held + length <= this.windowBytes && offset + length <= file.size) {
      const buffer = this.budget.allocate(length);
      if (buffer === null) return;
      const bytes = this.readDirect(file, offset, buffer);
      bytes.catch(() => undefined); // said again by the read that comes for it
      this.pieces.push({ offset, buffer, generation: file.generation, bytes });
      held += length;
      offset += length;
    }
  }

  private forget(piece: Piece): void {
    const release = (): void => this.budget.release(piece.buffer);
    piece.bytes.then(release, release);
  }
}
