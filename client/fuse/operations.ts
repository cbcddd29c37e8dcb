// Which handler answers which operation, and what kind of operation it is.

import { Opcode } from '../../proto/fuse/index.js';
import * as attributes from './attributes.js';
import type { Handler } from './context.js';
import * as directories from './directories.js';
import * as files from './files.js';
import * as names from './names.js';

export interface Operation {
  readonly handler: Handler;
  /** Refused on a mount that is read-only. */
  readonly changes: boolean;
  /** NOENT means that a name is not there; in all others that the inode is gone, which the kernel calls stale. */
  readonly byName: boolean;
}

const table: Operation[] = [];

function reads(opcode: number, handler: Handler): void {
  table[opcode] = { handler, changes: false, byName: false };
}

function changes(opcode: number, handler: Handler): void {
  table[opcode] = { handler, changes: true, byName: false };
}

function changesNames(opcode: number, handler: Handler): void {
  table[opcode] = { handler, changes: true, byName: true };
}

table[Opcode.LOOKUP] = { handler: names.lookup, changes: false, byName: true };
changesNames(Opcode.MKNOD, names.mknod);
changesNames(Opcode.MKDIR, names.mkdir);
changesNames(Opcode.SYMLINK, names.symlink);
changesNames(Opcode.LINK, names.link);
changesNames(Opcode.UNLINK, names.unlink);
changesNames(Opcode.RMDIR, names.rmdir);
changesNames(Opcode.RENAME, names.rename);
changesNames(Opcode.RENAME2, names.rename2);
changesNames(Opcode.CREATE, files.create);
reads(Opcode.GETATTR, attributes.getattr);
changes(Opcode.SETATTR, attributes.setattr);
reads(Opcode.READLINK, names.readlink);
reads(Opcode.STATFS, attributes.statfs);
changes(Opcode.SETXATTR, attributes.setxattr);
reads(Opcode.GETXATTR, attributes.getxattr);
reads(Opcode.LISTXATTR, attributes.listxattr);
changes(Opcode.REMOVEXATTR, attributes.removexattr);
reads(Opcode.OPEN, files.open);
reads(Opcode.READ, files.read);
changes(Opcode.WRITE, files.write);
reads(Opcode.FLUSH, files.flush);
reads(Opcode.FSYNC, files.fsync);
reads(Opcode.RELEASE, files.release);
reads(Opcode.OPENDIR, directories.opendir);
reads(Opcode.READDIR, directories.readdir);
reads(Opcode.READDIRPLUS, directories.readdirplus);
reads(Opcode.RELEASEDIR, directories.releasedir);
reads(Opcode.FSYNCDIR, directories.fsyncdir);

/**
 * Undefined: the answer is ENOSYS, after which the kernel does without and asks no more (ACCESS: it checks modes
 * itself; POLL: always ready; IOCTL: ENOTTY; LSEEK, COPY_FILE_RANGE: its own; FALLOCATE, TMPFILE: EOPNOTSUPP).
 */
export function operationOf(opcode: number): Operation | undefined {
  return table[opcode];
}
