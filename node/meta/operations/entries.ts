// Making and removing names in directories, as POSIX has it: lookup, mknod, mkdir, symlink, link, unlink, rmdir, readdir.
// Every change clears the implicit mark of the directory (design.md, section 7). Permissions are the kernel's.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  DENTRY_NAME_AT,
  type Dentry,
  dentryCodec,
  isDirectory,
  keys,
  Mode,
  showName,
  type Time,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { ReadHandler, View } from '../view.js';
import { type Edit, entriesChanged, madeByHand } from './edit.js';
import type { EditHandler } from './handler.js';
import { checkMayMake, locate, locateIn, noEntry, type Place, requireIn } from './places.js';
import { decodeRow, dentryHead, isNameless, type Node, readLink, requireDirectory, withoutObject } from './store.js';

const NO_OBJECT = new Uint8Array(0);

/** Attributes of a new inode; a directory with the set-gid bit hands its group on. */
export function newAttr(
  inode: number,
  directory: Attr,
  made: { mode: number; uid: number; gid: number },
  now: Time,
): Attr {
  const inherits = (directory.mode & Mode.SET_GID) !== 0;
  const isDir = isDirectory(made);
  return {
    inode,
    mode: inherits && isDir ? made.mode | Mode.SET_GID : made.mode,
    uid: made.uid,
    gid: inherits ? directory.gid : made.gid,
    nlink: isDir ? 2 : 1,
    rdev: 0,
    size: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    flags: 0,
    etag: '',
    target: '',
    object: NO_OBJECT,
  };
}

export const lookup: ReadHandler<'lookup'> = (view, { parent, name }) => {
  const place = locate(view, parent, name);
  if (place.node === undefined) {
    requireDirectory(view, parent);
    throw noEntry(parent, name);
  }
  return { attr: place.node.attr };
};

function exists(shown: ByteString): OfsError {
  return new OfsError(Status.EXIST, `'${shown}' exists already`);
}

/** Puts a new inode under a free name and brings the directory up to date. */
function make(edit: Edit, directory: Node, place: Place, attr: Attr): Attr {
  edit.insert(place.parent, place.name, attr);
  entriesChanged(edit, directory);
  madeByHand(edit, directory);
  if (isDirectory(attr)) directory.attr.nlink++;
  return attr;
}

export const mknod: EditHandler<'mknod'> = (edit, request) => {
  const { parent, name } = request;
  const type = request.mode & Mode.TYPE;
  if (type === Mode.DIRECTORY || type === Mode.SYMLINK)
    throw new OfsError(Status.INVAL, 'mknod makes neither directories nor symlinks: use mkdir and symlink');
  const directory = edit.directory(parent);
  const place = locateIn(edit, parent, name);
  if (place.node !== undefined) {
    if (request.exclusive) throw exists(name);
    return { attr: place.node.attr, created: false };
  }
  checkMayMake(place, name, { directory: false });
  const mode = (type === 0 ? Mode.FILE : type) | (request.mode & Mode.PERMISSIONS);
  const attr = newAttr(edit.nextInode(), directory.attr, { mode, uid: request.uid, gid: request.gid }, edit.now);
  attr.rdev = request.rdev;
  return { attr: make(edit, directory, place, attr), created: true };
};

export const mkdir: EditHandler<'mkdir'> = (edit, request) => {
  const { parent, name } = request;
  const directory = edit.directory(parent);
  const place = locateIn(edit, parent, name);
  if (place.node !== undefined) throw exists(name);
  checkMayMake(place, name, { directory: true });
  const mode = Mode.DIRECTORY | (request.mode & Mode.PERMISSIONS);
  const attr = newAttr(edit.nextInode(), directory.attr, { mode, uid: request.uid, gid: request.gid }, edit.now);
  return { attr: make(edit, directory, place, attr) };
};

export const symlink: EditHandler<'symlink'> = (edit, request) => {
  const { parent, name, target } = request;
  if (target === '') throw new OfsError(Status.NOENT, 'a symlink needs a target');
  if (target.includes('\0')) throw new OfsError(Status.INVAL, 'the target of a symlink cannot hold a NUL');
  const directory = edit.directory(parent);
  const place = locateIn(edit, parent, name);
  if (place.node !== undefined) throw exists(name);
  checkMayMake(place, name, { directory: false });
  const made = { mode: Mode.SYMLINK | 0o777, uid: request.uid, gid: request.gid };
  const attr = newAttr(edit.nextInode(), directory.attr, made, edit.now);
  attr.target = target;
  attr.size = target.length;
  return { attr: make(edit, directory, place, attr) };
};

export const link: EditHandler<'link'> = (edit, { inode, parent, name }) => {
  const node = edit.require(inode);
  if (isDirectory(node.attr)) throw new OfsError(Status.PERM, `inode ${inode} is a directory: it cannot be linked`);
  if (isNameless(node)) throw new OfsError(Status.NOENT, `inode ${inode} has been removed`);
  const directory = edit.directory(parent);
  const place = locateIn(edit, parent, name);
  if (place.node !== undefined) throw exists(name);
  checkMayMake(place, name, { directory: false });
  if (node.attr.nlink >= limits.hardLinks)
    throw new OfsError(Status.MLINK, `inode ${inode} has ${node.attr.nlink} names, which is the most`);
  edit.addName(node, parent, place.name);
  entriesChanged(edit, directory);
  madeByHand(edit, directory);
  return { attr: node.attr };
};

export const unlink: EditHandler<'unlink'> = (edit, { parent, name }) => {
  const directory = edit.directory(parent);
  const place = requireIn(edit, parent, name);
  if (isDirectory(place.node.attr)) throw new OfsError(Status.ISDIR, `'${name}' is a directory: use rmdir`);
  edit.removeName(place.node, parent, place.name);
  entriesChanged(edit, directory);
  madeByHand(edit, directory);
  return { attr: place.node.attr };
};

/** Whether a directory has no entries. */
export function isEmptyDirectory(view: View, inode: number): boolean {
  let empty = true;
  view.scan(keys.directory(inode), keys.directory(inode + 1), () => {
    empty = false;
    return false;
  });
  return empty;
}

export const rmdir: EditHandler<'rmdir'> = (edit, { parent, name }) => {
  const directory = edit.directory(parent);
  const { node } = requireIn(edit, parent, name);
  const inode = node.attr.inode;
  if (!isDirectory(node.attr)) throw new OfsError(Status.NOTDIR, `'${name}' is not a directory: use unlink`);
  if (!isEmptyDirectory(edit.tx, inode)) throw new OfsError(Status.NOTEMPTY, `directory '${name}' is not empty`);
  edit.removeDirectory(node);
  entriesChanged(edit, directory);
  madeByHand(edit, directory);
  directory.attr.nlink--;
  return { inode };
};

/** Bytes that an entry takes in an answer, nearly. */
function entryBytes(name: ByteString, attr: Attr | null): number {
  return name.length + 160 + (attr === null ? limits.symlinkBytes : attr.target.length);
}

const NAME_BYTES = 16;

interface Scanned<T> {
  /** As it stands in the key: with a `/` behind a directory's name. */
  placed: ByteString;
  row: T;
}

/** Dentries of a directory behind `after`, at most `limit`, within half a frame. */
function scanEntries<T>(
  view: View,
  range: { inode: number; after: ByteString; limit: number },
  read: (value: Buffer) => T,
  bytesOf: (placed: ByteString, row: T) => number,
): { rows: Scanned<T>[]; end: boolean } {
  const { inode, after, limit } = range;
  const rows: Scanned<T>[] = [];
  let bytes = 0;
  let end = true;
  const start = after === '' ? keys.directory(inode) : `${keys.fileDentry(inode, after)}\0`;
  view.scan(start, keys.directory(inode + 1), (key, value) => {
    if (rows.length >= limit || bytes > limits.frameBodyBytes / 2) {
      end = false;
      return false;
    }
    const placed = key.slice(DENTRY_NAME_AT);
    const row = read(value);
    rows.push({ placed, row });
    bytes += bytesOf(placed, row);
    return true;
  });
  return { rows, end };
}

function readEntry(value: Buffer): Dentry {
  const dentry = decodeRow(dentryCodec, value);
  if (dentry.attr !== null) withoutObject(dentry.attr);
  return dentry;
}

/**
 * Which of the files have a directory of their name beside them. The row of that directory lies behind the file's: on
 * the page, or, for the few names with which the last row begins, perhaps beyond it.
 */
function twinsOf(view: View, inode: number, rows: readonly Scanned<unknown>[]): Set<ByteString> {
  const twins = new Set<ByteString>();
  const last = rows[rows.length - 1]?.placed ?? '';
  const files = new Set<ByteString>();
  for (const { placed } of rows) {
    if (!placed.endsWith('/')) {
      files.add(placed);
      if (`${placed}/` > last && view.get(keys.directoryDentry(inode, placed)) !== undefined) twins.add(placed);
    } else if (files.has(placed.slice(0, -1))) twins.add(placed.slice(0, -1));
  }
  return twins;
}

/** What a listing asks for, within what one may. */
function rangeOf({ inode, after, limit }: { inode: number; after: ByteString; limit: number }) {
  const most = Math.min(limit, limits.readdirEntries);
  if (most === 0) throw new OfsError(Status.INVAL, 'a page of a directory needs room for an entry');
  return { inode, after, limit: most };
}

export const readdir: ReadHandler<'readdir'> = (view, request) => {
  requireDirectory(view, request.inode);
  return pageOf(view, rangeOf(request));
};

export const readNames: ReadHandler<'readNames'> = (view, request) => {
  const { inode, after } = request;
  requireDirectory(view, inode);
  const { rows, end } = scanEntries(view, rangeOf(request), dentryHead, (placed) => placed.length + NAME_BYTES);
  const twins = twinsOf(view, inode, rows);
  const entries = rows.map(({ placed, row }) => {
    const mode = row.mode === 0 ? linkedAttr(view, row.inode).mode : row.mode;
    return { name: shownOf(placed, { inode: row.inode, mode }, twins), inode: row.inode, mode };
  });
  return { entries, end, cursor: rows[rows.length - 1]?.placed ?? after };
};

function shownOf(placed: ByteString, entry: Pick<Attr, 'inode' | 'mode'>, twins: ReadonlySet<ByteString>): ByteString {
  const name = placed.endsWith('/') ? placed.slice(0, -1) : placed;
  return showName(name, { inode: entry.inode, twin: !isDirectory(entry) && twins.has(name) });
}

/** The entry of a name and, whether it stands or not, what lies behind it. */
export const lookupNear: ReadHandler<'lookupNear'> = (view, { parent, name, limit }) => {
  const { node } = locate(view, parent, name);
  if (node === undefined) requireDirectory(view, parent);
  const { entries } = pageOf(view, { inode: parent, after: name, limit: Math.min(limit, limits.neighbours) });
  return { attr: node?.attr ?? null, entries };
};

function pageOf(view: View, range: { inode: number; after: ByteString; limit: number }) {
  const { inode, after } = range;
  const { rows, end } = scanEntries(view, range, readEntry, (placed, { attr }) => entryBytes(placed, attr));
  const twins = twinsOf(view, inode, rows);
  const entries: { name: ByteString; attr: Attr }[] = [];
  for (const { placed, row } of rows) {
    const attr = row.attr ?? linkedAttr(view, row.link);
    entries.push({ name: shownOf(placed, attr, twins), attr });
  }
  return { entries, end, cursor: rows[rows.length - 1]?.placed ?? after };
}

/** Attributes of a hard link's inode as listings carry them. */
export function linkedAttr(view: View, inode: number): Attr {
  const node = readLink(view, inode);
  if (node === undefined)
    throw new OfsError(Status.CORRUPT, `hard link to inode ${inode}, which has no link row: run fsck`);
  return withoutObject(node.attr);
}
