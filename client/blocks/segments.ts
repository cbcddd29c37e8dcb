// From what metadata names (a chunk's slices) to what a block store is asked for: reads of blocks into parts of a target.

import { blockOf } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { mergeSlices, type Slice } from '../../proto/meta/index.js';
import type { BlockStore } from './interface.js';

const BLOCK = limits.blockBytes;

/** A read of one block: where from, and where to. */
export interface BlockPart {
  readonly block: number;
  readonly offset: number;
  readonly target: Buffer;
  /** Bytes that the block has. */
  readonly blockLength: number;
}

/**
 * What must be read to fill `target` with the bytes of a chunk from `start`: appended to `parts`. Holes are zeroed at
 * once.
 */
export function partsOf(slices: readonly Slice[], start: number, target: Buffer, parts: BlockPart[]): void {
  for (const segment of mergeSlices(slices, start, start + target.length)) {
    const at = segment.offset - start;
    const place = target.subarray(at, at + segment.length);
    if (segment.blob === 0) place.fill(0);
    else partsOfBlob(segment.blob, segment.blobOffset, segment.blobLength, place, parts);
  }
}

/** The reads that fill `target` with the bytes of a blob from `offset`. */
export function partsOfBlob(
  blob: number,
  offset: number,
  blobLength: number,
  target: Buffer,
  parts: BlockPart[],
): void {
  for (let done = 0; done < target.length; ) {
    const index = Math.floor((offset + done) / BLOCK);
    const inBlock = offset + done - index * BLOCK;
    const length = Math.min(BLOCK - inBlock, target.length - done);
    const part = done === 0 && length === target.length ? target : target.subarray(done, done + length);
    const blockLength = Math.min(BLOCK, blobLength - index * BLOCK);
    parts.push({ block: blockOf(blob, index), offset: inBlock, target: part, blockLength });
    done += length;
  }
}

/** All parts at once, limits.readsInFlightPerRequest at a time. Rejects with the first error, when all have ended. */
export async function readParts(store: BlockStore, parts: readonly BlockPart[]): Promise<void> {
  if (parts.length === 1) return store.read(parts[0]!.block, parts[0]!.offset, parts[0]!.target);
  let next = 0;
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let part = parts[next++]; part !== undefined && failure === undefined; part = parts[next++]) {
      try {
        await store.read(part.block, part.offset, part.target);
      } catch (error) {
        failure ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parts.length, limits.readsInFlightPerRequest) }, worker));
  if (failure !== undefined) throw failure;
}
