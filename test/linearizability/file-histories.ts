// Histories of the file system for tests: written by hand in short words, or made by the service's own operations over
// a store in memory, one at a time, while clients call and hear concurrently.

import { blobSequence } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { type Attr, Mode } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { World } from '../node/meta-operations/memory.js';
import { execute } from './generate.js';
import { type FileAnswer, type FileOperation, type FileRequest, UNKNOWN } from './index.js';
import { ask, sliceOf, writeOf } from './requests.js';
import type { Requests } from './rule.js';

export { ask, sliceOf, writeOf };

export const ROOT = 1;
const ZERO = { sec: 0, nsec: 0 };
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
  return (asked) => {
    try {
      if (asked.name === 'append') throw new Error('the service has no append');
      if (asked.name === 'writeCommit') return { status: Status.OK, answer: writeBytes(world, asked.request) };
      const { name, request } = asked;
      const answer = world.call(name, request as never) as FileAnswer['answer'];
      return { status: Status.OK, answer };
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      return { status: error.status, answer: null };
    }
  };
}

/** The block first, then the commit that names it. Every fourth answer is as a retry has it. */
function writeBytes(world: World, { offset, payload, crc: _, ...request }: Requests['writeCommit']) {
  const chunk = Math.floor(offset / limits.chunkBytes);
  const slice = world.slice(offset % limits.chunkBytes, payload.length);
  const { blob } = slice;
  const answer = world.call('chunkCommit', { ...request, chunks: [{ chunk, slices: [slice] }] });
  return { ...answer, blob: blobSequence(blob) % 4 === 0 ? 0 : blob };
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
      () => ask.readNames(pick([parent, directories[at]!]), pick(['', 'f1']), pick([1, 100])),
      () => ask.lookupNear(parent, some, pick([0, 1, 100])),
      () => ask.truncate(inode, Math.floor(random() * 5) * 10),
      () => writeOf(inode, world.slice(offset, 10 + Math.floor(random() * 3) * 10)),
      () => ask.writeBytes(inode, offset, Buffer.alloc(10 + Math.floor(random() * 3) * 10)),
      () => ask.read(inode),
      () => ask.open(inode, random() < 0.5),
    ])();
  };
  const hear = (client: number, _: FileRequest, { answer }: FileAnswer): void => {
    const told = (answer as { attr?: Attr | null } | null)?.attr ?? undefined;
    if (told !== undefined && told.inode !== world.root) heard[client % shape.directories]!.add(told.inode);
  };
  const { clients, operations, unknownPercent } = shape;
  const history = execute({ clients, operations, random, request, perform, unknownPercent, heard: hear });
  return { setup, history, root: world.root };
}
