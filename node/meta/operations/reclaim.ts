// Giving back what nothing names any more. `plan` reads what may be done now; `step` turns rows of inodes into rows of
// blobs, a bounded piece in one transaction; the blobs that `plan` names are then deleted in the block store, and
// `finish` removes their rows. Every one of them may be repeated: a crash at any point leaves the rows to be done again.
//
// A blob that a living file ceased to name is freed only if its count still is zero: a writer that went on with it has
// taken it back.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import {
  AttrFlag,
  afterPrefix,
  countRowCodec,
  keyNumber,
  keys,
  ReclaimKind,
  type ReclaimRow,
  reclaimRowCodec,
  Table,
} from '../../../proto/meta/index.js';
import type { ReadContext, Transaction, View } from '../view.js';
import { Edit } from './edit.js';
import { dropParts } from './parts.js';
import { removeChunks, truncateChunks } from './slices.js';
import { decodeRow, hasFlag } from './store.js';
import { dropXattrs } from './xattrs.js';

export interface ReclaimBlobs {
  sequence: number;
  /** To be deleted; may be empty, when all have been taken back. */
  blobs: { blob: number; blocks: number }[];
}

export interface ReclaimPlan {
  /** Rows for `step`, one transaction each. */
  steps: number[];
  /** Rows whose blobs may be deleted now; then `finish`. */
  deletes: ReclaimBlobs[];
  /** Where to go on: rows before it are planned, held, or too young. 0: the end was reached, begin again later. */
  next: number;
}

export interface ReclaimOptions {
  nowMs: number;
  /** How old a row must be. */
  minAgeMs: number;
  /** Sequence to begin at: 0, or the last plan's `next`. */
  from: number;
  /** Rows planned at most. */
  limit: number;
  /** Rows looked at at most. */
  scan: number;
}

interface Found {
  sequence: number;
  row: ReclaimRow;
}

function mayGo(row: ReclaimRow, options: ReclaimOptions, holds: (inode: number) => boolean): boolean {
  if (row.kind === ReclaimKind.TRIM || row.kind === ReclaimKind.FREED) return true;
  return row.timeMs + options.minAgeMs <= options.nowMs && !holds(row.inode);
}

/** What can be reclaimed now. `context.holds` decides which inodes are in use. */
export function plan(view: View, context: Pick<ReadContext, 'holds'>, options: ReclaimOptions): ReclaimPlan {
  const found: Found[] = [];
  let scanned = 0;
  let next = 0;
  view.scan(keys.reclaim(options.from), afterPrefix(Table.RECLAIM), (key, value) => {
    const sequence = keyNumber(key);
    if (scanned++ === options.scan || found.length === options.limit) {
      next = sequence;
      return false;
    }
    const row = decodeRow(reclaimRowCodec, value);
    if (mayGo(row, options, (inode) => context.holds(inode))) found.push({ sequence, row });
    return true;
  });
  const steps: number[] = [];
  const deletes: ReclaimBlobs[] = [];
  for (const { sequence, row } of found) {
    if (row.kind === ReclaimKind.INODE || row.kind === ReclaimKind.TRIM) steps.push(sequence);
    else deletes.push({ sequence, blobs: row.blobs.filter(({ blob }) => isGivenUp(view, row, sequence, blob)) });
  }
  return { steps, deletes, next };
}

function isGivenUp(view: View, row: ReclaimRow, sequence: number, blob: number): boolean {
  if (row.kind === ReclaimKind.FREED) return true;
  const value = view.get(keys.shared(blob));
  if (value === undefined) return false;
  const { count, reclaim } = decodeRow(countRowCodec, value);
  return count === 0 && reclaim === sequence;
}

function readRow(tx: Transaction, sequence: number): ReclaimRow | undefined {
  const value = tx.get(keys.reclaim(sequence));
  return value === undefined ? undefined : decodeRow(reclaimRowCodec, value);
}

/** Removes the rows of an inode without names, a bounded number of them; true: all are gone. */
function freeInode(edit: Edit, row: ReclaimRow): boolean {
  const { inode } = row;
  edit.freeBlobs();
  if (!removeChunks(edit, inode, limits.reclaimBatch)) return false;
  if (!dropParts(edit, inode, row.timeMs, limits.reclaimBatch)) return false;
  if (!dropXattrs(edit, inode, limits.reclaimBatch)) return false;
  edit.tx.delete(keys.link(inode));
  return true;
}

/** Removes chunk rows behind the size of a file that was cut; true: all are gone. */
function trimInode(edit: Edit, inode: number): boolean {
  const node = edit.load(inode);
  if (node === undefined || !hasFlag(node.attr, AttrFlag.TRIM)) return true;
  if (!truncateChunks(edit, inode, node.attr.size, limits.reclaimBatch)) return false;
  edit.touch(node).flags &= ~AttrFlag.TRIM;
  return true;
}

/**
 * One bounded piece of a row that `plan` named: a row of an inode becomes rows of blobs. Whoever runs it must know that
 * the inode still is not held: an inode without names can only be opened by those who held it.
 */
export function step(tx: Transaction, context: Pick<ReadContext, 'partition' | 'now'>, sequence: number): void {
  const row = readRow(tx, sequence);
  if (row === undefined) return;
  const edit = new Edit(tx, context.partition, context.now);
  const done = row.kind === ReclaimKind.INODE ? freeInode(edit, row) : trimInode(edit, row.inode);
  if (done) tx.delete(keys.reclaim(sequence));
  edit.finish();
}

/** Removes rows whose blobs have been deleted in the block store. */
export function finish(tx: Transaction, done: readonly ReclaimBlobs[]): void {
  for (const { sequence, blobs } of done) {
    const row = readRow(tx, sequence);
    if (row === undefined) continue;
    if (row.kind === ReclaimKind.BLOBS) {
      for (const { blob } of blobs) if (isGivenUp(tx, row, sequence, blob)) tx.delete(keys.shared(blob));
    }
    tx.delete(keys.reclaim(sequence));
  }
}

/** First key of the reclaim table and the key behind its last, for whoever counts its rows. */
export const reclaimRange: [ByteString, ByteString] = [Table.RECLAIM, afterPrefix(Table.RECLAIM)];
