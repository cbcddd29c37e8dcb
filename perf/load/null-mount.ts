// The limit of look-ups on a mount: the same mount over a file system that answers every look-up from memory. Directory
// in the first argument; says `ready`, and ends when it is unmounted.

import { mountVolume } from '../../client/fuse/index.js';
import type { Vfs } from '../../client/vfs/index.js';
import type { Attr } from '../../proto/meta/index.js';
import { Mode } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';

const ROOT = 1;
const zero = { sec: 0, nsec: 0 };

function attributes(inode: number, mode: number): Attr {
  const times = { atime: zero, mtime: zero, ctime: zero };
  const rest = { uid: 0, gid: 0, nlink: 1, rdev: 0, size: 0, version: 1, flags: 0, etag: '', target: '' };
  return { inode, mode, ...times, ...rest, object: Buffer.alloc(0) };
}

const answers = {
  root: ROOT,
  lookup: async (_parent: number, name: string) => attributes(Number(name.slice(1)) + 2, Mode.FILE | 0o644),
  getattr: async (inode: number) => attributes(inode, (inode === ROOT ? Mode.DIRECTORY : Mode.FILE) | 0o755),
  close: async () => {},
};
/** Everything else is refused: only look-ups are measured. */
const vfs = new Proxy(answers, {
  get: (target, name) =>
    Reflect.get(target, name) ??
    (() => Promise.reject(new OfsError(Status.OPNOTSUPP, `${String(name)} is not answered`))),
}) as unknown as Vfs;

const mount = await mountVolume({
  vfs,
  directory: process.argv[2]!, // given by the scenario
  volume: 'null',
  attributeMs: 0,
  entryMs: 0,
  log: (message) => process.stderr.write(`${message}\n`),
});
process.stdout.write('ready\n');
await mount.stopped;
