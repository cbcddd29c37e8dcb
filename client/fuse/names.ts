// Operations on names: what a directory holds, and how it changes. Permissions are checked by the kernel before it asks.

import {
  decodeLink,
  decodeMkdir,
  decodeMknod,
  decodeName,
  decodeRename,
  decodeRename2,
  decodeSymlink,
  type RenameRequest,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { type Attr, RenameFlag } from '../../proto/meta/index.js';
import { Errno, OfsError, Status } from '../../proto/status.js';
import type { Neighbourhood } from '../vfs/interface.js';
import { type Context, type Handler, isStatus, type Request } from './context.js';

function checkName(name: string): string {
  if (name.length > limits.nameBytes) {
    throw new OfsError(Status.NAMETOOLONG, `name of ${name.length} bytes, at most ${limits.nameBytes}`);
  }
  return name;
}

/** Answers with an entry, which the kernel then knows under `parent`. */
export function answerEntry(context: Context, request: Request, attr: Attr, parent: number, ageMs = 0): void {
  if (context.answer.entry(request.unique, attr, ageMs)) context.nodes.remember(attr, parent);
}

/** `.` and `..` are asked for by an NFS server that has a file handle and no path. */
async function lookupDots(context: Context, request: Request, name: string): Promise<void> {
  let inode = request.inode;
  if (name === '..') {
    const node = context.nodes.find(inode);
    if (node === undefined) throw new OfsError(Status.STALE, `parent of directory ${inode} is not known here`);
    inode = node.parent;
  }
  const attr = await context.vfs.getattr(inode).catch((error: unknown) => {
    throw isStatus(error, Status.NOENT) ? new OfsError(Status.STALE, `inode ${inode} is gone`) : error;
  });
  answerEntry(context, request, attr, context.nodes.find(inode)?.parent ?? inode);
}

export const lookup: Handler = async (context, request) => {
  const name = checkName(decodeName(request.buffer, request.at, request.end));
  if (name === '.' || name === '..') return lookupDots(context, request, name);
  const { neighbours } = context;
  const known = neighbours.find(request.inode, name);
  if (known !== undefined) {
    answerEntry(context, request, known.attr, request.inode, known.ageMs);
    return;
  }
  const attr = await lookUp(context, request.inode, name);
  if (attr !== null) answerEntry(context, request, attr, request.inode);
  else if (context.times.negativeMs > 0) context.answer.negative(request.unique);
  else context.answer.error(request.unique, Errno.ENOENT);
};

/** Null: there is no such entry. */
async function lookUp(context: Context, parent: number, name: string): Promise<Attr | null> {
  const { neighbours, vfs } = context;
  const asking = neighbours.ask(parent, name);
  if (asking === null) {
    return vfs.lookup(parent, name).catch((error: unknown) => {
      if (isStatus(error, Status.NOENT)) return null;
      throw error;
    });
  }
  let found: Neighbourhood;
  try {
    found = await vfs.lookupNear(parent, name, asking.wanted);
  } catch (error) {
    neighbours.failed(parent);
    throw error;
  }
  neighbours.learn(parent, asking, found);
  return found.attr;
}

/** Something was made: the directory has changed, and the kernel is told of the new inode. */
function answerMade(context: Context, request: Request, name: string, attr: Attr): void {
  context.nodes.change(request.inode);
  context.neighbours.changed(request.inode, name);
  answerEntry(context, request, attr, request.inode);
}

export const mknod: Handler = async (context, request) => {
  const { mode, rdev, name } = decodeMknod(request.buffer, request.at, request.end);
  const attr = await context.vfs.mknod(request.inode, checkName(name), mode, rdev, request.who);
  answerMade(context, request, name, attr);
};

export const mkdir: Handler = async (context, request) => {
  const { mode, name } = decodeMkdir(request.buffer, request.at, request.end);
  answerMade(context, request, name, await context.vfs.mkdir(request.inode, checkName(name), mode, request.who));
};

export const symlink: Handler = async (context, request) => {
  const { name, target } = decodeSymlink(request.buffer, request.at, request.end);
  if (target.length > limits.symlinkBytes) {
    throw new OfsError(Status.NAMETOOLONG, `link target of ${target.length} bytes, at most ${limits.symlinkBytes}`);
  }
  answerMade(context, request, name, await context.vfs.symlink(request.inode, checkName(name), target, request.who));
};

export const readlink: Handler = async (context, request) => {
  const target = await context.vfs.readlink(request.inode);
  context.answer.bytes(request.unique, Buffer.from(target, 'latin1'));
};

export const link: Handler = async (context, request) => {
  const { node, name } = decodeLink(request.buffer, request.at, request.end);
  const inode = context.nodes.inodeOf(node);
  const attr = await context.vfs.link(inode, request.inode, checkName(name));
  context.nodes.change(inode);
  answerMade(context, request, name, attr);
};

export const unlink: Handler = async (context, request) => {
  const name = decodeName(request.buffer, request.at, request.end);
  const { inode } = await context.vfs.unlink(request.inode, name);
  context.nodes.change(request.inode);
  context.nodes.change(inode);
  context.neighbours.changed(request.inode, name);
  context.answer.empty(request.unique);
};

export const rmdir: Handler = async (context, request) => {
  const name = decodeName(request.buffer, request.at, request.end);
  await context.vfs.rmdir(request.inode, name);
  context.nodes.change(request.inode);
  context.neighbours.changed(request.inode, name);
  context.answer.empty(request.unique);
};

const RENAME_FLAGS = RenameFlag.NOREPLACE | RenameFlag.EXCHANGE;

async function renameAs(context: Context, request: Request, rename: RenameRequest): Promise<void> {
  if ((rename.flags & ~RENAME_FLAGS) !== 0) {
    throw new OfsError(Status.INVAL, `rename flags ${rename.flags} are not supported`);
  }
  const newParent = context.nodes.inodeOf(rename.newParent);
  const newName = checkName(rename.newName);
  const { attr, replaced } = await context.vfs.rename(request.inode, rename.name, newParent, newName, rename.flags);
  context.nodes.change(request.inode);
  context.nodes.change(newParent);
  context.nodes.change(attr.inode);
  if (replaced !== 0) context.nodes.change(replaced);
  context.neighbours.changed(request.inode, rename.name);
  context.neighbours.changed(newParent, newName);
  context.answer.empty(request.unique);
}

export const rename: Handler = (context, request) =>
  renameAs(context, request, decodeRename(request.buffer, request.at, request.end));

export const rename2: Handler = (context, request) =>
  renameAs(context, request, decodeRename2(request.buffer, request.at, request.end));

export { checkName };
