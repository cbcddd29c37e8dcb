// What keeps two nodes from one data directory and from one port. Both locks are the kernel's: they end with the
// process, however it ends, so a start after a SIGKILL needs nothing cleared.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** A reason not to start, for people: what is wrong and what to do. */
export class StartError extends Error {
  override name = 'StartError';
}

const LOCK_FILE = 'ofs.lock';

/**
 * Makes the data directory if need be and takes its lock: flock(2) on a file in it, taken by flock(1) on a descriptor
 * that this process keeps open. Throws StartError.
 */
export function lockDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    fs.accessSync(directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw new StartError(
      `data directory ${directory}: ${reason(error)}. Give another with --data, or change its owner`,
    );
  }
  const fd = openLockFile(path.join(directory, LOCK_FILE));
  const result = spawnSync('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  if (result.error !== undefined) throw new StartError(`flock(1) of util-linux cannot be run: ${result.error.message}`);
  if (result.status === 0) {
    fs.ftruncateSync(fd);
    fs.writeSync(fd, `${process.pid}\n`, 0);
    return;
  }
  const holder = fs.readFileSync(path.join(directory, LOCK_FILE), 'utf8').trim();
  fs.closeSync(fd);
  throw new StartError(`data directory ${directory} is in use by another ofs (process ${holder || 'unknown'})`);
}

function openLockFile(file: string): number {
  try {
    return fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  } catch (error) {
    throw new StartError(`lock file ${file}: ${reason(error)}`);
  }
}

/**
 * Takes a TCP port for this process. The gateway's threads share their port by SO_REUSEPORT, which would let a second
 * node share it too without an error; so an abstract Unix socket named after the port stands for it (it lives in the
 * network namespace, as the port does), and an exclusive listen tells whether anything else has the port. Rejects with
 * StartError.
 */
export async function lockPort(host: string, port: number, option: string): Promise<void> {
  const guard = net.createServer();
  guard.unref();
  await listen(guard, { path: `\0ofs-port-${port}` }).catch((error) => {
    throw portError(host, port, option, 'another ofs', error);
  });
  const probe = net.createServer();
  await listen(probe, { host, port, exclusive: true }).catch((error) => {
    guard.close();
    throw portError(host, port, option, 'another program', error);
  });
  await new Promise<void>((resolve) => probe.close(() => resolve()));
}

function listen(server: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => resolve());
  });
}

function portError(host: string, port: number, option: string, holder: string, error: unknown): StartError {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
    return new StartError(`${host}:${port} cannot be listened on: ${reason(error)}. Choose another with ${option}`);
  }
  return new StartError(`port ${port} is in use by ${holder}. Choose another with ${option} HOST:PORT`);
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES') return 'permission denied';
  if (code === 'ENOTDIR') return 'not a directory';
  if (code === 'ENOSPC') return 'no space left on the disk';
  if (code === 'EROFS') return 'the file system is read-only';
  return message;
}
