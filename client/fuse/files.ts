// Operations on open files. Reads go straight into the buffer that is written to the kernel; writes come from the memory
// into which a device thread read them. Where an append goes is decided here, write by write, and kept from the VFS: the
// flag can change after the open (fcntl), and pages written back through such a handle have their place.

import {
  decodeCreate,
  decodeWrite,
  flushIn,
  fsyncIn,
  OpenAnswerFlag,
  OpenFlag,
  OpenRequestFlag,
  openIn,
  readIn,
  releaseIn,
  WriteFlag,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { type Attr, isFile } from '../../proto/meta/index.js';
import { Errno, OfsError, Status } from '../../proto/status.js';
import type { FileHandle } from '../vfs/interface.js';
import { HEADER } from './answerer.js';
import { dropPrivileges, mayHavePrivileges } from './attributes.js';
import type { Context, Handler, OpenFile } from './context.js';
import { ErrnoError } from './errors.js';
import { checkName } from './names.js';

function isWritable(flags: number): boolean {
  return (flags & OpenFlag.ACCESS) !== OpenFlag.READ_ONLY;
}

/** `clock`: the attributes that the open has answered are not older. */
function addFile(context: Context, handle: FileHandle, flags: number, clock: number): number {
  const writable = isWritable(flags);
  if (writable) context.nodes.beginWriting(handle.inode, clock);
  return context.files.add({ handle, flags, writable }, writable ? context.flushes.open(handle.inode) : 0);
}

/** The file is no longer open under this handle; what was written through it is to be told anew. */
async function dropFile(context: Context, fh: number): Promise<void> {
  const file = context.files.remove(fh);
  if (file.writable) {
    context.flushes.close(file.handle.inode);
    context.nodes.change(file.handle.inode);
    context.nodes.endWriting(file.handle.inode);
  }
  await context.vfs.release(file.handle);
}

/** The kernel may keep its pages if the content is what it was at the last open, which has dropped older ones. */
function openFlagsFor(context: Context, handle: FileHandle, flags: number): number {
  const node = context.nodes.find(handle.inode);
  let answer: number = isWritable(flags) ? 0 : OpenAnswerFlag.NOFLUSH;
  if (node === undefined) return answer;
  if (node.version === handle.version) answer |= OpenAnswerFlag.KEEP_CACHE;
  node.version = handle.version;
  return answer;
}

export const open: Handler = async (context, request) => {
  const { flags, openFlags } = openIn.read(request.buffer, request.at, request.end);
  if ((flags & OpenFlag.TRUNCATE) !== 0) {
    await dropPrivileges(context, request.inode, (openFlags & OpenRequestFlag.KILL_SUIDGID) !== 0);
  }
  const clock = context.nodes.now;
  const pages = context.nodes.find(request.inode)?.version;
  const { handle, attr } = await context.vfs.open(request.inode, flags & ~OpenFlag.APPEND, pages);
  // An open sees every close before it: a size of before that is forgotten, though its time is not over.
  const node = context.nodes.note(attr);
  if (node !== undefined && node.told !== attr.version) context.answer.expireAttributes(request.inode);
  if ((flags & OpenFlag.TRUNCATE) !== 0) context.nodes.change(request.inode);
  const fh = addFile(context, handle, flags, clock);
  if (!context.answer.open(request.unique, fh, openFlagsFor(context, handle, flags))) await dropFile(context, fh);
};

export const create: Handler = async (context, request) => {
  const { flags, mode, name } = decodeCreate(request.buffer, request.at, request.end);
  const { handle, attr } = await context.vfs.create(
    request.inode,
    checkName(name),
    mode,
    flags & ~OpenFlag.APPEND,
    request.who,
  );
  context.nodes.change(request.inode);
  context.neighbours.changed(request.inode, name);
  await answerCreate(context, request.unique, request.inode, { handle, attr, flags });
};

async function answerCreate(
  context: Context,
  unique: number,
  parent: number,
  made: { handle: FileHandle; attr: Attr; flags: number },
): Promise<void> {
  const { handle, attr, flags } = made;
  if (!isFile(attr)) {
    await context.vfs.release(handle);
    throw new OfsError(Status.EXIST, `inode ${attr.inode} stands there and is not a file`);
  }
  // The node must know of the writer, so it is remembered first, and forgotten if the kernel does not take it.
  context.nodes.remember(attr, parent);
  const fh = addFile(context, handle, flags, context.nodes.now);
  if (context.answer.create(unique, attr, fh, openFlagsFor(context, handle, flags))) return;
  await dropFile(context, fh);
  context.nodes.forget(attr.inode, 1);
}

export const read: Handler = async (context, request) => {
  const { fh, offset, size } = readIn.read(request.buffer, request.at, request.end);
  if (size > limits.fuseRequestBytes) throw new OfsError(Status.INVAL, `read of ${size} bytes`);
  const file = context.files.get(fh);
  const buffer = context.buffers.take(size) ?? (await context.buffers.wait(request.unique, size));
  if (buffer === null) throw new ErrnoError(Errno.EINTR);
  try {
    const length = await context.vfs.read(file.handle, offset, buffer.subarray(HEADER, HEADER + size));
    context.answer.data(request.unique, buffer, length);
  } finally {
    context.buffers.give(buffer);
  }
};

/** An append goes where the file ends now, which the kernel may not know: others append too. */
async function appendOffset(context: Context, file: OpenFile, offset: number): Promise<number> {
  const { size } = await context.vfs.getattr(file.handle.inode);
  // The kernel has put these bytes into its cache where it thought that they belong.
  if (size !== offset) context.invalidate(file.handle.inode);
  return size;
}

export const write: Handler = async (context, request) => {
  const { fh, offset, writeFlags, flags, data } = decodeWrite(request.buffer, request.at, request.end);
  const file = context.files.get(fh);
  if (!file.writable) throw new ErrnoError(Errno.EBADF);
  const { inode } = file.handle;
  const fromPageCache = (writeFlags & WriteFlag.CACHE) !== 0;
  if (mayHavePrivileges(context, inode)) {
    await dropPrivileges(context, inode, (writeFlags & WriteFlag.KILL_SUIDGID) !== 0);
  }
  const appends = (flags & OpenFlag.APPEND) !== 0 && !fromPageCache;
  const at = appends ? await appendOffset(context, file, offset) : offset;
  if (at + data.length > limits.fileBytes) {
    throw new OfsError(Status.FBIG, `file would pass the limit of ${limits.fileBytes} bytes`);
  }
  const account = context.flushes.beginWrite(inode);
  try {
    await context.vfs.write(file.handle, at, data);
  } finally {
    context.flushes.endWrite(account);
  }
  context.nodes.change(inode);
  context.answer.written(request.unique, data.length);
};

/** Everything written to the file, through whichever handle, is committed when this resolves. */
async function flushFile(context: Context, handle: FileHandle): Promise<void> {
  const moves = context.flushes.beginFlush(handle.inode);
  await context.vfs.flush(handle);
  context.flushes.flushed(handle.inode, moves);
  context.nodes.change(handle.inode);
}

/** A device thread answers it where nothing is owed (flush-account.ts). */
export const flush: Handler = async (context, request) => {
  const { fh } = flushIn.read(request.buffer, request.at, request.end);
  const file = context.files.get(fh);
  if (file.writable) await flushFile(context, file.handle);
  context.answer.empty(request.unique);
};

export const fsync: Handler = async (context, request) => {
  const { fh } = fsyncIn.read(request.buffer, request.at, request.end);
  await flushFile(context, context.files.get(fh).handle);
  context.answer.empty(request.unique);
};

export const release: Handler = async (context, request) => {
  await dropFile(context, releaseIn.read(request.buffer, request.at, request.end).fh);
  context.answer.empty(request.unique);
};
