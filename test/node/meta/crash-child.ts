// A node for crash.test.ts to kill: makes files as fast as it is answered, each name said on standard output when it is
// acknowledged, and a checkpoint whenever standard input has a line. With `volumes`: makes and deletes volumes.

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

/** Makes and deletes volumes, saying what is begun and what is acknowledged. */
async function makeVolumes(node: Node, round: string): Promise<void> {
  const worker = async (worker: number): Promise<void> => {
    for (let made = 0; ; made++) {
      const name = `volume-${round}-${worker}-${made}`;
      const { group, root } = await makeVolume(node, name);
      fs.writeSync(1, `made ${name}\n`);
      await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
      if (made % 3 === 0) continue;
      fs.writeSync(1, `deleting ${name}\n`);
      await ask(node, 'volumeDelete', { name, force: true });
      fs.writeSync(1, `deleted ${name}\n`);
    }
  };
  await Promise.all([0, 1, 2].map(worker));
}

const [directory, bootId, round, what] = process.argv.slice(2);
if (directory !== undefined && bootId !== undefined && round !== undefined) {
  const node = await startNode(directory, { bootId });
  await (what === 'volumes' ? makeVolumes(node, round) : makeFiles(node, round));
}
