// Operations on what an inode is: attributes, extended attributes, the numbers of the file system.

import {
  decodeGetxattr,
  decodeName,
  decodeSetxattr,
  getxattrIn,
  SetattrFlag,
  setattrIn,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { AttrFlag, isDirectory, Mode, SetAttr } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type Context, type Handler, isStatus } from './context.js';
import type { Node } from './nodes.js';
import { CAPABILITY } from './shared.js';

const TIME_END = 2 ** 51;
const NO_TIME = { sec: 0, nsec: 0 };

export const getattr: Handler = async (context, request) => {
  const attr = await context.vfs.getattr(request.inode);
  context.nodes.tell(attr);
  context.answer.attr(request.unique, attr);
};

/** A time given together with NOW is the service's clock alone. */
function validOf(flags: number): number {
  let valid = 0;
  if ((flags & SetattrFlag.MODE) !== 0) valid |= SetAttr.MODE;
  if ((flags & SetattrFlag.UID) !== 0) valid |= SetAttr.UID;
  if ((flags & SetattrFlag.GID) !== 0) valid |= SetAttr.GID;
  if ((flags & SetattrFlag.SIZE) !== 0) valid |= SetAttr.SIZE;
  if ((flags & SetattrFlag.ATIME_NOW) !== 0) valid |= SetAttr.ATIME_NOW;
  else if ((flags & SetattrFlag.ATIME) !== 0) valid |= SetAttr.ATIME;
  if ((flags & SetattrFlag.MTIME_NOW) !== 0) valid |= SetAttr.MTIME_NOW;
  else if ((flags & SetattrFlag.MTIME) !== 0) valid |= SetAttr.MTIME;
  return valid;
}

/** Times are kept in 52 bits. */
function isTime(seconds: number): boolean {
  return Math.abs(seconds) < TIME_END;
}

export const setattr: Handler = async (context, request) => {
  const asked = setattrIn.read(request.buffer, request.at, request.end);
  if ((asked.valid & SetattrFlag.SIZE) !== 0 && asked.size > limits.fileBytes) {
    throw new OfsError(Status.FBIG, `size ${asked.size} over the limit of ${limits.fileBytes}`);
  }
  let valid = validOf(asked.valid);
  if (
    ((valid & SetAttr.ATIME) !== 0 && !isTime(asked.atime)) ||
    ((valid & SetAttr.MTIME) !== 0 && !isTime(asked.mtime))
  ) {
    throw new OfsError(Status.INVAL, `time ${asked.atime} or ${asked.mtime} is beyond what is kept`);
  }
  const node = context.nodes.find(request.inode);
  // HANDLE_KILLPRIV_V2: the kernel leaves it to us to take set-uid, set-gid and capabilities from what changes.
  const ownerChanges = (valid & (SetAttr.UID | SetAttr.GID)) !== 0 && !isDirectory(node ?? { mode: 0 });
  if (ownerChanges || (asked.valid & SetattrFlag.KILL_SUIDGID) !== 0) valid |= SetAttr.KILL_SUID;
  if (valid === 0) return getattr(context, request);
  const attr = await context.vfs.setattr(request.inode, {
    valid,
    mode: asked.mode & Mode.PERMISSIONS,
    uid: asked.uid,
    gid: asked.gid,
    size: asked.size,
    atime: (valid & SetAttr.ATIME) === 0 ? NO_TIME : { sec: asked.atime, nsec: asked.atimeNsec },
    mtime: (valid & SetAttr.MTIME) === 0 ? NO_TIME : { sec: asked.mtime, nsec: asked.mtimeNsec },
  });
  context.nodes.change(request.inode);
  context.nodes.tell(attr);
  if (ownerChanges || (valid & SetAttr.SIZE) !== 0) await dropCapability(context, request.inode, node);
  context.answer.attr(request.unique, attr);
};

async function dropCapability(context: Context, inode: number, node: Node | undefined): Promise<void> {
  if (node === undefined || !mayHaveCapability(node)) return;
  try {
    await context.vfs.xattrRemove(inode, CAPABILITY);
  } catch (error) {
    if (!isStatus(error, Status.NODATA)) throw error;
  }
  node.bare = true;
}

function mayHaveCapability(node: Node): boolean {
  return !node.bare && (node.flags & AttrFlag.XATTRS) !== 0;
}

/** Bits that a write takes away, when the node says that they may be there. */
const SUID = Mode.SET_UID | Mode.SET_GID;

/** Before bytes or size change: takes set-uid and set-gid if `killSuid`, and capabilities in any case. */
export async function dropPrivileges(context: Context, inode: number, killSuid: boolean): Promise<void> {
  const node = context.nodes.find(inode);
  await dropCapability(context, inode, node);
  if (!killSuid || node === undefined || (node.mode & SUID) === 0) return;
  const nothing = { mode: 0, uid: 0, gid: 0, size: 0, atime: NO_TIME, mtime: NO_TIME };
  const attr = await context.vfs.setattr(inode, { valid: SetAttr.KILL_SUID, ...nothing });
  context.nodes.change(inode);
  context.nodes.note(attr);
  context.answer.expireAttributes(inode);
}

/** Whether a write has anything to do for `dropPrivileges`; nearly never. */
export function mayHavePrivileges(context: Context, inode: number): boolean {
  const node = context.nodes.find(inode);
  return node !== undefined && ((node.mode & SUID) !== 0 || mayHaveCapability(node));
}

export const statfs: Handler = async (context, request) => {
  context.answer.statfs(request.unique, await context.vfs.statfs());
};

/** POSIX ACLs and whatever else the kernel keeps under `system.` are not kept here. */
function checkXattrName(name: string): string {
  if (name.length > limits.xattrNameBytes) {
    throw new OfsError(Status.RANGE, `attribute name of ${name.length} bytes, at most ${limits.xattrNameBytes}`);
  }
  if (name.startsWith('system.')) throw new OfsError(Status.OPNOTSUPP, `attribute ${name} is not supported`);
  return name;
}

export const setxattr: Handler = async (context, request) => {
  const { name, value, flags } = decodeSetxattr(request.buffer, request.at, request.end);
  checkXattrName(name);
  await context.vfs.xattrSet(request.inode, name, Buffer.from(value), flags);
  const node = context.nodes.find(request.inode);
  if (node !== undefined) {
    node.flags |= AttrFlag.XATTRS;
    if (name === CAPABILITY) node.bare = false;
  }
  context.nodes.change(request.inode);
  context.nodes.plain.clear(context.nodes.nodeOf(request.inode));
  context.answer.empty(request.unique);
};

/** `size` 0 asks for the length. */
function answerSized(context: Context, unique: number, value: Uint8Array, size: number): void {
  if (size === 0) context.answer.length(unique, value.length);
  else if (value.length > size) throw new OfsError(Status.RANGE, `${value.length} bytes do not fit in ${size}`);
  else context.answer.bytes(unique, value);
}

export const getxattr: Handler = async (context, request) => {
  const { name, size } = decodeGetxattr(request.buffer, request.at, request.end);
  answerSized(context, request.unique, await context.vfs.xattrGet(request.inode, checkXattrName(name)), size);
};

export const listxattr: Handler = async (context, request) => {
  const { size } = getxattrIn.read(request.buffer, request.at, request.end);
  const names = await context.vfs.xattrList(request.inode);
  const list = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');
  if (list.length > limits.xattrValueBytes) {
    throw new OfsError(
      Status.RANGE,
      `list of attribute names of ${list.length} bytes, at most ${limits.xattrValueBytes}`,
    );
  }
  answerSized(context, request.unique, list, size);
};

export const removexattr: Handler = async (context, request) => {
  const name = checkXattrName(decodeName(request.buffer, request.at, request.end));
  await context.vfs.xattrRemove(request.inode, name);
  const node = context.nodes.find(request.inode);
  if (name === CAPABILITY && node !== undefined) node.bare = true;
  context.nodes.change(request.inode);
  context.answer.empty(request.unique);
};
