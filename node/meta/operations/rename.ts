// rename(2), with its flags: a move of one dentry row whatever lies below it (R1.3).

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import { type Attr, isDirectory, keys, RenameFlag } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type Edit, entriesChanged, madeByHand } from './edit.js';
import { isEmptyDirectory } from './entries.js';
import type { EditHandler } from './handler.js';
import { checkMayMake, locateIn, type Place, requireIn } from './places.js';
import { type Node, placeOf } from './store.js';

type FullPlace = Place & { node: Node };

/** Refuses to put a directory below itself: walks from `parent` up to the root. */
function checkNotBelow(edit: Edit, parent: number, directory: number): void {
  let inode = parent;
  for (let depth = 0; inode !== 0; depth++) {
    if (inode === directory)
      throw new OfsError(Status.INVAL, `directory ${directory} cannot be moved into its own subdirectory ${parent}`);
    assert(depth < limits.directoryDepth, `more than ${limits.directoryDepth} directories above inode ${parent}`);
    const place = placeOf(edit.tx, inode);
    assert(place !== undefined, `directory ${inode} has no parent row`);
    inode = place.parent;
  }
}

/** Subdirectories count as links of their parent. */
function countDirectory(edit: Edit, node: Node, parents: { source: Node; target: Node }): void {
  if (!isDirectory(node.attr) || parents.source === parents.target) return;
  edit.touch(parents.source).nlink--;
  edit.touch(parents.target).nlink++;
}

/** Whether a file moved to a plain name would meet a file that is hidden there behind a directory. */
function checkNoHiddenFile(edit: Edit, place: Place, moved: Attr): void {
  if (isDirectory(moved) || place.twin) return;
  if (edit.tx.get(keys.fileDentry(place.parent, place.name)) !== undefined)
    throw new OfsError(Status.EXIST, `a file '${place.name}' stands beside the directory of that name: move it first`);
}

function exchange(edit: Edit, source: FullPlace, target: FullPlace, parents: { source: Node; target: Node }): void {
  const sourceIsDirectory = isDirectory(source.node.attr);
  const targetIsDirectory = isDirectory(target.node.attr);
  checkMayMake(target, target.name, { directory: sourceIsDirectory });
  checkMayMake(source, source.name, { directory: targetIsDirectory });
  if (sourceIsDirectory) checkNotBelow(edit, target.parent, source.node.attr.inode);
  if (targetIsDirectory) {
    checkNotBelow(edit, source.parent, target.node.attr.inode);
    checkNoHiddenFile(edit, target, source.node.attr);
  }
  if (sourceIsDirectory) checkNoHiddenFile(edit, source, target.node.attr);
  edit.move(source.node, source, target);
  edit.move(target.node, target, source);
  edit.restoreDentry(source.node, target);
  countDirectory(edit, source.node, parents);
  countDirectory(edit, target.node, { source: parents.target, target: parents.source });
}

/** Removes what the target name has, as unlink or rmdir would; answers its inode. */
function replace(edit: Edit, node: Node, target: FullPlace, directory: Node): number {
  const old = target.node;
  if (isDirectory(node.attr)) {
    if (!isDirectory(old.attr)) throw new OfsError(Status.NOTDIR, `'${target.name}' is not a directory`);
    if (!isEmptyDirectory(edit.tx, old.attr.inode))
      throw new OfsError(Status.NOTEMPTY, `directory '${target.name}' is not empty`);
    edit.removeDirectory(old);
    edit.touch(directory).nlink--;
  } else {
    if (isDirectory(old.attr)) throw new OfsError(Status.ISDIR, `'${target.name}' is a directory`);
    edit.removeName(old, target.parent, target.name);
  }
  return old.attr.inode;
}

function checkFlags(flags: number): void {
  const both = RenameFlag.NOREPLACE | RenameFlag.EXCHANGE;
  if ((flags & ~both) !== 0 || flags === both)
    throw new OfsError(Status.INVAL, `rename flags ${flags}: NOREPLACE or EXCHANGE, not both`);
}

export const rename: EditHandler<'rename'> = (edit, request) => {
  checkFlags(request.flags);
  const parents = { source: edit.directory(request.parent), target: edit.directory(request.newParent) };
  const source = requireIn(edit, request.parent, request.name);
  const target = locateIn(edit, request.newParent, request.newName);
  const node = source.node;
  const old = target.node;
  if (old !== undefined && (request.flags & RenameFlag.NOREPLACE) !== 0)
    throw new OfsError(Status.EXIST, `'${request.newName}' exists already`);
  if (old === undefined && (request.flags & RenameFlag.EXCHANGE) !== 0)
    throw new OfsError(Status.NOENT, `no entry '${request.newName}' to exchange with`);
  if (old === node) return { attr: node.attr, replaced: 0 };
  let replaced = 0;
  if (old !== undefined && (request.flags & RenameFlag.EXCHANGE) !== 0) {
    exchange(edit, source, { ...target, node: old }, parents);
  } else {
    checkMayMake(target, request.newName, { directory: isDirectory(node.attr) });
    if (isDirectory(node.attr)) checkNotBelow(edit, request.newParent, node.attr.inode);
    if (old !== undefined) replaced = replace(edit, node, { ...target, node: old }, parents.target);
    edit.move(node, source, target);
    countDirectory(edit, node, parents);
  }
  for (const parent of [parents.source, parents.target]) {
    entriesChanged(edit, parent);
    madeByHand(edit, parent);
  }
  madeByHand(edit, node);
  return { attr: node.attr, replaced };
};
