// Small blocks in the order in which they were written: what lies behind one that was read is likely to be read next. It
// is read from the volume's file, where that is on this machine, beside the requests, and handed over for the cache. Not
// beyond what the node says stands: a needle that was never answered may be cut by the next start, and its id given to
// another. One that stands and carries the file's cookie and checksums that fit holds its block's bytes, whatever has become
// of it since: blocks never change. More is read where that is used, nothing where it is not. Bounded: one read under way
// and one open file a volume.

import fs from 'node:fs';
import { dataPath } from '../../node/block/index.js';
import {
  dataFits,
  emptyNeedleHeader,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  readNeedleHeader,
  readSuperblock,
  SUPERBLOCK_BYTES,
  trailerFits,
} from '../../proto/block/index.js';
import { blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';

const FIRST_BYTES = 16 * 1024;
const MOST_BYTES = 256 * 1024;
/** After so many blocks that were followed by nothing a volume is tried again. */
const TRIED_AGAIN = 64;
/** Files are opened anew now and then, so that a deleted one gives its space back. */
const FILE_AGE_MS = 10_000;

/** A small block that was read. Its needle is at `position` of its volume's file, in which all stand up to `until`. */
export interface Found {
  readonly block: number;
  readonly position: number;
  readonly until: number;
}

/** Takes a block's bytes, checked, which are its own from then on. */
export type Keep = (block: number, bytes: Buffer) => void;

interface Volume {
  readonly fd: number;
  readonly cookie: number;
  readonly openedMs: number;
  reading: boolean;
  retired: boolean;
  /** Bytes that are read behind a block. */
  wanted: number;
  without: number;
  /** Blocks that the last read brought, and how many of them were used. */
  brought: Set<number>;
  used: number;
}

export class Windows {
  private readonly volumes = new Map<number, Volume>();
  private readonly header = emptyNeedleHeader();

  /** `directory`: the node's. */
  constructor(private readonly directory: string) {}

  /** Reads what lies behind a block; `keep` is called for each, some time. */
  follow({ block, position, until }: Found, keep: Keep): void {
    const number = blockVolume(block);
    const volume = this.volume(number);
    if (volume === null || volume.reading) return;
    adapt(volume);
    if (volume.wanted === 0) return;
    const buffer = Buffer.allocUnsafe(Math.min(volume.wanted, until - position));
    volume.reading = true;
    fs.read(volume.fd, buffer, 0, buffer.length, position, (error, bytes) => {
      volume.reading = false;
      if (volume.retired) fs.closeSync(volume.fd);
      else if (error !== null || !this.take(volume, block, buffer.subarray(0, bytes), keep)) this.retire(number);
    });
  }

  /** A block was read from the cache. */
  used(block: number): void {
    const volume = this.volumes.get(blockVolume(block));
    if (volume?.brought.delete(block)) volume.used++;
  }

  close(): void {
    for (const volume of [...this.volumes.keys()]) this.retire(volume);
  }

  /** What begins with the needle of `block`; false: another file has taken the place of this one. */
  private take(volume: Volume, block: number, bytes: Buffer, keep: Keep): boolean {
    volume.brought.clear();
    volume.used = 0;
    const { header } = this;
    for (let at = 0; readNeedleHeader(bytes, at, header); at += needleBytes(header.length)) {
      const isFirst = at === 0;
      if (header.cookie !== volume.cookie || (isFirst && header.id !== block)) return false;
      const end = at + NEEDLE_HEADER_BYTES + header.length;
      if (at + needleBytes(header.length) > bytes.length) return true;
      if (isFirst || header.tombstone || header.length > limits.inlineBytes) continue;
      const data = bytes.subarray(at + NEEDLE_HEADER_BYTES, end);
      if (!trailerFits(bytes, at, bytes, end) || !dataFits(data, 0, bytes, end)) return true;
      volume.brought.add(header.id);
      keep(header.id, Buffer.from(data));
    }
    return true;
  }

  private volume(number: number): Volume | null {
    const known = this.volumes.get(number);
    if (known !== undefined && (known.reading || performance.now() - known.openedMs < FILE_AGE_MS)) return known;
    if (known !== undefined) this.retire(number);
    else if (this.volumes.size >= limits.volumeFilesOpen) this.retire(this.volumes.keys().next().value!); // not empty
    const opened = this.open(number, known);
    if (opened !== null) this.volumes.set(number, opened);
    return opened;
  }

  private open(number: number, known: Volume | undefined): Volume | null {
    let fd: number;
    try {
      fd = fs.openSync(dataPath(this.directory, number), 'r');
    } catch {
      // Deleted a moment ago, or not to be read by this user: the node has the bytes.
      return null;
    }
    const cookie = cookieOf(fd, number);
    if (cookie === null) {
      fs.closeSync(fd);
      return null;
    }
    const { wanted, without, brought, used } = known ?? {
      wanted: FIRST_BYTES,
      without: 0,
      brought: new Set(),
      used: 0,
    };
    return { fd, cookie, openedMs: performance.now(), reading: false, retired: false, wanted, without, brought, used };
  }

  private retire(number: number): void {
    const volume = this.volumes.get(number);
    if (volume === undefined) return;
    this.volumes.delete(number);
    volume.retired = true;
    if (!volume.reading) fs.closeSync(volume.fd);
  }
}

/** More of what is used, less of what is not, down to nothing. */
function adapt(volume: Volume): void {
  if (volume.wanted === 0) {
    volume.without++;
    if (volume.without < TRIED_AGAIN) return;
    volume.without = 0;
    volume.wanted = FIRST_BYTES;
    return;
  }
  const { brought, used } = volume;
  const all = brought.size + used;
  if (all === 0) return;
  if (used * 2 >= all) volume.wanted = Math.min(volume.wanted * 4, MOST_BYTES);
  else if (used === 0) volume.wanted = volume.wanted > FIRST_BYTES ? FIRST_BYTES : 0;
}

/** Null: the file is not whole, or not this volume's. */
function cookieOf(fd: number, number: number): number | null {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  try {
    fs.readSync(fd, bytes, 0, SUPERBLOCK_BYTES, 0);
    const { volume, cookie } = readSuperblock(bytes);
    return volume === number ? cookie : null;
  } catch {
    return null;
  }
}
