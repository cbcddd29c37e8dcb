// `ofs mount` and `ofs umount`. A mount runs in the background unless -f is given: the command starts itself again,
// detached, and ends when that process says over its IPC channel that the volume is mounted, or why it is not.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { OfsError, Status } from '../../proto/status.js';
import { connectRemote, openVolume, type RemoteNode } from '../connect/index.js';
import { mountVolume, unmountDirectory } from '../fuse/index.js';
import { announceMount, watchMount } from './mount-process.js';
import { type ServerOption, serverOption } from './options.js';
import { print, say } from './output.js';

interface MountOptions extends ServerOption {
  foreground: boolean;
  readOnly: boolean;
  allowOther: boolean;
  subdir?: string;
  cacheMb: number;
  bufferMb: number;
  attrMs: number;
  entryMs: number;
  threads: number;
  log?: string;
}

/** What the background process tells the command that started it. */
type Report = { mounted: true } | { mounted: false; message: string };

const MIB = 1024 * 1024;
const OFS = fileURLToPath(new URL('./ofs.js', import.meta.url));

export function mountCommands(program: Command): void {
  program
    .command('mount <volume> <directory>')
    .description('mount a volume as a file system')
    .option('-f, --foreground', 'stay in the foreground and log to standard error', false)
    .option('--read-only', 'refuse every change', false)
    .option('--allow-other', 'let other users than root in, by the modes of the files', false)
    .option('--subdir <path>', 'mount this directory of the volume as the root')
    .addOption(number('--cache-mb <n>', 'memory for data read', 256))
    .addOption(number('--buffer-mb <n>', 'memory for data written and not yet sent', 128))
    .addOption(number('--attr-ms <n>', 'how long attributes may be cached; 0: not at all', 1000))
    .addOption(number('--entry-ms <n>', 'how long names may be cached; 0: not at all', 1000))
    .addOption(number('--threads <n>', 'threads that take requests from the kernel', 2))
    .option('--log <file>', 'where the background process writes its log')
    .addOption(serverOption())
    .action(mount);
  program
    .command('umount <directory>')
    .description('unmount; everything written is flushed first')
    .option('--lazy', 'detach now, end when the last user has left', false)
    .action(async (directory: string, options: { lazy: boolean }) => {
      const target = path.resolve(directory);
      const ended = await watchMount(target);
      await unmountDirectory(target, options);
      if (!options.lazy) await ended();
      print(`${directory} unmounted`);
    });
}

function number(flags: string, description: string, fallback: number): Option {
  return new Option(flags, description).default(fallback).argParser((text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('Give a whole number.');
    return value;
  });
}

async function mount(volume: string, directory: string, options: MountOptions): Promise<void> {
  const target = path.resolve(directory);
  if (!options.foreground) return mountInBackground(target, options.log);
  const report = process.send === undefined ? null : (message: Report) => process.send?.(message);
  try {
    const { ended } = await mountHere(volume, target, options);
    if (report === null) print(`${volume} mounted on ${target}`);
    report?.({ mounted: true });
    if (process.connected) process.disconnect();
    await ended;
  } catch (error) {
    if (report === null) throw error;
    report({ mounted: false, message: (error as Error).message });
    process.exitCode = 1;
    process.disconnect();
  }
}

/** Resolves when the volume is mounted. `ended` resolves when it is no more and everything is flushed. */
async function mountHere(volume: string, directory: string, options: MountOptions): Promise<{ ended: Promise<void> }> {
  const client = `mount of ${volume} on ${directory}, process ${process.pid}`;
  const node = await connectRemote({ server: options.server, client, warn: say, readsHere: true });
  try {
    return await serveMount(node, volume, directory, options);
  } catch (error) {
    await node.close();
    throw error;
  }
}

async function serveMount(
  node: RemoteNode,
  volume: string,
  directory: string,
  options: MountOptions,
): Promise<{ ended: Promise<void> }> {
  const vfs = await openVolume(node, volume, {
    subdir: options.subdir ?? '',
    cacheBytes: options.cacheMb * MIB,
    bufferBytes: options.bufferMb * MIB,
    warn: say,
  });
  const mounted = await mountVolume({
    vfs,
    directory,
    volume,
    readOnly: options.readOnly,
    allowOther: options.allowOther,
    attributeMs: options.attrMs,
    entryMs: options.entryMs,
    threads: options.threads,
    log: say,
  });
  announceMount(directory);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => mounted.unmount().catch((error: Error) => say(`ofs: ${error.message}`)));
  }
  const ended = mounted.stopped.then(async () => {
    await vfs.close();
    await node.close();
  });
  return { ended };
}

async function mountInBackground(directory: string, log: string | undefined): Promise<void> {
  const output = log === undefined ? 'ignore' : fs.openSync(log, 'a');
  const [, , ...given] = process.argv;
  const child = spawn(process.execPath, [...process.execArgv, OFS, ...given, '--foreground'], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
  });
  const report = await new Promise<Report>((resolve) => {
    child.on('message', (message) => resolve(message as Report));
    child.on('error', (error) => resolve({ mounted: false, message: error.message }));
    child.on('exit', (code) => resolve({ mounted: false, message: `the mount process ended with code ${code}` }));
  });
  if (!report.mounted) throw new OfsError(Status.IO, report.message);
  child.disconnect();
  child.unref();
  print(`mounted on ${directory} (process ${child.pid}); unmount with: npx ofs umount ${directory}`);
}
