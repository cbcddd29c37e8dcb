// What each operation of the file system does to a tree, and when it is refused. A refusal is named by the status that
// the service's client sees; where several apply the service may name any of them.

import { limits } from '../../proto/limits.js';
import { Mode, RenameFlag, SetAttr } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { cut } from './content.js';
import { append, chunkCommit, chunkRead, open, writeCommit } from './contents.js';
import { lookupNear, readdir, readNames } from './listings.js';
import {
  attrIsRight,
  directoryRefusals,
  fileRefusals,
  inodeOf,
  none,
  type OperationName,
  parentOf,
  placeOf,
  type Requests,
  type Rule,
  tellsChild,
  when,
} from './rule.js';
import { isDirectory, type Place, type Tree } from './tree.js';

function making<K extends 'mkdir' | 'symlink'>(
  made: (request: Requests[K]) => { type: number; size: number },
): Rule<K> {
  return {
    inodes: parentOf,
    names: placeOf,
    refusals: (tree, request) => [
      ...directoryRefusals(tree, request.parent),
      ...when([tree.child(request) !== undefined, Status.EXIST]),
    ],
    effect: (tree, request, number) => tree.make(request, number, made(request)),
    made: ({ attr }) => attr.inode,
    told: none,
    right: (_, after, request, { attr }) => after.child(request) === attr.inode && attrIsRight(after, attr),
  };
}

const mknod: Rule<'mknod'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const type = request.mode & Mode.TYPE;
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [type === Mode.DIRECTORY || type === Mode.SYMLINK, Status.INVAL],
        [request.exclusive && tree.child(request) !== undefined, Status.EXIST],
      ),
    ];
  },
  effect: (tree, request, number) => {
    if (tree.child(request) !== undefined) return tree;
    const type = request.mode & Mode.TYPE;
    return tree.make(request, number, { type: type === 0 ? Mode.FILE : type, size: 0 });
  },
  made: ({ attr, created }) => (created ? attr.inode : 0),
  told: (tree, request, { attr, created }) => (created ? [] : tellsChild(tree, request, attr)),
  right: (before, after, request, { attr, created }) =>
    created === (before.child(request) === undefined) &&
    after.child(request) === attr.inode &&
    attrIsRight(after, attr),
};

const lookup: Rule<'lookup'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) =>
    isDirectory(tree.require(request.parent))
      ? when([tree.child(request) === undefined, Status.NOENT])
      : [Status.NOTDIR],
  told: (tree, request, { attr }) => tellsChild(tree, request, attr),
  right: (before, _, __, { attr }) => attrIsRight(before, attr),
};

const getattr: Rule<'getattr'> = {
  inodes: inodeOf,
  names: none,
  refusals: none,
  told: none,
  right: (before, _, { inode }, { attr }) => attr.inode === inode && attrIsRight(before, attr),
};

const setattr: Rule<'setattr'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, valid, size }) =>
    (valid & SetAttr.SIZE) === 0 ? [] : [...fileRefusals(tree, inode), ...when([size > limits.fileBytes, Status.FBIG])],
  effect: (tree, { inode, valid, size }) =>
    (valid & SetAttr.SIZE) === 0 ? tree : tree.write(inode, cut(tree.require(inode).content, 0, size), size),
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

const unlink: Rule<'unlink'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const id = tree.child(request);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when([id === undefined, Status.NOENT], [id !== undefined && isDirectory(tree.require(id)), Status.ISDIR]),
    ];
  },
  effect: (tree, request) => tree.unname(request),
  told: (tree, request, { attr }) => tellsChild(tree, request, attr),
  right: (_, after, __, { attr }) => attrIsRight(after, attr),
};

const rmdir: Rule<'rmdir'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const id = tree.child(request);
    const node = id === undefined ? undefined : tree.require(id);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [node === undefined, Status.NOENT],
        [node !== undefined && !isDirectory(node), Status.NOTDIR],
        [node !== undefined && node.children.size > 0, Status.NOTEMPTY],
      ),
    ];
  },
  effect: (tree, request) => tree.unname(request),
  told: (tree, request, { inode }) => {
    const id = tree.child(request);
    return id === undefined ? null : [[id, inode]];
  },
  right: () => true,
};

const link: Rule<'link'> = {
  inodes: ({ inode, parent }) => [inode, parent],
  names: placeOf,
  refusals: (tree, request) => {
    const node = tree.require(request.inode);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [isDirectory(node), Status.PERM],
        [node.names === 0, Status.NOENT],
        [node.names >= limits.hardLinks, Status.MLINK],
        [tree.child(request) !== undefined, Status.EXIST],
      ),
    ];
  },
  effect: (tree, request) => tree.name(request, request.inode),
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

function targetOf({ newParent, newName }: Requests['rename']): Place {
  return { parent: newParent, name: newName };
}

/** Why an inode cannot take the place of another, which goes. */
function replaceRefusals(tree: Tree, id: number, old: number): Status[] {
  const node = tree.require(id);
  const replaced = tree.require(old);
  if (!isDirectory(node)) return when([isDirectory(replaced), Status.ISDIR]);
  return when([!isDirectory(replaced), Status.NOTDIR], [replaced.children.size > 0, Status.NOTEMPTY]);
}

function isBelowItself(tree: Tree, id: number, directory: number): boolean {
  return isDirectory(tree.require(id)) && tree.isWithin(directory, id);
}

const rename: Rule<'rename'> = {
  inodes: ({ parent, newParent }) => [parent, newParent],
  names: (request) => [request, targetOf(request)],
  refusals: (tree, request) => {
    const { parent, newParent, flags } = request;
    const { NOREPLACE, EXCHANGE } = RenameFlag;
    const found = [...directoryRefusals(tree, parent), ...directoryRefusals(tree, newParent)];
    if (flags > EXCHANGE) found.push(Status.INVAL);
    const id = tree.child(request);
    const old = tree.child(targetOf(request));
    if (id === undefined) found.push(Status.NOENT);
    if (old !== undefined && (flags & NOREPLACE) !== 0) found.push(Status.EXIST);
    if (old === undefined && (flags & EXCHANGE) !== 0) found.push(Status.NOENT);
    if (id === undefined || id === old || found.length > 0) return found;
    if (isBelowItself(tree, id, newParent)) found.push(Status.INVAL);
    if (old === undefined) return found;
    if (flags !== EXCHANGE) found.push(...replaceRefusals(tree, id, old));
    else if (isBelowItself(tree, old, parent)) found.push(Status.INVAL);
    return found;
  },
  effect: (tree, request) => {
    const target = targetOf(request);
    const old = tree.child(target);
    if (old === tree.child(request)) return tree;
    if (request.flags === RenameFlag.EXCHANGE) return tree.exchange(request, target);
    return (old === undefined ? tree : tree.unname(target)).move(request, target);
  },
  told: (tree, request, { attr, replaced }) => {
    const id = tree.child(request);
    const old = tree.child(targetOf(request));
    if (id === undefined) return null;
    return old === undefined || replaced === 0
      ? [[id, attr.inode]]
      : [
          [id, attr.inode],
          [old, replaced],
        ];
  },
  right: (before, after, request, { attr, replaced }) => {
    const old = before.child(targetOf(request)) ?? 0;
    const goes = request.flags !== RenameFlag.EXCHANGE && old !== before.child(request);
    return attrIsRight(after, attr) && replaced === (goes ? old : 0);
  },
};

export const rules: { readonly [K in OperationName]: Rule<K> } = {
  lookup,
  lookupNear,
  getattr,
  setattr,
  mknod,
  mkdir: making<'mkdir'>(() => ({ type: Mode.DIRECTORY, size: 0 })),
  symlink: making<'symlink'>(({ target }) => ({ type: Mode.SYMLINK, size: target.length })),
  unlink,
  rmdir,
  rename,
  link,
  readdir,
  readNames,
  open,
  chunkRead,
  chunkCommit,
  writeCommit,
  append,
};
