// Chunk rows and what becomes of them: slices from a request are checked and appended, what later slices cover is
// dropped, the tail behind a new size is cut, slices move to another offset. Lists are in order of writing.

import assert from 'node:assert';
import type { ByteString } from '../../../proto/codec.js';
import { BLOB_BLOCKS } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { type Chunk, chunkRowCodec, keyNumber32, keys, type Slice, Table } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { View } from '../view.js';
import type { Edit } from './edit.js';
import { decodeRow } from './store.js';

/** Where a chunk's index stands in the key of its row. */
const CHUNK_AT = 9;
const BLOB_BYTES = BLOB_BLOCKS * limits.blockBytes;

export function readChunk(view: View, inode: number, chunk: number): Slice[] {
  const value = view.get(keys.chunk(inode, chunk));
  return value === undefined ? [] : decodeRow(chunkRowCodec, value).slices;
}

/** The chunk rows of an inode from chunk `first` to before `end`, at most so many that they have `slices` slices. */
export function scanChunks(view: View, inode: number, range: { first: number; end: number; slices: number }): Chunk[] {
  const chunks: Chunk[] = [];
  const last = range.end > 0xffffffff ? keys.afterInode(Table.CHUNK, inode) : keys.chunk(inode, range.end);
  let slices = 0;
  view.scan(keys.chunk(inode, range.first), last, (key, value) => {
    const row = decodeRow(chunkRowCodec, value);
    chunks.push({ chunk: keyNumber32(key, CHUNK_AT), slices: row.slices });
    slices += row.slices.length;
    return slices < range.slices;
  });
  return chunks;
}

/** Chunks that a file of this size can have. */
export function chunkCount(size: number): number {
  return Math.ceil(size / limits.chunkBytes);
}

function checkSlice(slice: Slice, end: number): void {
  const fits =
    slice.length > 0 &&
    slice.offset + slice.length <= end &&
    slice.blob > 0 &&
    slice.blob % BLOB_BLOCKS === 0 &&
    slice.blobLength <= BLOB_BYTES &&
    slice.blobOffset + slice.length <= slice.blobLength;
  if (!fits)
    throw new OfsError(
      Status.INVAL,
      `slice of blob ${slice.blob}: [${slice.offset}, +${slice.length}) of the chunk, offset ${slice.blobOffset} of ` +
        `${slice.blobLength} in the blob, does not fit into ${end} bytes of chunk: send slices that lie within the size`,
    );
}

/** Refuses slices that do not lie within a file of this size, or chunks out of order. */
export function checkChunks(chunks: readonly Chunk[], size: number): void {
  if (size > limits.fileBytes)
    throw new OfsError(Status.FBIG, `a file of ${size} bytes is above the limit of ${limits.fileBytes}`);
  let previous = -1;
  let slices = 0;
  for (const chunk of chunks) {
    if (chunk.chunk <= previous)
      throw new OfsError(Status.INVAL, `chunk ${chunk.chunk} after chunk ${previous}: send each once, in order`);
    previous = chunk.chunk;
    slices += chunk.slices.length;
    const end = Math.min(limits.chunkBytes, size - chunk.chunk * limits.chunkBytes);
    for (const slice of chunk.slices) checkSlice(slice, end);
  }
  if (slices > limits.slicesPerRequest)
    throw new OfsError(Status.INVAL, `${slices} slices in a request, the limit is ${limits.slicesPerRequest}`);
}

/** Disjoint intervals in order, joined where they touch. */
class Intervals {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];

  /** Index of the first interval that ends at or behind `offset`. */
  private seek(offset: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ends[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  covers(start: number, end: number): boolean {
    const index = this.seek(end);
    return index < this.starts.length && this.starts[index]! <= start;
  }

  add(start: number, end: number): void {
    const from = this.seek(start);
    let to = from;
    let joinedStart = start;
    let joinedEnd = end;
    while (to < this.starts.length && this.starts[to]! <= end) {
      joinedStart = Math.min(joinedStart, this.starts[to]!);
      joinedEnd = Math.max(joinedEnd, this.ends[to]!);
      to++;
    }
    this.starts.splice(from, to - from, joinedStart);
    this.ends.splice(from, to - from, joinedEnd);
  }
}

/** The slices of which later ones leave something to be seen. */
export function visibleSlices(slices: readonly Slice[]): Slice[] {
  const covered = new Intervals();
  const kept: Slice[] = [];
  for (let index = slices.length - 1; index >= 0; index--) {
    const slice = slices[index]!;
    const end = slice.offset + slice.length;
    if (covered.covers(slice.offset, end)) continue;
    covered.add(slice.offset, end);
    kept.push(slice);
  }
  return kept.reverse();
}

function continues(last: Slice, slice: Slice): boolean {
  return (
    last.blob === slice.blob &&
    last.offset + last.length === slice.offset &&
    last.blobOffset + last.length === slice.blobOffset
  );
}

/** A blob has grown: whichever of its slices goes last must know all of its blocks. */
function lengthenBlob(list: Slice[], grown: Slice): void {
  for (let index = 0; index < list.length; index++) {
    const slice = list[index]!;
    if (slice.blob !== grown.blob || slice.blobLength >= grown.blobLength) continue;
    list[index] = { ...slice, blobLength: grown.blobLength };
  }
}

/** `before` with `added` written over it. A slice that continues the last one lengthens it. */
export function appendSlices(before: readonly Slice[], added: readonly Slice[]): Slice[] {
  const list = before.slice();
  let end = 0;
  let overlaps = false;
  for (const slice of list) end = Math.max(end, slice.offset + slice.length);
  for (const slice of added) {
    if (slice.offset < end) overlaps = true;
    end = Math.max(end, slice.offset + slice.length);
    if (slice.blobOffset > 0) lengthenBlob(list, slice);
    const last = list[list.length - 1];
    if (last !== undefined && continues(last, slice)) {
      list[list.length - 1] = {
        ...last,
        length: last.length + slice.length,
        blobLength: Math.max(last.blobLength, slice.blobLength),
      };
    } else list.push(slice);
  }
  return overlaps ? visibleSlices(list) : list;
}

/** Slices of a chunk, cut at `end` bytes of the chunk. */
export function cutSlices(slices: readonly Slice[], end: number): Slice[] {
  const kept: Slice[] = [];
  for (const slice of slices) {
    if (slice.offset >= end) continue;
    kept.push(slice.offset + slice.length <= end ? slice : { ...slice, length: end - slice.offset });
  }
  return kept;
}

/**
 * Calls `visit` with each slice of a chunk, moved by `shift` bytes in the file, split where it crosses the bound of a
 * chunk.
 */
export function shiftSlices(
  chunk: number,
  slices: readonly Slice[],
  shift: number,
  visit: (chunk: number, slice: Slice) => void,
): void {
  for (const slice of slices) {
    const start = chunk * limits.chunkBytes + slice.offset + shift;
    assert(start >= 0);
    let done = 0;
    while (done < slice.length) {
      const index = Math.floor((start + done) / limits.chunkBytes);
      const offset = (start + done) % limits.chunkBytes;
      const length = Math.min(slice.length - done, limits.chunkBytes - offset);
      visit(index, { ...slice, offset, length, blobOffset: slice.blobOffset + done });
      done += length;
    }
  }
}

/** Gives an inode without chunk rows its content. */
export function putChunks(edit: Edit, inode: number, chunks: readonly Chunk[]): void {
  for (const { chunk, slices } of chunks) {
    const list = slices.length > 1 ? appendSlices([], slices) : slices;
    if (list.length !== slices.length) for (const slice of slices) edit.offer(slice, inode);
    edit.setChunk(inode, chunk, [], list);
  }
}

/**
 * A request that was done and is sent once more under another number (its client's session ended, and with it the
 * answer that was kept) names blobs of the inode that it replaces: they are then named twice, and counted so.
 */
export function shareRepeated(edit: Edit, old: number, chunks: readonly Chunk[]): void {
  const first = chunks[0]?.slices[0];
  if (first === undefined) return;
  if (!readChunk(edit.tx, old, chunks[0]!.chunk).some(({ blob }) => blob === first.blob)) return;
  for (const { chunk } of chunks) for (const slice of readChunk(edit.tx, old, chunk)) edit.share(slice, old);
}

/** Removes the chunk rows behind `size` and cuts the one it falls into; false: more than `slices` stand there. */
export function truncateChunks(edit: Edit, inode: number, size: number, slices: number): boolean {
  const first = Math.floor(size / limits.chunkBytes);
  const end = size % limits.chunkBytes;
  const rows = scanChunks(edit.tx, inode, { first, end: Number.POSITIVE_INFINITY, slices: slices + 1 });
  let seen = 0;
  for (const row of rows) {
    seen += row.slices.length;
    edit.setChunk(inode, row.chunk, row.slices, row.chunk === first ? cutSlices(row.slices, end) : []);
  }
  return seen <= slices;
}

/** Removes an inode's chunk rows, at most so many that they have `slices` slices; false: more stand there. */
export function removeChunks(edit: Edit, inode: number, slices: number): boolean {
  return truncateChunks(edit, inode, 0, slices);
}

/** First key of an inode's rows in a table and the key behind its last. */
export function rangeOf(table: ByteString, inode: number): [ByteString, ByteString] {
  return [keys.ofInode(table, inode), keys.afterInode(table, inode)];
}
