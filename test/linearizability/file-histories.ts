// Histories of the file system for tests: written by hand in short words, or made by the service's own operations over
// a store in memory, one at a time, while clients call and hear concurrently.

import { BLOB_BLOCKS } from '../../proto/ids.js';
import { type Attr, Mode, SetAttr, type Slice } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { World } from '../node/meta-operations/memory.js';
import { execute } from './generate.js';
import { type FileAnswer, type FileOperation, type FileRequest, UNKNOWN } from './index.js';

export const ROOT = 1;
const ZERO = { sec: 0, nsec: 0 };

/** A request by name, with the fields that do not matter filled in. */
export const ask = {
  create: (parent: number, name: string, exclusive = false): FileRequest => ({
    name: 'mknod',
    request: { parent, name, mode: Mode.FILE | 0o644, uid: 0, gid: 0, rdev: 0, exclusive },
  }),
  mkdir: (parent: number, name: string): FileRequest => ({
    name: 'mkdir',
    request: { parent, name, mode: 0o755, uid: 0, gid: 0 },
  }),
  symlink: (parent: number, name: string): FileRequest => ({
    name: 'symlink',
    request: { parent, name, target: 'to', uid: 0, gid: 0 },
  }),
  lookup: (parent: number, name: string): FileRequest => ({ name: 'lookup', request: { parent, name } }),
  getattr: (inode: number): FileRequest => ({ name: 'getattr', request: { inode } }),
  unlink: (parent: number, name: string): FileRequest => ({ name: 'unlink', request: { parent, name } }),
  rmdir: (parent: number, name: string): FileRequest => ({ name: 'rmdir', request: { parent, name } }),
  rename: (from: readonly [number, string], to: readonly [number, string], flags = 0): FileRequest => ({
    name: 'rename',
    request: { parent: from[0], name: from[1], newParent: to[0], newName: to[1], flags },
  }),
  link: (inode: number, parent: number, name: string): FileRequest => ({
    name: 'link',
    request: { inode, parent, name },
  }),
  readdir: (inode: number, after = '', limit = 100): FileRequest => ({
    name: 'readdir',
    request: { inode, after, limit },
  }),
  truncate: (inode: number, size: number): FileRequest => ({
    name: 'setattr',
    request: { inode, valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: ZERO, mtime: ZERO },
  }),
  /** Writes a blob of its own, whose number is `tag` times the least one. */
  write: (inode: number, tag: number, at: { offset: number; length: number }): FileRequest =>
    writeOf(inode, sliceOf(tag, at)),
  read: (inode: number): FileRequest => ({ name: 'chunkRead', request: { inode, first: 0, count: 1 } }),
  open: (inode: number, held = false): FileRequest => ({ name: 'open', request: { inode, held, inline: 0 } }),
};

export function sliceOf(tag: number, { offset, length }: { offset: number; length: number }): Slice {
  return { offset, length, blob: tag * BLOB_BLOCKS, blobOffset: 0, blobLength: length };
}

export function writeOf(inode: number, slice: Slice): FileRequest {
  const size = slice.offset + slice.length;
  return {
    name: 'chunkCommit',
    request: { inode, session: 1, chunks: [{ chunk: 0, slices: [slice] }], size, mtime: null },
  };
}

export function attr(inode: number, more: Partial<Attr> = {}): Attr {
  return {
    inode,
    mode: Mode.FILE | 0o644,
    uid: 0,
    gid: 0,
    nlink: 1,
    rdev: 0,
    size: 0,
    atime: ZERO,
    mtime: ZERO,
    ctime: ZERO,
    version: 1,
    flags: 0,
    etag: '',
    target: '',
    object: new Uint8Array(0),
    ...more,
  };
}

export function directory(inode: number, nlink = 2): Attr {
  return attr(inode, { mode: Mode.DIRECTORY | 0o755, nlink });
}

/** An operation of a client; the answer is a status, or what comes with OK, or nothing when nobody heard it. */
export function did(
  client: number,
  [invoked, returned]: readonly [number, number | null],
  request: FileRequest,
  answer: Status | object = UNKNOWN_ANSWER,
): FileOperation {
  const base = { client, invoked, returned, request };
  if (answer === UNKNOWN_ANSWER) return { ...base, answer: UNKNOWN };
  if (typeof answer === 'number') return { ...base, answer: { status: answer as Status, answer: null } };
  return { ...base, answer: { status: Status.OK, answer: answer as NonNullable<FileAnswer['answer']> } };
}

const UNKNOWN_ANSWER = {};

export interface FileShape {
  readonly clients: number;
  readonly operations: number;
  readonly directories: number;
  /** Names that are used in each directory. */
  readonly names: number;
  readonly unknownPercent: number;
  readonly random: () => number;
}

/** Runs one request as the service would. */
export function performer(world: World): (asked: FileRequest) => FileAnswer {
  return ({ name, request }) => {
    try {
      if (name === 'append') throw new Error('the service has no append');
      const answer = world.call(name, request as never) as FileAnswer['answer'];
      return { status: Status.OK, answer };
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      return { status: error.status, answer: null };
    }
  };
}

/** A history of requests that clients make of what they have heard, answered by the service's own operations. */
export function executeFiles(shape: FileShape): { setup: FileOperation[]; history: FileOperation[]; root: number } {
  const { random } = shape;
  const world = new World();
  const perform = performer(world);
  const setup: FileOperation[] = [];
  const directories = Array.from({ length: shape.directories }, (_, at) => {
    const request = ask.mkdir(world.root, `d${at}`);
    const answer = perform(request);
    setup.push({ client: 0, invoked: 2 * at, returned: 2 * at + 1, request, answer });
    return (answer.answer as { attr: Attr }).attr.inode;
  });
  const heard = Array.from({ length: shape.directories }, () => new Set<number>());
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!; // callers give no empty one
  const request = (client: number): FileRequest => {
    if (random() < 0.02) world.settle();
    const at = client % shape.directories;
    const name = (): string => `f${Math.floor(random() * shape.names)}`;
    const place = (): [number, string] => {
      const inside = [...heard[at]!].slice(-3);
      return [random() < 0.9 || inside.length === 0 ? directories[at]! : pick(inside), name()];
    };
    const inode = pick([directories[at]!, ...[...heard[at]!].slice(-12)]);
    const [parent, some] = place();
    const offset = Math.floor(random() * 4) * 10;
    return pick<() => FileRequest>([
      () => ask.create(parent, some, random() < 0.5),
      () => ask.create(parent, some),
      () => ask.mkdir(parent, some),
      () => ask.symlink(parent, some),
      () => ask.lookup(parent, some),
      () => ask.getattr(inode),
      () => ask.unlink(parent, some),
      () => ask.rmdir(parent, some),
      () => ask.rename([parent, some], place(), pick([0, 0, 1, 2])),
      () => ask.link(inode, parent, some),
      () => ask.readdir(pick([parent, directories[at]!]), pick(['', 'f1']), pick([1, 100])),
      () => ask.truncate(inode, Math.floor(random() * 5) * 10),
      () => writeOf(inode, world.slice(offset, 10 + Math.floor(random() * 3) * 10)),
      () => ask.read(inode),
      () => ask.open(inode, random() < 0.5),
    ])();
  };
  const hear = (client: number, _: FileRequest, { answer }: FileAnswer): void => {
    const told = (answer as { attr?: Attr } | null)?.attr;
    if (told !== undefined && told.inode !== world.root) heard[client % shape.directories]!.add(told.inode);
  };
  const { clients, operations, unknownPercent } = shape;
  const history = execute({ clients, operations, random, request, perform, unknownPercent, heard: hear });
  return { setup, history, root: world.root };
}
