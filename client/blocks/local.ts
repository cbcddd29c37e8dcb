// The block store of this process: writes go to the block threads over rings, their data lying in this thread's slab;
// reads are this thread's own, from the volume files by the shared index (node/block's reader), which checks them.

import type { Channel } from '../../workers/channel.js';
import { BlockCalls } from './block-calls.js';
import type { BlockStore } from './interface.js';

/** What a local store needs of a slab (workers/slab). */
export interface SlabSpace {
  allocate(bytes: number): Buffer | null;
  release(buffer: Buffer): void;
  /** False when it takes no more waiters. */
  onSpace(callback: () => void): boolean;
}

/** What a local store needs of node/block's reader. Errors as those of BlockStore. */
export interface BlockReads {
  readSync(block: number, offset: number, target: Buffer): boolean;
  read(block: number, offset: number, target: Buffer): Promise<void>;
}

export interface LocalBlockStoreOptions {
  /** Rings to the block threads, by thread. */
  channels: readonly Channel[];
  slab: SlabSpace;
  reader: BlockReads;
  /** The session to write under; a function where the client may come to take a new one. */
  session: number | (() => number);
}

const SPACE_RETRY_MS = 10;

class LocalBlockStore implements BlockStore {
  readonly isDistant = false;
  readonly isInProcess = true;
  private readonly calls: BlockCalls;

  constructor(private readonly options: LocalBlockStoreOptions) {
    this.calls = new BlockCalls(options.channels);
  }

  get session(): number {
    const { session } = this.options;
    return typeof session === 'number' ? session : session();
  }

  allocate(bytes: number): Buffer | null {
    return this.options.slab.allocate(bytes);
  }

  release(buffer: Buffer): void {
    this.options.slab.release(buffer);
  }

  onSpace(callback: () => void): void {
    if (!this.options.slab.onSpace(callback)) setTimeout(() => this.onSpace(callback), SPACE_RETRY_MS);
  }

  write(blob: number, index: number, data: Buffer, checksums: readonly number[]): Promise<number> {
    const thread = blob === 0 ? this.calls.nextThread() : this.calls.threadOf(blob);
    const request = { session: this.session, blob, index, checksums: checksums as number[] };
    return this.calls.call('blockWrite', thread, request, data, (answer) => answer.blob);
  }

  readSync(block: number, offset: number, target: Buffer): boolean {
    return this.options.reader.readSync(block, offset, target);
  }

  read(block: number, offset: number, target: Buffer): Promise<void> {
    return this.options.reader.read(block, offset, target);
  }

  capacity(): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.calls.capacity();
  }

  async close(): Promise<void> {
    this.calls.close();
  }
}

export function createLocalBlockStore(options: LocalBlockStoreOptions): BlockStore {
  return new LocalBlockStore(options);
}
