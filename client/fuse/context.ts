// What the handlers of operations work with, and the form of a handler. A handler decodes its request before it waits
// for anything (the bytes are gone afterwards, but for a WRITE's), answers once, and throws what the engine then answers.

import { OfsError, type Status } from '../../proto/status.js';
import type { Credentials, FileHandle, Vfs } from '../vfs/interface.js';
import type { Answerer, CacheTimes } from './answerer.js';
import type { DirectoryHandle } from './directory-handle.js';
import type { FlushAccounts } from './flush-account.js';
import type { HandleTable } from './handle-table.js';
import type { Neighbours } from './neighbours.js';
import type { NodeTable } from './nodes.js';
import type { ReadBuffers } from './read-buffers.js';

/** Where a mount says what nobody asked: one sentence a call. */
export type Log = (message: string) => void;

export interface OpenFile {
  readonly handle: FileHandle;
  readonly flags: number;
  readonly writable: boolean;
}

export interface Request {
  readonly opcode: number;
  readonly unique: number;
  /** The inode that the request is about. */
  readonly inode: number;
  readonly who: Credentials;
  /** The body is [at, end). */
  readonly buffer: Buffer;
  readonly at: number;
  readonly end: number;
}

export interface Context {
  readonly vfs: Vfs;
  readonly nodes: NodeTable;
  readonly neighbours: Neighbours;
  readonly answer: Answerer;
  readonly buffers: ReadBuffers;
  readonly files: HandleTable<OpenFile>;
  readonly flushes: FlushAccounts;
  readonly directories: HandleTable<DirectoryHandle>;
  readonly times: CacheTimes;
  readonly log: Log;
  /** Tells the kernel that its pages and attributes of an inode are not to be believed; nobody waits for it. */
  invalidate(inode: number): void;
}

export type Handler = (context: Context, request: Request) => Promise<void>;

/** True for an OfsError of that status. */
export function isStatus(error: unknown, status: Status): boolean {
  return error instanceof OfsError && error.status === status;
}
