// A process that mounts a MemoryVfs, so that tests may use the mount as any program does, without care for the thread
// that serves it. Prints `ready`, then a line for each command that it is sent; ends when the mount does.
//
//   node mount-process.js DIRECTORY OPTIONS-AS-JSON

import { createInterface } from 'node:readline';
import { mountVolume } from '../../../client/fuse/index.js';
import { MemoryVfs } from './memory-vfs.js';

const [directory, options] = process.argv.slice(2);
const vfs = new MemoryVfs();

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function obey(command: string): Promise<string> {
  switch (command) {
    case 'unmount':
      await mount.unmount();
      return 'unmounted';
    case 'force':
      await mount.unmount({ force: true });
      return 'unmounted';
    case 'state':
      return JSON.stringify({ inodes: vfs.inodeCount, opens: vfs.openCount, flushes: vfs.flushes });
    case 'exit':
      process.exit(3);
      return '';
    default:
      return `what is ${command}?`;
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
