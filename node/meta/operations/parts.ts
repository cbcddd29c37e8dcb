// Files with the PARTS flag: a completed upload whose slices still stand under the inodes of its parts. A reader sees
// the parts' slices, moved to their offsets, below what the file's own chunk rows name (anything written since). Folding
// moves a part's slices into the file's rows, one part at a time; with the last the flag goes.

import { Buffer } from 'node:buffer';
import { limits } from '../../../proto/limits.js';
import { AttrFlag, type Chunk, keyNumber, keys, partsRowCodec, type Slice, Table } from '../../../proto/meta/index.js';
import type { Transaction, View } from '../view.js';
import { Edit } from './edit.js';
import { chunkCount, rangeOf, readChunk, scanChunks, shiftSlices } from './slices.js';
import { decodeRow, encodeRow, hasFlag, type Node } from './store.js';

/** Where the offset of a part's end stands in the key of its row. */
const END_AT = 9;

export interface Part {
  inode: number;
  start: number;
  end: number;
}

/** Parts of a file that hold bytes of [start, end), in order, at most `limit`. */
export function findParts(view: View, inode: number, range: { start: number; end: number }, limit: number): Part[] {
  const parts: Part[] = [];
  view.scan(keys.parts(inode, range.start + 1), keys.afterInode(Table.PARTS, inode), (key, value) => {
    const row = decodeRow(partsRowCodec, value);
    const end = keyNumber(key, END_AT);
    const start = end - row.length;
    if (start >= range.end) return false;
    parts.push({ inode: row.inode, start, end });
    return parts.length < limit;
  });
  return parts;
}

/** Adds the parts' slices of chunks [first, end) below what `chunks` names; the result is in order of chunks. */
export function withParts(
  view: View,
  inode: number,
  range: { first: number; end: number },
  chunks: readonly Chunk[],
  most = Number.POSITIVE_INFINITY,
): Chunk[] {
  const merged = new Map<number, Slice[]>();
  let count = 0;
  const add = (chunk: number, slice: Slice): void => {
    count++;
    if (chunk < range.first || chunk >= range.end) return;
    const list = merged.get(chunk);
    if (list === undefined) merged.set(chunk, [slice]);
    else list.push(slice);
  };
  const start = range.first * limits.chunkBytes;
  const end = range.end * limits.chunkBytes;
  for (const part of findParts(view, inode, { start, end }, limits.multipartParts)) {
    if (count > most) break;
    const from = Math.floor(Math.max(0, start - part.start) / limits.chunkBytes);
    const to = chunkCount(Math.min(part.end, end) - part.start);
    const rows = scanChunks(view, part.inode, { first: from, end: to, slices: limits.slicesPerRequest });
    for (const row of rows) shiftSlices(row.chunk, row.slices, part.start, add);
  }
  for (const { chunk, slices } of chunks) for (const slice of slices) add(chunk, slice);
  const result: Chunk[] = [];
  for (const [chunk, slices] of merged) result.push({ chunk, slices });
  return result.sort((left, right) => left.chunk - right.chunk);
}

/**
 * Chunks [first, first + count) of a file, holes left out. Reading stops soon after `most` slices, so that a caller with
 * a bound sees more than it, not all.
 */
export function contentChunks(
  view: View,
  node: Node,
  first: number,
  count: number,
  most = Number.POSITIVE_INFINITY,
): Chunk[] {
  const inode = node.attr.inode;
  const end = Math.min(first + count, chunkCount(node.attr.size));
  if (first >= end) return [];
  if (hasFlag(node.attr, AttrFlag.PARTS)) {
    const rows = scanChunks(view, inode, { first, end, slices: most });
    return withParts(view, inode, { first, end }, rows, most);
  }
  if (end - first > 1) return scanChunks(view, inode, { first, end, slices: most });
  const slices = readChunk(view, inode, first);
  return slices.length === 0 ? [] : [{ chunk: first, slices }];
}

/** Moves the slices of one part into the file's rows; answers how many they were. */
export function foldPart(edit: Edit, inode: number, part: Part): number {
  const moved = new Map<number, Slice[]>();
  let count = 0;
  for (const row of scanChunks(edit.tx, part.inode, { first: 0, end: 2 ** 33, slices: Number.POSITIVE_INFINITY })) {
    count += row.slices.length;
    edit.setChunk(part.inode, row.chunk, row.slices, []);
    shiftSlices(row.chunk, row.slices, part.start, (chunk, slice) => {
      const list = moved.get(chunk);
      if (list === undefined) moved.set(chunk, [slice]);
      else list.push(slice);
    });
  }
  for (const [chunk, slices] of moved) {
    const before = readChunk(edit.tx, inode, chunk);
    edit.setChunk(inode, chunk, before, slices.concat(before));
  }
  edit.tx.delete(keys.parts(inode, part.end));
  return count;
}

function endFold(edit: Edit, node: Node): void {
  edit.tx.delete(keys.fold(node.attr.inode));
  edit.touch(node).flags &= ~AttrFlag.PARTS;
}

/** Before a file with parts is cut: parts behind `size` go to reclaim, the one that it falls into is folded. */
export function truncateParts(edit: Edit, node: Node, size: number): void {
  const inode = node.attr.inode;
  const range = { start: size, end: Number.POSITIVE_INFINITY };
  for (const part of findParts(edit.tx, inode, range, limits.multipartParts)) {
    if (part.start < size) foldPart(edit, inode, part);
    else {
      edit.tx.delete(keys.parts(inode, part.end));
      edit.reclaimInode(part.inode);
    }
  }
  if (findParts(edit.tx, inode, { start: 0, end: size }, 1).length === 0) endFold(edit, node);
}

/** Names the parts of a new file, for folding later. */
export function putParts(edit: Edit, node: Node, parts: readonly Part[]): void {
  const inode = node.attr.inode;
  for (const part of parts) {
    const row = encodeRow(partsRowCodec, { inode: part.inode, length: part.end - part.start });
    edit.tx.put(keys.parts(inode, part.end), row);
  }
  edit.tx.put(keys.fold(inode), Buffer.alloc(0));
  edit.touch(node).flags |= AttrFlag.PARTS;
}

/** Hands the parts of a file that is being freed to reclaim, at most `limit`; false: more stand there. */
export function dropParts(edit: Edit, inode: number, atMs: number, limit: number): boolean {
  const parts = findParts(edit.tx, inode, { start: 0, end: Number.POSITIVE_INFINITY }, limit + 1);
  for (const part of parts.slice(0, limit)) {
    edit.tx.delete(keys.parts(inode, part.end));
    edit.reclaimInode(part.inode, atMs);
  }
  if (parts.length > limit) return false;
  edit.tx.delete(keys.fold(inode));
  return true;
}

/**
 * Folds parts of the first file that waits for it, until about `limit` slices have moved (a part is never left half
 * folded). Answers whether any file waits still. For the service, as a transaction of its own.
 */
export function foldStep(tx: Transaction, limit: number): boolean {
  const [start, end] = [Table.FOLD, String.fromCharCode(Table.FOLD.charCodeAt(0) + 1)];
  const waiting: number[] = [];
  tx.scan(start, end, (key) => {
    waiting.push(keyNumber(key));
    return waiting.length < 2;
  });
  const inode = waiting[0];
  if (inode === undefined) return false;
  const edit = new Edit(tx, 0, { sec: 0, nsec: 0 });
  const node = edit.load(inode);
  if (node === undefined) {
    tx.delete(keys.fold(inode));
    return waiting.length > 1;
  }
  const parts = findParts(tx, inode, { start: 0, end: Number.POSITIVE_INFINITY }, Math.max(2, limit));
  let moved = 0;
  for (const part of parts) {
    if (moved >= limit) break;
    moved += foldPart(edit, inode, part) + 1;
  }
  const done = !anyParts(tx, inode);
  if (done) endFold(edit, node);
  edit.finish();
  return !done || waiting.length > 1;
}

function anyParts(view: View, inode: number): boolean {
  let any = false;
  view.scan(...rangeOf(Table.PARTS, inode), () => {
    any = true;
    return false;
  });
  return any;
}
