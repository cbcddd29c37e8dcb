// The limit of figures of a mount: the same mount over a file system in this process's memory, which answers at once
// and keeps nothing. Directory in the first argument; says `ready`, and ends when it is unmounted.

import { mountVolume } from '../../client/fuse/index.js';
import { MemoryVfs } from '../../test/client/fuse/memory-vfs.js';

const mount = await mountVolume({
  vfs: new MemoryVfs(),
  directory: process.argv[2]!, // given by the scenario
  volume: 'null',
  attributeMs: 0,
  entryMs: 0,
  log: (message) => process.stderr.write(`${message}\n`),
});
process.stdout.write('ready\n');
await mount.stopped;
