// What stands in a data file, found by its format alone, apart from the code under test: for what is to be damaged, for
// what is said to be on the platter, and to count.

import {
  dataFits,
  emptyIndexLine,
  emptyNeedleHeader,
  INDEX_LINE_BYTES,
  INDEX_LINE_WORDS,
  IndexKind,
  NEEDLE_ALIGN,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  readIndexLine,
  readNeedleHeader,
  readSuperblock,
  SUPERBLOCK_BYTES,
  trailerFits,
  VOLUME_KEYS,
} from '../../../proto/block/index.js';
import { DecodeError } from '../../../proto/codec.js';

export interface FoundNeedle {
  readonly id: number;
  readonly offset: number;
  readonly bytes: number;
  readonly length: number;
  readonly tombstone: boolean;
  readonly blocks: number;
}

export const DIRECTORY = '/node';
const BLOCKS = `${DIRECTORY}/blocks/`;

export function volumeFile(volume: number, kind: 'needles' | 'index'): string {
  return `${BLOCKS}${volume.toString(16).padStart(8, '0')}.${kind}`;
}

/** The volume that a file belongs to; undefined for the others, unfinished ones among them. */
export function volumeOf(file: string): number | undefined {
  const match = /\/([0-9a-f]{8})\.(needles|index)$/.exec(file);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}

/** The superblock's, or the first needle's if that is damaged. */
function cookieIn(file: Buffer): number {
  try {
    return readSuperblock(file).cookie;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return file.length < SUPERBLOCK_BYTES + NEEDLE_HEADER_BYTES ? 0 : file.readUInt32LE(SUPERBLOCK_BYTES + 16);
  }
}

/** Needles and tombstones in the order of the file, whatever lies between them. */
export function needlesIn(file: Buffer): FoundNeedle[] {
  const found: FoundNeedle[] = [];
  const header = emptyNeedleHeader();
  if (file.length < SUPERBLOCK_BYTES) return found;
  const cookie = cookieIn(file);
  for (let at = SUPERBLOCK_BYTES; at + NEEDLE_HEADER_BYTES <= file.length; ) {
    const ours = readNeedleHeader(file, at, header) && header.cookie === cookie;
    const bytes = needleBytes(header.length);
    const whole = ours && at + bytes <= file.length;
    const end = at + NEEDLE_HEADER_BYTES + header.length;
    const sound = whole && trailerFits(file, at, file, end);
    if (!sound || (header.length > 0 && !dataFits(file.subarray(at + NEEDLE_HEADER_BYTES, end), 0, file, end))) {
      at += NEEDLE_ALIGN;
      continue;
    }
    const { id, length, tombstone, blocks } = header;
    found.push({ id, offset: at, bytes, length, tombstone, blocks });
    at += bytes;
  }
  return found;
}

/** Blocks that sound lines of an index file name. */
export function blocksNamedIn(volume: number, index: Buffer): Set<number> {
  const named = new Set<number>();
  const words = new Int32Array(Math.floor(index.length / INDEX_LINE_BYTES) * INDEX_LINE_WORDS);
  index.copy(Buffer.from(words.buffer));
  const line = emptyIndexLine();
  // Whatever the cookie: the head's, if it is sound.
  const cookie = words.length > 0 && readIndexLine(words, 0, line, 0) ? line.length : 0;
  for (let at = INDEX_LINE_WORDS; at < words.length; at += INDEX_LINE_WORDS) {
    if (readIndexLine(words, at, line, cookie) && line.kind === IndexKind.NEEDLE) {
      named.add(volume * VOLUME_KEYS + line.key);
    }
  }
  return named;
}

/** Whether a block stands in a file and is not deleted behind it. */
export function livesIn(needles: readonly FoundNeedle[], id: number): boolean {
  let lives = false;
  for (const needle of needles) {
    if (!needle.tombstone) lives ||= needle.id === id;
    else if (id >= needle.id && id < needle.id + needle.blocks) lives = false;
  }
  return lives;
}
