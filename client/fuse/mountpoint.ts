// The place of a mount in the file system: is DIR fit, mount(8) and umount(8), the table of mounts, and the last
// resorts. Everything here is asynchronous and outside the path of requests. No call may touch a mount of this process
// except as its readers expect it (device.ts).

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';

export const MOUNT_TYPE = 'fuse.ofs';
const DEVICE = '/dev/fuse';
const CONNECTIONS = '/sys/fs/fuse/connections';

export interface MountEntry {
  readonly directory: string;
  readonly type: string;
  readonly source: string;
  /** `major:minor` of the file system; the minor number is the name of its FUSE connection. */
  readonly device: string;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** Fields of /proc/self/mountinfo escape space, tab, newline and backslash as octal. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** proc(5): id, parent, device, root, directory, options, optional fields, `-`, type, source, options. */
export function parseMountInfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    if (dash < 0 || fields.length < dash + 3) continue;
    entries.push({
      directory: unescapeField(fields[4]!),
      type: fields[dash + 1]!,
      source: unescapeField(fields[dash + 2]!),
      device: fields[2]!,
    });
  }
  return entries;
}

/** The uppermost mount on `directory`, if there is one. */
export async function findMount(directory: string): Promise<MountEntry | undefined> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')).findLast(
    (entry) => entry.directory === directory,
  );
}

function describe(code: string, directory: string): OfsError {
  switch (code) {
    case 'ENOENT':
      return new OfsError(Status.NOENT, `cannot mount on ${directory}: there is no such directory; make it first`);
    case 'ENOTDIR':
      return new OfsError(Status.NOTDIR, `cannot mount on ${directory}: it is not a directory`);
    case 'EACCES':
      return new OfsError(Status.ACCES, `cannot mount on ${directory}: no permission to reach it`);
    default:
      return new OfsError(Status.IO, `cannot mount on ${directory}: ${code}`);
  }
}

/** Absolute, without symbolic links on the way; the last part is not looked at, it may be a dead mount. */
async function absolutePath(directory: string): Promise<string> {
  const path = resolve(directory);
  if (path === '/') return path;
  const parent = await realpath(dirname(path)).catch((error: unknown) => {
    throw describe(codeOf(error), directory);
  });
  return join(parent, basename(path));
}

type Liveness = 'alive' | 'dead' | 'silent';

/** Whether anybody serves a mount. A server that hangs is told apart by the time it takes. */
async function probe(directory: string): Promise<Liveness> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<Liveness>((resolveSilence) => {
    timer = setTimeout(() => resolveSilence('silent'), limits.fuseStopMs);
  });
  const answer = stat(directory).then(
    (): Liveness => 'alive',
    (error: unknown): Liveness => (codeOf(error) === 'ENOTCONN' ? 'dead' : 'alive'),
  );
  const liveness = await Promise.race([answer, silence]);
  clearTimeout(timer);
  return liveness;
}

/**
 * Makes sure that `directory` can be mounted on, and gives its absolute path. A mount of ours whose process is gone is
 * cleared. Rejects with OfsError: PERM, NOENT, NOTDIR, BUSY.
 */
export async function prepareDirectory(directory: string, cleared: (path: string) => void): Promise<string> {
  if (process.platform !== 'linux') throw new OfsError(Status.OPNOTSUPP, 'mounts need Linux');
  if (process.geteuid?.() !== 0) {
    throw new OfsError(Status.PERM, `cannot mount on ${directory}: mount(2) needs root; run as root or with sudo`);
  }
  let path = await absolutePath(directory);
  for (let mounted = await findMount(path); mounted?.type === MOUNT_TYPE; mounted = await findMount(path)) {
    if ((await probe(path)) !== 'dead') {
      throw new OfsError(
        Status.BUSY,
        `cannot mount on ${path}: ${mounted.source} is mounted there already; unmount it first: umount ${path}`,
      );
    }
    await detachDirectory(path);
    cleared(path);
  }
  const status = await stat(path).catch((error: unknown) => {
    throw describe(codeOf(error), directory);
  });
  if (!status.isDirectory()) throw describe('ENOTDIR', directory);
  path = await realpath(path);
  const target = await findMount(path);
  if (target?.type === MOUNT_TYPE) {
    throw new OfsError(Status.BUSY, `cannot mount on ${path}: ${target.source} is mounted there already`);
  }
  return path;
}

/** Opens /dev/fuse, blocking. Throws OfsError. */
export function openDevice(): number {
  try {
    return openSync(DEVICE, 'r+');
  } catch (error) {
    const code = codeOf(error);
    const advice =
      code === 'EACCES' || code === 'EPERM'
        ? 'no permission; run as root, in a container with --device /dev/fuse'
        : 'load the module (modprobe fuse), or give the container the device (--device /dev/fuse)';
    throw new OfsError(Status.IO, `cannot open ${DEVICE}: ${code}; ${advice}`);
  }
}

export function closeDevice(descriptor: number): void {
  closeSync(descriptor);
}

interface Outcome {
  readonly code: number;
  readonly message: string;
}

/** Runs a program to its end. `descriptor` becomes its descriptor 3. Rejects when it cannot be started. */
function run(program: string, args: readonly string[], descriptor?: number): Promise<Outcome> {
  return new Promise((resolveRun, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe', ...(descriptor === undefined ? [] : [descriptor])],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    });
    const pieces: Buffer[] = [];
    child.stderr!.on('data', (piece: Buffer) => pieces.push(piece));
    child.on('error', (error) => reject(new OfsError(Status.IO, `cannot run ${program}: ${error.message}`)));
    child.on('close', (code, signal) => {
      const message = Buffer.concat(pieces).toString('utf8').trim();
      resolveRun({ code: code ?? -1, message: message || `ended by ${signal ?? `code ${code}`}` });
    });
  });
}

export interface MountCommand {
  readonly descriptor: number;
  readonly directory: string;
  readonly volume: string;
  readonly readOnly: boolean;
  readonly allowOther: boolean;
}

/** Runs mount(8), which hands the descriptor to the kernel. Rejects with OfsError. */
export async function mountDevice(command: MountCommand): Promise<void> {
  const options = [
    'fd=3',
    'rootmode=40000',
    `user_id=${process.getuid!()}`,
    `group_id=${process.getgid!()}`,
    'default_permissions',
    `max_read=${limits.fuseRequestBytes}`,
    'nosuid',
    'nodev',
    command.readOnly ? 'ro' : 'rw',
  ];
  if (command.allowOther) options.push('allow_other');
  const args = ['-i', '-t', MOUNT_TYPE, '-o', options.join(','), `ofs#${command.volume}`, command.directory];
  const { code, message } = await run('mount', args, command.descriptor);
  if (code === 0) return;
  const status = /busy/i.test(message) ? Status.BUSY : /permi/i.test(message) ? Status.PERM : Status.IO;
  throw new OfsError(status, `cannot mount on ${command.directory}: ${message}`);
}

/** Unmounts. Rejects with OfsError BUSY while files in it are open, unless it may be `lazy`. */
export async function unmountDirectory(directory: string, { lazy = false } = {}): Promise<void> {
  if (lazy) return detachDirectory(directory);
  const { code, message } = await run('umount', ['-i', directory]);
  if (code === 0) return;
  if (/busy/i.test(message)) {
    throw new OfsError(
      Status.BUSY,
      `cannot unmount ${directory}: files in it are open or processes stand in it; end them (fuser -vm ${directory})`,
    );
  }
  throw new OfsError(Status.IO, `cannot unmount ${directory}: ${message}`);
}

/** Takes the mount out of the tree at once; what is open in it lives on until it is closed or the device is. */
async function detachDirectory(directory: string): Promise<void> {
  const { code, message } = await run('umount', ['-i', '-l', directory]);
  if (code !== 0) throw new OfsError(Status.IO, `cannot detach ${directory}: ${message}`);
}

/** Ends a connection by the abort file of fusectl: everything pending fails, and every reader leaves the device. */
export async function abortConnection(device: string): Promise<void> {
  const file = join(CONNECTIONS, device.slice(device.indexOf(':') + 1), 'abort');
  try {
    await writeFile(file, '1');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await mkdir(CONNECTIONS, { recursive: true });
    await run('mount', ['-t', 'fusectl', 'fusectl', CONNECTIONS]);
    await writeFile(file, '1');
  }
}

/** How far the kernel reads ahead in this mount: 128 KiB unless told, too little for requests of 1 MiB. */
export async function setReadAhead(device: string, bytes: number): Promise<void> {
  await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(bytes / 1024));
}
