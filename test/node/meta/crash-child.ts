// A node for crash.test.ts to kill: makes files as fast as it is answered, each name said on standard output when it is
// acknowledged, and a checkpoint whenever standard input has a line.

import fs from 'node:fs';
import { OfsError, Status } from '../../../proto/status.js';
import { ask, FILE, makeVolume, type Node, startNode } from './support.js';

const IN_FLIGHT = 32;

async function volumeOf(node: Node): Promise<{ group: number; root: number }> {
  try {
    return await makeVolume(node);
  } catch (error) {
    if (!(error instanceof OfsError) || error.status !== Status.VOLUME_EXISTS) throw error;
    const { volume } = await ask(node, 'volumeInfo', { name: 'volume' });
    return { group: volume.group, root: volume.partition * 2 ** 38 + 1 };
  }
}

async function makeFiles(node: Node, round: string): Promise<void> {
  const { group, root } = await volumeOf(node);
  let made = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      const name = `${round}-${made++}`;
      await ask(node, 'mknod', { parent: root, name, ...FILE }, { group });
      fs.writeSync(1, `${name}\n`);
    }
  };
  process.stdin.on('data', () => {
    node.checkpoint(group).then(
      () => fs.writeSync(1, 'checkpoint\n'),
      (error: Error) => {
        fs.writeSync(2, `${error.stack}\n`);
        process.exit(1);
      },
    );
  });
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

const [directory, bootId, round] = process.argv.slice(2);
if (directory !== undefined && bootId !== undefined && round !== undefined) {
  await makeFiles(await startNode(directory, { bootId }), round);
}
