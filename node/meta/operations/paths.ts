// Absolute paths, as S3 and HDFS use them. A path is parts separated by `/`; parts may be anything but hold no slash,
// empty ones included; behind a last `/` the path names a directory. Also what S3 sees at a key: files, and directories
// that are markers or were made by somebody (design.md, section 7).

import type { ByteString } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, AttrFlag, etagOf, isFile, keys, Mode } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { MetaRequest, ReadHandler, View } from '../view.js';
import { type Edit, entriesChanged } from './edit.js';
import { newAttr } from './entries.js';
import { contentChunks } from './parts.js';
import { dentryInode, isMarker, type Node, nodeAt, ROOT_KEY } from './store.js';

export type Condition = MetaRequest<'objectPut'>['condition'];
export interface Owner {
  uid: number;
  gid: number;
}

/** A path taken apart: `name` null when it names a directory, which `directories` then ends with. */
export interface Path {
  directories: ByteString[];
  name: ByteString | null;
}

export function parsePath(path: ByteString): Path {
  const directories = path.split('/');
  const last = directories.pop() as ByteString;
  return { directories, name: last === '' ? null : last };
}

/** A path that an object can have. */
export function checkKey(path: ByteString): void {
  if (path === '') throw new OfsError(Status.INVAL, 'the empty key names no object');
  if (path.length > limits.keyBytes)
    throw new OfsError(Status.NAMETOOLONG, `a key of ${path.length} bytes, the limit is ${limits.keyBytes}`);
}

export function noObject(path: ByteString): OfsError {
  return new OfsError(Status.NOENT, `there is no '${path}'`);
}

/** The inode and dentry key of the directory that parts lead to from the root; 0 when there is none. */
export function walk(
  view: View,
  root: number,
  directories: readonly ByteString[],
): { inode: number; key: ByteString; depth: number } {
  let inode = root;
  let key = ROOT_KEY;
  for (let depth = 0; depth < directories.length; depth++) {
    const next = keys.directoryDentry(inode, directories[depth]!);
    const value = view.get(next);
    if (value === undefined) return { inode: 0, key, depth };
    inode = dentryInode(value);
    key = next;
  }
  return { inode, key, depth: directories.length };
}

/** What S3 sees at a key. */
export function findObject(view: View, root: number, path: ByteString): Node | undefined {
  const { directories, name } = parsePath(path);
  if (path === '') return undefined;
  const place = walk(view, root, directories);
  if (place.inode === 0) return undefined;
  if (name === null) {
    const node = nodeAt(view, place.key);
    return node !== undefined && isMarker(node.attr) ? node : undefined;
  }
  const node = nodeAt(view, keys.fileDentry(place.inode, name));
  return node !== undefined && isFile(node.attr) ? node : undefined;
}

export function requireObject(view: View, root: number, path: ByteString): Node {
  const node = findObject(view, root, path);
  if (node === undefined) throw noObject(path);
  return node;
}

/** Decides a conditional request on what stands at its key. */
export function checkCondition(condition: Condition, attr: Attr | undefined, path: ByteString): void {
  const { ifMatch, ifNoneMatch } = condition;
  if (ifMatch === '' && ifNoneMatch === '') return;
  const etag = attr === undefined ? undefined : etagOf(attr);
  if (ifMatch !== '') {
    if (etag === undefined) throw noObject(path);
    if (ifMatch !== '*' && ifMatch !== etag)
      throw new OfsError(Status.PRECONDITION_FAILED, `'${path}' has the ETag ${etag}, not ${ifMatch}`);
  }
  if (ifNoneMatch !== '' && etag !== undefined && (ifNoneMatch === '*' || ifNoneMatch === etag))
    throw new OfsError(Status.PRECONDITION_FAILED, `'${path}' stands already, with the ETag ${etag}`);
}

/** The directory that parts lead to; what is missing is made, implicit. */
export function ensureDirectories(edit: Edit, directories: readonly ByteString[], owner: Owner): Node {
  const place = walk(edit.tx, rootInode(edit.partition), directories);
  let directory = edit.at(place.key);
  if (directory === undefined) throw new OfsError(Status.CORRUPT, 'the volume has no root directory: run fsck');
  for (let depth = place.depth; depth < directories.length; depth++) {
    const made = { mode: Mode.DIRECTORY | 0o755, uid: owner.uid, gid: owner.gid };
    const attr = newAttr(edit.nextInode(), directory.attr, made, edit.now);
    attr.flags = AttrFlag.IMPLICIT;
    entriesChanged(edit, directory);
    directory.attr.nlink++;
    directory = edit.insert(directory.attr.inode, directories[depth]!, attr);
  }
  return directory;
}

export const resolve: ReadHandler<'resolve'> = (view, { path }, context) => {
  const { directories, name } = parsePath(path);
  const place = walk(view, rootInode(context.partition), directories);
  let node: Node | undefined;
  if (place.inode !== 0) {
    if (name === null) node = nodeAt(view, place.key);
    else
      node = nodeAt(view, keys.fileDentry(place.inode, name)) ?? nodeAt(view, keys.directoryDentry(place.inode, name));
  }
  if (node === undefined) throw noObject(path);
  return { attr: node.attr };
};

export const objectOpen: ReadHandler<'objectOpen'> = (view, { path }, context) => {
  const node = requireObject(view, rootInode(context.partition), path);
  return { attr: node.attr, chunks: contentChunks(view, node, 0, limits.chunksPerRead) };
};

export const objectHead: ReadHandler<'objectHead'> = (view, { path }, context) => ({
  attr: requireObject(view, rootInode(context.partition), path).attr,
});
