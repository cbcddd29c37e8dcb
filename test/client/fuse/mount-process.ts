// A process that mounts a MemoryVfs, so that tests may use the mount as any program does, without care for the thread
// that serves it. Prints `ready`, then a line for each command that it is sent; ends when the mount does.
//
//   node mount-process.js DIRECTORY OPTIONS-AS-JSON

import { createInterface } from 'node:readline';
import { mountVolume } from '../../../client/fuse/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { MemoryVfs } from './memory-vfs.js';

const [directory, options] = process.argv.slice(2);
const vfs = new MemoryVfs();

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const calls = new Map<string, number>();
/** Operations that wait until they are let go. */
const held = new Map<string, (() => void)[]>();

/** Operations of which the next one fails. */
const failing = new Set<string>();
/** Writes that no flush was begun after. */
let unflushed = 0;

vfs.before = async (operation) => {
  calls.set(operation, (calls.get(operation) ?? 0) + 1);
  if (failing.delete(operation)) throw new OfsError(Status.IO, `${operation} fails as it was told`);
  if (operation === 'write') unflushed++;
  if (operation === 'flush') unflushed = 0;
  const waiting = held.get(operation);
  if (waiting !== undefined) await new Promise<void>((resolve) => waiting.push(resolve));
};

/** Writes to a file of the root as another client does: the mount does not see it happen. */
async function writeBehind(name: string, text: string, place: 'end' | 'start'): Promise<string> {
  const attr = await vfs.lookup(vfs.root, name);
  const { handle } = await vfs.open(attr.inode, 1);
  await vfs.write(handle, place === 'end' ? attr.size : 0, Buffer.from(text));
  await vfs.release(handle);
  return 'written';
}

async function unlinkBehind(name: string): Promise<string> {
  await vfs.unlink(vfs.root, name);
  return 'unlinked';
}

async function obey(line: string): Promise<string> {
  const [command, name = '', text = ''] = line.split(' ');
  switch (command) {
    case 'unmount':
      await mount.unmount();
      return 'unmounted';
    case 'force':
      await mount.unmount({ force: true });
      return 'unmounted';
    case 'state':
      return JSON.stringify({ inodes: vfs.inodeCount, opens: vfs.openCount, calls: Object.fromEntries(calls) });
    case 'append':
      return writeBehind(name, text, 'end');
    case 'overwrite':
      return writeBehind(name, text, 'start');
    case 'unlink':
      return unlinkBehind(name);
    case 'invalidate':
      mount.invalidate((await vfs.lookup(vfs.root, name)).inode);
      return 'told';
    case 'invalidate-entry':
      mount.invalidateEntry(vfs.root, name);
      return 'told';
    case 'fail':
      failing.add(name);
      return 'failing';
    case 'unflushed':
      return String(unflushed);
    case 'hold':
      held.set(name, []);
      return 'held';
    case 'held':
      return String(held.get(name)?.length ?? 0);
    case 'release': {
      const waiting = held.get(name) ?? [];
      held.delete(name);
      for (const go of waiting) go();
      return `released ${waiting.length}`;
    }
    case 'exit':
      process.exit(3);
      return '';
    default:
      return `what is ${line}?`;
  }
}

const mount = await mountVolume({
  vfs,
  directory: directory!,
  volume: 'memory',
  log: (message) => process.stderr.write(`${message}\n`),
  ...(JSON.parse(options ?? '{}') as object),
});
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  obey(line).then(print, (error: Error) => print(`error ${error.message}`));
});
mount.stopped.then(
  () => {
    print('stopped');
    input.close();
  },
  (error: Error) => print(`error ${error.message}`),
);
print('ready');
