// How `ofs umount` knows when the process of a mount has ended: it listens on an abstract socket named after the
// directory, and who is connected to it sees the connection end with the process, however that ends.

import { createHash } from 'node:crypto';
import net from 'node:net';
import { OfsError, Status } from '../../proto/status.js';

const END_MS = 120_000;

function socketPath(directory: string): string {
  return `\0ofs-mount-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`;
}

/** To be called by the process that serves the mount, once it stands. Does not keep the process. */
export function announceMount(directory: string): void {
  const server = net.createServer((socket) => {
    socket.unref();
    socket.on('error', () => socket.destroy());
  });
  // Only who waits for the end is served worse when the name is taken.
  server.on('error', () => server.close());
  server.listen({ path: socketPath(directory) }, () => server.unref());
}

/** Answers a function that resolves when the process that now serves the mount has ended; at once if there is none. */
export async function watchMount(directory: string): Promise<() => Promise<void>> {
  const socket = net.connect({ path: socketPath(directory) });
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const found = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  if (!found) return async () => {};
  return async () => {
    const late = setTimeout(() => socket.destroy(new OfsError(Status.TIMEOUT, '')), END_MS);
    let failure: Error | null = null;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.resume();
    await ended;
    clearTimeout(late);
    if (failure === null) return;
    const what = `${directory} is unmounted, but its process has not ended within ${END_MS / 1000} s`;
    throw new OfsError(Status.TIMEOUT, `${what}: what was written may still be on its way to the node`);
  };
}
