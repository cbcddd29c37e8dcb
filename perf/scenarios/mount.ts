// Look-ups on a mount with nothing cached, two processes, beside the same mount over a file system in memory.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { unmountDirectory } from '../../client/fuse/index.js';
import type { Figure } from '../figures.js';
import type { StatResult } from '../load/stat-load.js';
import { HOST, type NodeTarget, runOfs, runScript } from '../servers.js';

const FILES = 2000;
const PROCESSES = 2;
const VOLUME = 'perf-mount';
const STAT_LOAD = new URL('../load/stat-load.js', import.meta.url);
const NULL_MOUNT = fileURLToPath(new URL('../load/null-mount.js', import.meta.url));

export async function measureMount(node: NodeTarget, seconds: number): Promise<Figure[]> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-mount-'));
  try {
    const limit = await overNull(directory, seconds / 2);
    const value = await overNode(node, directory, seconds);
    const name = `mount, stat uncached, ${PROCESSES} processes`;
    return [{ name, unit: 'operations/s', value, limit, limitName: 'the same mount over memory', note: '' }];
  } finally {
    fs.rmdirSync(directory);
  }
}

async function overNull(directory: string, seconds: number): Promise<number> {
  const child = spawn(process.execPath, [NULL_MOUNT, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const rate = await load(directory, seconds);
  await unmountDirectory(directory);
  if (child.exitCode === null) await once(child, 'exit');
  return rate;
}

async function overNode(node: NodeTarget, directory: string, seconds: number): Promise<number> {
  const server = ['--server', `${HOST}:${node.listen}`];
  await command('volume', 'create', VOLUME, ...server);
  await command('mount', VOLUME, directory, '--attr-ms', '0', '--entry-ms', '0', ...server);
  try {
    await Promise.all(
      Array.from({ length: FILES }, (_, file) => fs.promises.writeFile(path.join(directory, `f${file}`), '')),
    );
    return await load(directory, seconds);
  } finally {
    await command('umount', directory);
  }
}

async function load(directory: string, seconds: number): Promise<number> {
  const task = { directory, files: FILES, seconds };
  const runs = Array.from({ length: PROCESSES }, () => runScript<StatResult>(STAT_LOAD, task));
  const results = await Promise.all(runs);
  return results.reduce((total, result) => total + result.operations / result.seconds, 0);
}

async function command(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await runOfs(args);
  if (code !== 0) throw new Error(`ofs ${args.join(' ')}: ${stdout}${stderr}`);
}
