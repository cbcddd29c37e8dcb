// What a file of the model holds: stretches of blobs, in order, apart. The blob is the tag of what was written, so a
// read shows whose bytes are where. Two lists that show the same are the same list. A blob has a number below 0 as long
// as nobody has told which it is.

import { limits } from '../../proto/limits.js';
import { type Chunk, mergeSlices } from '../../proto/meta/index.js';
import { mix } from './table.js';

export interface Extent {
  /** In the file. */
  readonly offset: number;
  readonly length: number;
  readonly blob: number;
  readonly blobOffset: number;
}

export type Content = readonly Extent[];

export const NO_CONTENT: Content = [];

/** What chunks show before byte `size` of the file. */
export function contentOf(chunks: readonly Chunk[], size: number): Content {
  const content: Extent[] = [];
  for (const { chunk, slices } of chunks) {
    const start = chunk * limits.chunkBytes;
    const end = Math.min(limits.chunkBytes, size - start);
    for (const { offset, length, blob, blobOffset } of mergeSlices(slices, 0, end))
      if (blob !== 0) push(content, { offset: start + offset, length, blob, blobOffset });
  }
  return content;
}

/** The part in [start, end). */
export function cut(content: Content, start: number, end: number): Content {
  const kept: Extent[] = [];
  for (const { offset, length, blob, blobOffset } of content) {
    const from = Math.max(offset, start);
    const to = Math.min(offset + length, end);
    if (from < to) push(kept, { offset: from, length: to - from, blob, blobOffset: blobOffset + from - offset });
  }
  return kept;
}

/** `content` with another written over it. */
export function overwrite(content: Content, written: Content): Content {
  let result = content;
  for (const extent of written) {
    const end = extent.offset + extent.length;
    const merged: Extent[] = [...cut(result, 0, extent.offset)];
    push(merged, extent);
    for (const behind of cut(result, end, Number.POSITIVE_INFINITY)) push(merged, behind);
    result = merged;
  }
  return result;
}

/** A number for a blob of which nobody has told where it is. */
export function freshBlob(content: Content): number {
  return Math.min(0, ...content.map(({ blob }) => blob)) - 1;
}

/** Untold blobs numbered by the order in which they show: which of them is which makes no difference. */
export function numbered(content: Content): Content {
  if (content.every(({ blob }) => blob > 0)) return content;
  const numbers = new Map<number, number>();
  return content.map((extent) => {
    if (extent.blob > 0) return extent;
    const blob = numbers.get(extent.blob) ?? -1 - numbers.size;
    numbers.set(extent.blob, blob);
    return { ...extent, blob };
  });
}

/**
 * `content` once a `part` of it was `shown`, which tells where untold blobs of the part are. As it is, if that tells
 * nothing or cannot be: two in one, or one that is another's.
 */
export function identified(content: Content, part: Content, shown: Content): Content {
  const told = new Map<number, number>();
  part.forEach(({ blob }, at) => {
    const real = shown[at]?.blob;
    if (blob < 0 && real !== undefined) told.set(blob, real);
  });
  const real = new Set(told.values());
  if (real.size === 0 || real.size < told.size || content.some(({ blob }) => real.has(blob))) return content;
  return content.map((extent) => ({ ...extent, blob: told.get(extent.blob) ?? extent.blob }));
}

export function sameContent(left: Content, right: Content): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  return left.every((one, at) => {
    const other = right[at]!; // as long
    return (
      one.offset === other.offset &&
      one.length === other.length &&
      one.blob === other.blob &&
      one.blobOffset === other.blobOffset
    );
  });
}

export function hashContent(content: Content): number {
  let hash = content.length;
  for (const { offset, length, blob, blobOffset } of content)
    hash = mix(blob, mix(offset, mix(length, mix(blobOffset, hash))));
  return hash;
}

/** Appends an extent; one that goes on where the last ends, in file and blob, lengthens that. */
function push(content: Extent[], extent: Extent): void {
  const last = content.at(-1);
  if (
    last === undefined ||
    last.blob !== extent.blob ||
    last.offset + last.length !== extent.offset ||
    last.blobOffset + last.length !== extent.blobOffset
  ) {
    content.push(extent);
  } else {
    content[content.length - 1] = { ...last, length: last.length + extent.length };
  }
}
