// Multipart uploads. A part is an inode without a name, whose chunk rows stand from offset 0. Complete gives the slices
// to a new inode: up to limits.multipartDirectSlices as chunk rows at their final offsets, beyond that by naming the
// parts (parts.ts). Whatever a complete or abort does not use goes to reclaim.

import type { ByteString, Decoded } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import {
  AttrFlag,
  afterPrefix,
  type Chunk,
  keyNumber32,
  keys,
  type Slice,
  Table,
  uploadPartRowCodec,
  uploadRowCodec,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { MetaAnswer, MetaRequest, ReadHandler, View } from '../view.js';
import { checkSession } from './content.js';
import type { Edit } from './edit.js';
import type { EditHandler } from './handler.js';
import { behindPrefix } from './list.js';
import { checkTarget, putObject } from './objects.js';
import { type Part, putParts } from './parts.js';
import { checkKey, findObject } from './paths.js';
import { checkChunks, putChunks, removeChunks, scanChunks, shareRepeated, shiftSlices } from './slices.js';
import { decodeRow, encodeRow, hasFlag, type Node } from './store.js';

type UploadRow = Decoded<typeof uploadRowCodec>;
type PartRow = Decoded<typeof uploadPartRowCodec>;

function own(bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes);
}

function readUpload(view: View, path: ByteString, upload: ByteString): UploadRow | undefined {
  const value = view.get(keys.upload(path, upload));
  if (value === undefined) return undefined;
  const row = decodeRow(uploadRowCodec, value);
  row.object = own(row.object);
  return row;
}

function requireUpload(view: View, path: ByteString, upload: ByteString): UploadRow {
  const row = readUpload(view, path, upload);
  if (row === undefined)
    throw new OfsError(
      Status.NO_SUCH_UPLOAD,
      `no upload ${upload} of '${path}': it was completed or aborted, or never was`,
    );
  return row;
}

function decodePart(value: Buffer): PartRow {
  const row = decodeRow(uploadPartRowCodec, value);
  row.checksum = own(row.checksum);
  return row;
}

/** Parts of an upload with numbers above `after`, in order, at most `limit`. */
function scanParts(view: View, upload: ByteString, after: number, limit: number): Map<number, PartRow> {
  const parts = new Map<number, PartRow>();
  const prefix = Table.UPLOAD_PART + upload;
  const start = keys.uploadPart(upload, after + 1);
  view.scan(start, afterPrefix(prefix), (key, value) => {
    if (parts.size === limit) return false;
    parts.set(keyNumber32(key, prefix.length), decodePart(value));
    return true;
  });
  return parts;
}

export const uploadCreate: EditHandler<'uploadCreate'> = (edit, request, context) => {
  const { path, object, initiator, uid, gid } = request;
  checkKey(path);
  if (path.includes('\0')) throw new OfsError(Status.INVAL, 'the key of an upload cannot hold a NUL');
  const upload = context.token();
  const row = { object, created: edit.now, initiator, uid, gid };
  edit.tx.put(keys.upload(path, upload), encodeRow(uploadRowCodec, row));
  return { upload };
};

function checkPartSlices(chunks: readonly Chunk[]): void {
  for (const { chunk, slices } of chunks) {
    if (slices.length > limits.slicesPerPartChunk)
      throw new OfsError(
        Status.INVAL,
        `chunk ${chunk} of a part has ${slices.length} slices, the limit is ${limits.slicesPerPartChunk}: write larger ones`,
      );
  }
}

export const uploadPart: EditHandler<'uploadPart'> = (edit, request, context) => {
  const { upload, path, part, size, chunks, etag } = request;
  if (part < 1 || part > limits.multipartParts)
    throw new OfsError(Status.INVAL, `part number ${part}: they go from 1 to ${limits.multipartParts}`);
  checkSession(context, request.session);
  requireUpload(edit.tx, path, upload);
  checkChunks(chunks, size);
  checkPartSlices(chunks);
  const key = keys.uploadPart(upload, part);
  const before = edit.tx.get(key);
  if (before !== undefined) {
    const old = decodePart(before).inode;
    shareRepeated(edit, old, chunks);
    edit.reclaimInode(old);
  }
  const inode = edit.nextInode();
  putChunks(edit, inode, chunks);
  const row = { inode, size, etag, checksum: request.checksum, modified: edit.now };
  edit.tx.put(key, encodeRow(uploadPartRowCodec, row));
  return {};
};

/** The parts that a complete names, with their places in the object; refuses what S3 refuses. */
function chooseParts(named: MetaRequest<'uploadComplete'>['parts'], stored: ReadonlyMap<number, PartRow>): Part[] {
  if (named.length === 0) throw new OfsError(Status.INVAL, 'an upload is completed by naming its parts: none is named');
  for (let index = 1; index < named.length; index++) {
    if (named[index]!.part <= named[index - 1]!.part)
      throw new OfsError(Status.INVALID_PART_ORDER, `part ${named[index]!.part} after part ${named[index - 1]!.part}`);
  }
  const parts: Part[] = [];
  let end = 0;
  for (const [index, { part, etag }] of named.entries()) {
    const row = stored.get(part);
    if (row === undefined || row.etag !== etag)
      throw new OfsError(Status.INVALID_PART, `part ${part} with ETag ${etag} has not been uploaded: upload it again`);
    if (index < named.length - 1 && row.size < limits.multipartMinPartBytes)
      throw new OfsError(
        Status.PART_TOO_SMALL,
        `part ${part} has ${row.size} bytes; all but the last need ${limits.multipartMinPartBytes}`,
      );
    parts.push({ inode: row.inode, start: end, end: end + row.size });
    end += row.size;
  }
  if (end > limits.fileBytes)
    throw new OfsError(Status.FBIG, `the object would have ${end} bytes, the limit is ${limits.fileBytes}`);
  return parts;
}

/** Whether the parts have few enough slices to be written as chunk rows at once. */
function fitDirectly(view: View, parts: readonly Part[]): boolean {
  let slices = 0;
  const most = limits.multipartDirectSlices;
  for (const part of parts) {
    if (slices + 1 > most && part.end > part.start) return false;
    const range = { first: 0, end: Number.POSITIVE_INFINITY, slices: most + 1 - slices };
    for (const row of scanChunks(view, part.inode, range)) slices += row.slices.length;
  }
  return slices <= most;
}

/** Moves the slices of the parts into chunk rows of the inode. */
function moveSlices(edit: Edit, node: Node, parts: readonly Part[]): void {
  const moved = new Map<number, Slice[]>();
  const most = limits.multipartDirectSlices;
  for (const part of parts) {
    const rows = scanChunks(edit.tx, part.inode, { first: 0, end: Number.POSITIVE_INFINITY, slices: most + 1 });
    for (const row of rows)
      shiftSlices(row.chunk, row.slices, part.start, (chunk, slice) => {
        const list = moved.get(chunk);
        if (list === undefined) moved.set(chunk, [slice]);
        else list.push(slice);
      });
    removeChunks(edit, part.inode, most);
  }
  const chunks = [...moved].map(([chunk, slices]) => ({ chunk, slices }));
  putChunks(edit, node.attr.inode, chunks);
}

/** Removes the rows of an upload; parts that are not `used` go to reclaim. */
function removeUpload(edit: Edit, path: ByteString, upload: ByteString, used: ReadonlySet<number>): void {
  const parts = scanParts(edit.tx, upload, 0, limits.multipartParts);
  for (const [part, row] of parts) {
    edit.tx.delete(keys.uploadPart(upload, part));
    if (!used.has(row.inode)) edit.reclaimInode(row.inode);
  }
  edit.tx.delete(keys.upload(path, upload));
}

/** The answer to a complete that has been done already: the object, if it still is the one. */
function completedBefore(edit: Edit, request: MetaRequest<'uploadComplete'>): MetaAnswer<'uploadComplete'> {
  const node = findObject(edit.tx, rootInode(edit.partition), request.path);
  const same = node !== undefined && hasFlag(node.attr, AttrFlag.S3_ETAG) && node.attr.etag === request.etag;
  if (same) return { attr: node.attr };
  throw new OfsError(Status.NO_SUCH_UPLOAD, `no upload ${request.upload} of '${request.path}'`);
}

export const uploadComplete: EditHandler<'uploadComplete'> = (edit, request) => {
  const { upload, path, etag } = request;
  const row = readUpload(edit.tx, path, upload);
  if (row === undefined) return completedBefore(edit, request);
  const stored = scanParts(edit.tx, upload, 0, limits.multipartParts);
  const parts = chooseParts(request.parts, stored);
  checkTarget(edit, path, request.condition);
  const direct = fitDirectly(edit.tx, parts);
  if (!direct && path.endsWith('/'))
    throw new OfsError(Status.FBIG, `the body of the marker '${path}' has too many parts: put it under another key`);
  const used = new Set<number>();
  if (!direct) for (const part of parts) if (part.end > part.start) used.add(part.inode);
  const write = (node: Node): void => {
    if (direct) moveSlices(edit, node, parts);
    else
      putParts(
        edit,
        node,
        parts.filter((part) => used.has(part.inode)),
      );
  };
  const size = parts[parts.length - 1]!.end;
  const content = { size, etag, object: request.object ?? row.object, write };
  const node = putObject(edit, path, content, { uid: row.uid, gid: row.gid });
  if (direct) for (const part of parts) used.add(part.inode);
  removeUpload(edit, path, upload, used);
  return { attr: node.attr };
};

export const uploadAbort: EditHandler<'uploadAbort'> = (edit, { upload, path }) => {
  requireUpload(edit.tx, path, upload);
  removeUpload(edit, path, upload, new Set());
  return {};
};

export const uploadInfo: ReadHandler<'uploadInfo'> = (view, { upload, path }) => {
  const { object, created, initiator } = requireUpload(view, path, upload);
  return { object, created, initiator };
};

export const uploadParts: ReadHandler<'uploadParts'> = (view, { upload, path, after, limit }) => {
  requireUpload(view, path, upload);
  const most = Math.min(limit, limits.multipartParts);
  const found = scanParts(view, upload, after, most + 1);
  const parts: MetaAnswer<'uploadParts'>['parts'] = [];
  for (const [part, row] of found) {
    if (parts.length === most) break;
    parts.push({ part, size: row.size, etag: row.etag, checksum: row.checksum, modified: row.modified });
  }
  return { parts, truncated: found.size > most };
};

/** Length of the upload id and the NUL before it, at the end of an upload's key. */
const ID_BYTES = 33;

export const uploadList: ReadHandler<'uploadList'> = (view, request) => {
  const { prefix, keyMarker, uploadMarker } = request;
  const most = Math.min(request.limit, limits.listPageEntries);
  const behind = behindPrefix(prefix);
  const end = behind === null ? afterPrefix(Table.UPLOAD) : Table.UPLOAD + behind;
  // Behind all uploads of the marker's key (no key of an upload holds a NUL), or behind the one that is named.
  const marker = uploadMarker === '' ? `${keyMarker}\x01` : `${keyMarker}\0${uploadMarker}\0`;
  const start = Table.UPLOAD + (keyMarker === '' || marker < prefix ? prefix : marker);
  const uploads: MetaAnswer<'uploadList'>['uploads'] = [];
  let truncated = false;
  if (start >= end || most === 0) return { uploads, truncated };
  view.scan(start, end, (key, value) => {
    if (uploads.length === most) {
      truncated = true;
      return false;
    }
    const { created, initiator } = decodeRow(uploadRowCodec, value);
    const at = key.length - ID_BYTES;
    uploads.push({ key: key.slice(1, at), upload: key.slice(at + 1), created, initiator });
    return true;
  });
  return { uploads, truncated };
};
