// PUT, DELETE and copy of objects. A PUT makes a new inode and swaps the dentry, as rename over the old name: mode and
// owner are inherited, other hard links keep the old content, the old inode goes the way of an unlinked open file. Only
// here are implicit directories made and removed.

import assert from 'node:assert';
import type { ByteString } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  AttrFlag,
  DENTRY_NAME_AT,
  type Dentry,
  dentryCodec,
  isFile,
  keys,
  Mode,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { View } from '../view.js';
import { checkSession, contentChanged } from './content.js';
import { type Edit, entriesChanged } from './edit.js';
import { linkedAttr, newAttr } from './entries.js';
import type { EditHandler } from './handler.js';
import { contentChunks } from './parts.js';
import {
  type Condition,
  checkCondition,
  checkKey,
  ensureDirectories,
  findObject,
  type Owner,
  parsePath,
  requireObject,
  walk,
} from './paths.js';
import { checkChunks, chunkCount, putChunks, shareRepeated, truncateChunks } from './slices.js';
import { decodeRow, hasFlag, isMarker, type Node, nodeAt, placeOf } from './store.js';

/** What is put at a key. `write` gives the inode, which has no content, its slices. */
export interface Content {
  size: number;
  etag: ByteString;
  object: Uint8Array;
  write: (node: Node) => void;
  /** Told of the file that loses the name to it. */
  replaces?: (old: Node) => void;
}

function setObject(edit: Edit, node: Node, content: Content): Attr {
  const attr = edit.touch(node);
  contentChanged(attr);
  attr.size = content.size;
  attr.object = Uint8Array.prototype.slice.call(content.object);
  if (content.etag !== '') {
    attr.etag = content.etag;
    attr.flags |= AttrFlag.S3_ETAG;
  }
  attr.mtime = edit.now;
  attr.ctime = edit.now;
  return attr;
}

/** Takes a marker's body and metadata away. */
function clearMarker(edit: Edit, node: Node): void {
  const attr = edit.touch(node);
  const whole = truncateChunks(edit, attr.inode, 0, limits.truncateSlices);
  assert(whole, 'the body of a marker is put by one request, whose slices are fewer');
  contentChanged(attr);
  attr.size = 0;
  attr.object = new Uint8Array(0);
  attr.flags &= ~AttrFlag.MARKER;
  attr.mtime = edit.now;
  attr.ctime = edit.now;
}

function putMarker(edit: Edit, directory: Node, content: Content): Node {
  clearMarker(edit, directory);
  content.write(directory);
  setObject(edit, directory, content);
  directory.attr.flags |= AttrFlag.MARKER;
  return directory;
}

/** Puts content at a key, whatever it named before. */
export function putObject(edit: Edit, path: ByteString, content: Content, owner: Owner): Node {
  const { directories, name } = parsePath(path);
  const directory = ensureDirectories(edit, directories, owner);
  if (name === null) return putMarker(edit, directory, content);
  const parent = directory.attr.inode;
  const old = edit.at(keys.fileDentry(parent, name));
  const attr = newAttr(edit.nextInode(), directory.attr, { mode: Mode.FILE | 0o644, ...owner }, edit.now);
  if (old !== undefined) {
    if (isFile(old.attr)) {
      attr.mode = old.attr.mode & ~(Mode.SET_UID | Mode.SET_GID);
      attr.uid = old.attr.uid;
      attr.gid = old.attr.gid;
    }
    content.replaces?.(old);
    edit.removeName(old, parent, name);
  }
  const node = edit.insert(parent, name, attr);
  content.write(node);
  setObject(edit, node, content);
  attr.version = 1;
  entriesChanged(edit, directory);
  return node;
}

/** Decides the condition on what S3 sees at the key now. */
export function checkTarget(edit: Edit, path: ByteString, condition: Condition): void {
  checkKey(path);
  if (condition.ifMatch === '' && condition.ifNoneMatch === '') return;
  checkCondition(condition, findObject(edit.tx, rootInode(edit.partition), path)?.attr, path);
}

export const objectPut: EditHandler<'objectPut'> = (edit, request, context) => {
  const { path, chunks, size, etag, object } = request;
  checkSession(context, request.session);
  checkChunks(chunks, size);
  checkTarget(edit, path, request.condition);
  const write = (node: Node): void => putChunks(edit, node.attr.inode, chunks);
  const replaces = (old: Node): void => shareRepeated(edit, old.attr.inode, chunks);
  const content = { size, etag, object, write, replaces };
  return { attr: putObject(edit, path, content, { uid: request.uid, gid: request.gid }).attr };
};

/** What S3 would see of a directory's entries, looking at a bounded number of them. */
function contentsFor(view: View, inode: number): 'empty' | 'visible' | 'hidden' {
  let state: 'empty' | 'visible' | 'hidden' = 'empty';
  const links: number[] = [];
  let scanned = 0;
  view.scan(keys.directory(inode), keys.directory(inode + 1), (key, value) => {
    state = 'hidden';
    const directory = key.charCodeAt(key.length - 1) === 0x2f && key.length > DENTRY_NAME_AT;
    const dentry: Dentry | null = directory ? null : decodeRow(dentryCodec, value);
    if (dentry === null || (dentry.attr !== null && isFile(dentry.attr))) {
      state = 'visible';
      return false;
    }
    if (dentry.attr === null) links.push(dentry.link);
    return ++scanned < limits.visibleScan;
  });
  return links.some((link) => isFile(linkedAttr(view, link))) ? 'visible' : state;
}

/**
 * Removes a directory that only PUTs stood for and that has no entries any more, and those above it likewise. One in
 * which only entries stand that S3 does not see is kept, as if somebody had made it: an implicit directory always leads
 * to a key. Answers how many it removed.
 */
function prune(edit: Edit, from: Node): number {
  let directory = from;
  for (let removed = 0; ; removed++) {
    const attr = directory.attr;
    if (!hasFlag(attr, AttrFlag.IMPLICIT) || hasFlag(attr, AttrFlag.MARKER)) return removed;
    const contents = contentsFor(edit.tx, attr.inode);
    if (contents === 'visible') return removed;
    if (contents === 'hidden') {
      edit.touch(directory).flags &= ~AttrFlag.IMPLICIT;
      return removed;
    }
    const place = placeOf(edit.tx, attr.inode);
    if (place === undefined || place.parent === 0) return removed;
    const parent = edit.directory(place.parent);
    edit.removeDirectory(directory);
    entriesChanged(edit, parent);
    parent.attr.nlink--;
    directory = parent;
  }
}

/** Deletes what S3 sees at a key; answers how many directories went with it. */
function deleteOne(edit: Edit, path: ByteString): number {
  const { directories, name } = parsePath(path);
  const place = walk(edit.tx, rootInode(edit.partition), directories);
  if (place.inode === 0) return 0;
  if (name !== null) {
    const node = nodeAt(edit.tx, keys.fileDentry(place.inode, name));
    if (node === undefined || !isFile(node.attr)) return 0;
    const directory = edit.directory(place.inode);
    edit.removeName(edit.adopt(node), place.inode, name);
    entriesChanged(edit, directory);
    return prune(edit, directory);
  }
  const directory = edit.at(place.key);
  if (directory === undefined || !isMarker(directory.attr)) return 0;
  clearMarker(edit, directory);
  directory.attr.flags |= AttrFlag.IMPLICIT;
  return prune(edit, directory);
}

/** Why a key may not be deleted, or OK. */
function refusal(edit: Edit, path: ByteString, condition: Condition): Status {
  try {
    checkTarget(edit, path, condition);
    return Status.OK;
  } catch (error) {
    if (error instanceof OfsError) return error.status;
    throw error;
  }
}

export const objectDelete: EditHandler<'objectDelete'> = (edit, { paths, condition }) => {
  const statuses: number[] = [];
  let pruned = 0;
  for (const path of paths) {
    // Beyond the bound the rest is for another request: a thousand keys may stand for half a million directories.
    const status = pruned < limits.prunedPerRequest ? refusal(edit, path, condition) : Status.BUSY;
    if (status === Status.OK) pruned += deleteOne(edit, path);
    edit.finish();
    statuses.push(status);
  }
  return { statuses };
};

export const objectCopy: EditHandler<'objectCopy'> = (edit, request) => {
  const { source, target } = request;
  const from = requireObject(edit.tx, rootInode(edit.partition), source);
  checkCondition(request.sourceCondition, from.attr, source);
  checkKey(target);
  if (source === target && request.object === null)
    throw new OfsError(Status.INVAL, `'${source}' cannot be copied onto itself without new metadata`);
  const chunks = contentChunks(edit.tx, from, 0, chunkCount(from.attr.size), limits.slicesPerRequest + 1);
  let slices = 0;
  for (const chunk of chunks) slices += chunk.slices.length;
  if (slices > limits.slicesPerRequest)
    throw new OfsError(Status.FBIG, `'${source}' has more than ${limits.slicesPerRequest} slices: copy it by reading`);
  const write = (node: Node): void => {
    for (const chunk of chunks) for (const slice of chunk.slices) edit.share(slice, from.attr.inode);
    putChunks(edit, node.attr.inode, chunks);
  };
  const { size, object } = from.attr;
  const etag = hasFlag(from.attr, AttrFlag.S3_ETAG) ? from.attr.etag : '';
  const content = { size, etag, object: request.object ?? object, write };
  return { attr: putObject(edit, target, content, { uid: request.uid, gid: request.gid }).attr };
};
