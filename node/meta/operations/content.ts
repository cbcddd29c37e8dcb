// Attributes and content by inode: getattr, setattr, open, chunkRead, chunkCommit, chunkCompact. Every change of bytes or
// size raises the version and takes the S3 ETag away, in the same transaction. An inode without names serves all of it
// as long as its rows stand.

import { crc32c } from '../../../proto/crc32c.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  AttrFlag,
  chunkRowCodec,
  isDirectory,
  isFile,
  Mode,
  onlyBlock,
  ReclaimKind,
  SetAttr,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { ReadHandler, WriteContext } from '../view.js';
import { type Edit, madeByHand, timeMs } from './edit.js';
import type { EditHandler } from './handler.js';
import { contentChunks, truncateParts, withParts } from './parts.js';
import { appendSlices, checkChunks, readChunk, truncateChunks } from './slices.js';
import { encodeRow, hasFlag, isNameless, type Node, requireNode } from './store.js';

/** Refuses what comes from a session that has ended: what it wrote may have been freed. */
export function checkSession(context: WriteContext, session: number): void {
  if (!context.sessionAlive(session))
    throw new OfsError(Status.SESSION_ENDED, `session ${session} has ended: open another and write the data again`);
}

/** Notes a change of bytes or size. */
export function contentChanged(attr: Attr): void {
  attr.version++;
  attr.flags &= ~AttrFlag.S3_ETAG;
  attr.etag = '';
}

function requireFile(node: Node): void {
  if (isFile(node.attr)) return;
  const status = isDirectory(node.attr) ? Status.ISDIR : Status.INVAL;
  throw new OfsError(status, `inode ${node.attr.inode} is not a regular file`);
}

export const getattr: ReadHandler<'getattr'> = (view, { inode }) => ({ attr: requireNode(view, inode).attr });

/** While rows behind the size wait for their removal, the file must not grow over them. */
function checkMayGrow(attr: Attr): void {
  if (hasFlag(attr, AttrFlag.TRIM))
    throw new OfsError(Status.BUSY, `inode ${attr.inode} was cut and its tail is being removed: try again`);
}

function setSize(edit: Edit, node: Node, size: number): void {
  requireFile(node);
  const attr = node.attr;
  if (size > limits.fileBytes)
    throw new OfsError(Status.FBIG, `a file of ${size} bytes is above the limit of ${limits.fileBytes}`);
  if (size > attr.size) checkMayGrow(attr);
  if (size < attr.size) {
    if (hasFlag(attr, AttrFlag.PARTS)) truncateParts(edit, node, size);
    const whole = truncateChunks(edit, attr.inode, size, limits.truncateSlices);
    if (!whole && !hasFlag(attr, AttrFlag.TRIM)) {
      attr.flags |= AttrFlag.TRIM;
      edit.putReclaim({ kind: ReclaimKind.TRIM, timeMs: timeMs(edit.now), inode: attr.inode, blobs: [] });
    }
  }
  if (size !== attr.size) contentChanged(attr);
  attr.size = size;
  attr.mtime = edit.now;
}

/** What the kernel takes from a file's mode when somebody unprivileged changes it. */
function withoutSetId(mode: number): number {
  const groupMayRun = (mode & 0o010) !== 0;
  return mode & ~(Mode.SET_UID | (groupMayRun ? Mode.SET_GID : 0));
}

export const setattr: EditHandler<'setattr'> = (edit, request) => {
  const node = edit.require(request.inode);
  const given = (flag: number): boolean => (request.valid & flag) !== 0;
  if (given(SetAttr.SIZE)) setSize(edit, node, request.size);
  const attr = edit.touch(node);
  if (given(SetAttr.MODE)) attr.mode = (attr.mode & Mode.TYPE) | (request.mode & Mode.PERMISSIONS);
  if (given(SetAttr.UID)) attr.uid = request.uid;
  if (given(SetAttr.GID)) attr.gid = request.gid;
  if (given(SetAttr.KILL_SUID) && !isDirectory(attr)) attr.mode = withoutSetId(attr.mode);
  if (given(SetAttr.ATIME)) attr.atime = request.atime;
  if (given(SetAttr.MTIME)) attr.mtime = request.mtime;
  if (given(SetAttr.ATIME_NOW)) attr.atime = edit.now;
  if (given(SetAttr.MTIME_NOW)) attr.mtime = edit.now;
  attr.ctime = edit.now;
  madeByHand(edit, node);
  return { attr };
};

export const open: ReadHandler<'open'> = (view, { inode, held, inline }, context) => {
  const node = requireNode(view, inode);
  if (isNameless(node) && !held)
    throw new OfsError(Status.STALE, `inode ${inode} has no name any more: look its name up again`);
  const chunks = isFile(node.attr) ? contentChunks(view, node, 0, limits.chunksPerRead) : [];
  const block = node.attr.size > inline ? 0 : onlyBlock(node.attr.size, chunks);
  return { attr: node.attr, chunks, inlined: block === 0 ? null : context.blockBytes(block, node.attr.size) };
};

export const chunkRead: ReadHandler<'chunkRead'> = (view, { inode, first, count }) => {
  if (count > limits.chunksPerRead)
    throw new OfsError(Status.INVAL, `${count} chunks asked for at once, the limit is ${limits.chunksPerRead}`);
  const node = requireNode(view, inode);
  return { attr: node.attr, chunks: contentChunks(view, node, first, count) };
};

/** Slices that a chunk shows from below its own row: those of parts that are not folded yet. */
function slicesBelow(edit: Edit, node: Node, chunk: number): number {
  if (!hasFlag(node.attr, AttrFlag.PARTS)) return 0;
  const below = withParts(edit.tx, node.attr.inode, { first: chunk, end: chunk + 1 }, []);
  return below[0]?.slices.length ?? 0;
}

export const chunkCommit: EditHandler<'chunkCommit'> = (edit, request, context) => {
  const { inode, chunks } = request;
  checkSession(context, request.session);
  const node = edit.require(inode);
  requireFile(node);
  const attr = edit.touch(node);
  const size = Math.max(attr.size, request.size);
  checkChunks(chunks, size);
  if (size > attr.size) checkMayGrow(attr);
  const crowded: number[] = [];
  for (const { chunk, slices } of chunks) {
    if (slices.length === 0) continue;
    const before = readChunk(edit.tx, inode, chunk);
    const after = appendSlices(before, slices);
    const total = after.length + slicesBelow(edit, node, chunk);
    if (total > limits.slicesPerChunk)
      throw new OfsError(Status.BUSY, `chunk ${chunk} of inode ${inode} has ${total} slices: compact it and try again`);
    if (total > limits.slicesPerChunkBeforeCompaction) crowded.push(chunk);
    for (const slice of slices) edit.offer(slice, inode);
    edit.setChunk(inode, chunk, before, after);
  }
  if (chunks.length > 0 || size !== attr.size) contentChanged(attr);
  attr.size = size;
  attr.mtime = request.mtime ?? edit.now;
  attr.ctime = edit.now;
  return { attr, crowded };
};

export const chunkCompact: EditHandler<'chunkCompact'> = (edit, request, context) => {
  const { inode, chunk, count, slices } = request;
  checkSession(context, request.session);
  const node = edit.require(inode);
  requireFile(node);
  checkChunks([{ chunk, slices }], node.attr.size);
  if (hasFlag(node.attr, AttrFlag.PARTS))
    throw new OfsError(Status.BUSY, `inode ${inode} is a completed upload that is being folded: try again`);
  const before = readChunk(edit.tx, inode, chunk);
  const replaced = before.slice(0, count);
  if (
    count === 0 ||
    replaced.length !== count ||
    crc32c(encodeRow(chunkRowCodec, { slices: replaced })) !== request.check
  )
    throw new OfsError(Status.BUSY, `chunk ${chunk} of inode ${inode} has changed meanwhile: read it and try again`);
  for (const slice of slices) edit.offer(slice, inode);
  edit.setChunk(inode, chunk, before, appendSlices([], slices).concat(before.slice(count)));
  return {};
};
