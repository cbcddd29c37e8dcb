// Reads of blocks straight from the volume files of a block server on this machine: where a block lies is asked once and
// kept (bounded), files stay open (bounded), and the pieces touched are checked against the checksums that came with the
// place. A place may be of yesterday, since compaction moves blocks: whatever does not fit is forgotten, and the caller
// asks the server.

import fs from 'node:fs';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { piecesMatch } from './checksums.js';

const PIECE = limits.checksumPieceBytes;
/** A file that could not be opened is not tried again before this. */
const UNREACHABLE_MS = 10_000;
/** Files are opened anew now and then, so that a deleted one gives its space back. */
const FILE_AGE_MS = 10_000;

export interface Place {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly checksums: readonly number[];
}

interface OpenFile {
  readonly fd: number;
  readonly openedMs: number;
  users: number;
  retired: boolean;
}

export class Places {
  /** Null: read once through the server; worth a place the next time. */
  private readonly places = new Map<number, Place | null>();
  private readonly asked = new Map<number, Promise<Place>>();
  private readonly files = new Map<string, OpenFile>();
  private readonly unreachable = new Map<string, number>();

  /** `locate` asks the server for a block's place; rejects with OfsError. */
  constructor(private readonly locate: (block: number) => Promise<Place>) {}

  /** Whether files could not be opened, lately. */
  get isOutOfReach(): boolean {
    return this.unreachable.size > 0;
  }

  /**
   * Fills `target` from a block, checked. False when the server should be asked instead. Rejects with what the server
   * says when it does not know the block either.
   */
  async read(block: number, offset: number, target: Buffer): Promise<boolean> {
    const place = await this.placeOf(block, target.length);
    if (place === null) return false;
    if (offset + target.length > place.length) {
      throw new OfsError(Status.INVAL, `block ${block} has ${place.length} bytes, less than was asked for`);
    }
    const file = this.open(place.file);
    if (file === null) return false;
    file.users++;
    try {
      if (await readChecked(file.fd, place, offset, target)) return true;
    } finally {
      file.users--;
      if (file.retired && file.users === 0) fs.closeSync(file.fd);
    }
    this.places.delete(block);
    this.retire(place.file);
    return false;
  }

  close(): void {
    for (const file of [...this.files.keys()]) this.retire(file);
    this.places.clear();
  }

  private async placeOf(block: number, bytes: number): Promise<Place | null> {
    const known = this.places.get(block);
    if (known !== undefined && known !== null) return known;
    if (known === undefined && bytes <= PIECE) {
      this.remember(block, null);
      return null;
    }
    let asked = this.asked.get(block);
    if (asked === undefined) {
      asked = this.locate(block).finally(() => this.asked.delete(block));
      this.asked.set(block, asked);
    }
    const place = await asked;
    this.remember(block, place);
    return place;
  }

  private remember(block: number, place: Place | null): void {
    this.places.delete(block);
    this.places.set(block, place);
    if (this.places.size <= limits.placesCached) return;
    for (const oldest of this.places.keys()) {
      this.places.delete(oldest);
      return;
    }
  }

  private open(path: string): OpenFile | null {
    const now = performance.now();
    const known = this.files.get(path);
    if (known !== undefined) {
      if (now - known.openedMs < FILE_AGE_MS) return known;
      this.retire(path);
    }
    const triedMs = this.unreachable.get(path);
    if (triedMs !== undefined && now - triedMs < UNREACHABLE_MS) return null;
    let fd: number;
    try {
      fd = fs.openSync(path, 'r');
    } catch {
      // Another mount namespace, no permission, or just deleted: the server has the bytes.
      if (this.unreachable.size >= limits.volumeFilesOpen) this.unreachable.clear();
      this.unreachable.set(path, now);
      return null;
    }
    this.unreachable.delete(path);
    if (this.files.size >= limits.volumeFilesOpen) this.retireOldest();
    const file = { fd, openedMs: now, users: 0, retired: false };
    this.files.set(path, file);
    return file;
  }

  private retireOldest(): void {
    for (const path of this.files.keys()) {
      this.retire(path);
      return;
    }
  }

  private retire(path: string): void {
    const file = this.files.get(path);
    if (file === undefined) return;
    this.files.delete(path);
    file.retired = true;
    if (file.users === 0) fs.closeSync(file.fd);
  }
}

/** Reads the pieces that the range touches, checks them, and copies the range; into `target` itself where it is whole pieces. */
async function readChecked(fd: number, place: Place, offset: number, target: Buffer): Promise<boolean> {
  const first = Math.floor(offset / PIECE);
  const start = first * PIECE;
  const end = Math.min(place.length, Math.ceil((offset + target.length) / PIECE) * PIECE);
  const whole = start === offset && end === offset + target.length;
  const data = whole ? target : Buffer.allocUnsafe(end - start);
  const bytes = await readAt(fd, data, place.offset + start);
  if (bytes !== data.length || !piecesMatch(data, place.checksums, first)) return false;
  if (!whole) data.copy(target, 0, offset - start);
  return true;
}

/** Bytes read; -1 where the disk fails, which the server shall say. */
function readAt(fd: number, target: Buffer, position: number): Promise<number> {
  return new Promise((resolve) => {
    fs.read(fd, target, 0, target.length, position, (error, bytes) => resolve(error === null ? bytes : -1));
  });
}
