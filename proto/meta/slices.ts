// Slices: the row of a chunk names, in order of writing, which bytes of which blob lie where. A later slice covers an
// earlier one; merging them gives what a reader sees (requirements R2.4).

import { type Decoded, list, struct, u32, u53 } from '../codec.js';
import { blockOf } from '../ids.js';
import { limits } from '../limits.js';

export const sliceCodec = struct({
  /** Offset in the chunk, bytes. */
  offset: u32,
  length: u32,
  blob: u53,
  /** Offset in the blob of the slice's first byte. */
  blobOffset: u32,
  /** Length of the whole blob, from which follows how many blocks it has. */
  blobLength: u32,
});
export type Slice = Decoded<typeof sliceCodec>;

/** Value of a row of the chunk table. */
export const chunkRowCodec = struct({ slices: list(sliceCodec, limits.slicesPerChunk) });

export const chunkCodec = struct({ chunk: u32, slices: list(sliceCodec, limits.slicesPerChunk) });
/** The slices of one chunk of a file, by the chunk's index. */
export type Chunk = Decoded<typeof chunkCodec>;

/** A stretch of a merged chunk: bytes of one blob, or with `blob` 0 a hole, which reads as zeros. */
export interface Segment {
  offset: number;
  length: number;
  blob: number;
  blobOffset: number;
  blobLength: number;
}

/** What lies in [start, end) of a chunk: segments in order, without gaps, holes included. */
export function mergeSlices(slices: readonly Slice[], start: number, end: number): Segment[] {
  const segments: Segment[] = [];
  if (start < end) cover(slices, slices.length - 1, start, end, segments);
  return segments;
}

/** Fills [start, end) from slice `newest` downwards. */
function cover(slices: readonly Slice[], newest: number, start: number, end: number, out: Segment[]): void {
  for (let index = newest; index >= 0; index--) {
    const slice = slices[index]!;
    const from = Math.max(start, slice.offset);
    const to = Math.min(end, slice.offset + slice.length);
    if (from >= to) continue;
    if (start < from) cover(slices, index - 1, start, from, out);
    out.push({
      offset: from,
      length: to - from,
      blob: slice.blob,
      blobOffset: slice.blobOffset + (from - slice.offset),
      blobLength: slice.blobLength,
    });
    if (to < end) cover(slices, index - 1, to, end, out);
    return;
  }
  out.push({ offset: start, length: end - start, blob: 0, blobOffset: 0, blobLength: 0 });
}

/** The block that holds a small file, and nothing but it; 0 where there is none. */
export function onlyBlock(size: number, chunks: readonly Chunk[]): number {
  if (size === 0 || size > limits.inlineBytes || chunks.length !== 1) return 0;
  const segments = mergeSlices(chunks[0]!.slices, 0, size); // there is one
  const { blob, blobOffset, blobLength } = segments[0]!; // of more than no bytes
  return segments.length === 1 && blob !== 0 && blobOffset === 0 && blobLength === size ? blockOf(blob, 0) : 0;
}
