// The block store of a node reached over TCP. Data that came over the network is checked here, piece by piece, against
// the checksums that came along; a client on the node's own machine reads the volume files itself (places.ts).

import fs from 'node:fs';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Channel } from '../../workers/channel.js';
import { BlockCalls } from './block-calls.js';
import { piecesMatch } from './checksums.js';
import { HeapBuffers } from './heap-buffers.js';
import type { BlockStore } from './interface.js';
import { Places } from './places.js';
import { Windows } from './windows.js';

export interface RemoteBlockStoreOptions {
  /** To the block threads of the node, by thread. */
  channels: readonly Channel[];
  /** The session to write under; a function where the client may come to take a new one. */
  session: number | (() => number);
  /** The node's boot id (clusterInfo): where it is this machine's, its volume files are read here. */
  nodeBootId?: string;
  /** The node's data directory, if it may be read here. */
  directory?: string | null;
  /** Memory for blocks that are written; limits.writeBufferBytes where nothing is said. */
  bufferBytes?: number;
}

/** With less a single file could not keep the disk busy. */
const LEAST_BUFFER_BYTES = limits.blocksInFlightPerBlob * limits.blockBytes;

class RemoteBlockStore implements BlockStore {
  private readonly calls: BlockCalls;
  private readonly buffers: HeapBuffers;
  private readonly places: Places | null;
  readonly windows: Windows | null;

  constructor(private readonly options: RemoteBlockStoreOptions) {
    this.calls = new BlockCalls(options.channels);
    this.buffers = new HeapBuffers(Math.max(LEAST_BUFFER_BYTES, options.bufferBytes ?? limits.writeBufferBytes));
    const locate = (block: number) =>
      this.calls.call('blockLocate', this.calls.threadOf(block), { block }, null, (place) => place);
    const { directory = null } = options;
    this.windows = directory === null ? null : new Windows(directory);
    this.places = options.nodeBootId === machineBootId() ? new Places(locate) : null;
  }

  get isInProcess(): boolean {
    return false;
  }

  get isDistant(): boolean {
    return this.places === null || this.places.isOutOfReach;
  }

  get session(): number {
    const { session } = this.options;
    return typeof session === 'number' ? session : session();
  }

  allocate(bytes: number): Buffer | null {
    return this.buffers.allocate(bytes);
  }

  release(buffer: Buffer): void {
    this.buffers.release(buffer);
  }

  onSpace(callback: () => void): void {
    this.buffers.onSpace(callback);
  }

  async write(blob: number, index: number, data: Buffer, checksums: readonly number[]): Promise<number> {
    const thread = blob === 0 ? this.calls.nextThread() : this.calls.threadOf(blob);
    const request = { session: this.session, blob, index, checksums: checksums as number[] };
    try {
      return await this.calls.call('blockWrite', thread, request, data, (answer) => answer.blob);
    } catch (error) {
      this.buffers.taint(data);
      throw error;
    }
  }

  /** Never: a remote read waits for the network, one on this machine for the pool. */
  readSync(): boolean {
    return false;
  }

  async read(block: number, offset: number, target: Buffer): Promise<void> {
    if (this.places !== null && (await this.places.read(block, offset, target))) return;
    const length = target.length;
    await this.calls.call('blockRead', this.calls.threadOf(block), { block, offset, length }, null, (answer, data) => {
      const { start, checksums } = answer;
      if (start > offset || start + data.length < offset + length) {
        throw new OfsError(Status.IO, `block ${block}: the server sent other bytes than were asked for`);
      }
      if (!piecesMatch(data, checksums, 0)) {
        throw new OfsError(Status.CORRUPT, `block ${block}: bytes from the server do not fit their checksums`);
      }
      data.copy(target, 0, offset - start);
    });
  }

  capacity(): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.calls.capacity();
  }

  async close(): Promise<void> {
    this.places?.close();
    this.windows?.close();
    this.calls.close();
  }
}

/** Of the running kernel; null where it cannot be told. */
export function machineBootId(): string | null {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

export function createRemoteBlockStore(options: RemoteBlockStoreOptions): BlockStore {
  return new RemoteBlockStore(options);
}
