// Clients of one service and one block store in memory.

import assert from 'node:assert';
import { createVfs, type FileHandle, type Vfs } from '../../../client/vfs/index.js';
import { MemoryStore, type MemoryStoreOptions } from '../blocks/memory-store.js';
import { MemoryMeta, MemoryMetaService } from './memory-meta.js';

export const WHO = { uid: 1000, gid: 1000 };
export const Open = { RDONLY: 0, WRONLY: 1, RDWR: 2, EXCL: 0o200, TRUNC: 0o1000, APPEND: 0o2000 } as const;

export interface Client {
  vfs: ReturnType<typeof createVfs>;
  meta: MemoryMeta;
  store: MemoryStore;
  warnings: string[];
}

/** `patienceMs`: how long flushes try again; here mostly not at all. */
export interface ClientOptions extends MemoryStoreOptions {
  patienceMs?: number;
}

/** Another client of a service and of the blocks of `other`, if given. */
export function client(service: MemoryMetaService, options: ClientOptions = {}, other?: Client): Client {
  const meta = new MemoryMeta(service);
  const store = new MemoryStore({ ...options, shared: other?.store });
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const { patienceMs = 0 } = options;
  const vfs = createVfs({ meta, blocks: store, group: 1, root: service.root, warn, patienceMs });
  return { vfs, meta, store, warnings };
}

export function newClient(options: ClientOptions = {}): Client {
  return client(new MemoryMetaService(), options);
}

export async function create(vfs: Vfs, name: string): Promise<FileHandle> {
  return (await vfs.create(vfs.root, name, 0o644, Open.RDWR, WHO)).handle;
}

export async function openByName(vfs: Vfs, name: string, flags: number = Open.RDWR): Promise<FileHandle> {
  const { inode } = await vfs.lookup(vfs.root, name);
  return (await vfs.open(inode, flags)).handle;
}

export async function readAll(vfs: Vfs, handle: FileHandle): Promise<Buffer> {
  const { size } = await vfs.getattr(handle.inode);
  const target = Buffer.alloc(size, 0xee);
  assert.strictEqual(await vfs.read(handle, 0, target), size);
  return target;
}

/** Waits for a condition, ten seconds at most. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert(performance.now() < deadline, `waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function closeFile(vfs: Vfs, handle: FileHandle): Promise<void> {
  await vfs.flush(handle);
  await vfs.release(handle);
}

export async function writeFile(vfs: Vfs, name: string, data: Buffer): Promise<void> {
  const handle = await create(vfs, name);
  await vfs.write(handle, 0, data);
  await closeFile(vfs, handle);
}
