// Reading a file: fetch the slices that are missing, plan in one turn, then get from caches and store what is not in
// memory. A block that has gone (compaction, GC) means that the slices are of yesterday: they are asked for again, once.

import { crc32 } from 'node:zlib';
import { limits } from '../../proto/limits.js';
import type { MetaOperationName, MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import { type BlockPart, type BlockStore, readParts } from '../blocks/index.js';
import type { BlockCache } from '../cache/index.js';
import type { VfsFile } from './file.js';

export interface ReadHost {
  readonly blocks: BlockStore;
  ask<K extends MetaOperationName>(
    name: K,
    request: RequestOf<MetaOperations[K]>,
  ): Promise<AnswerOf<MetaOperations[K]>>;
}

type Inlined = NonNullable<AnswerOf<MetaOperations['open']>['inlined']>;

/** Pages may be asked for in vain while others change the file. */
const PAGE_ATTEMPTS = 100;

export class Reads {
  private readonly keep = (block: number, bytes: Buffer): void => this.cache.put(block, bytes);

  constructor(
    private readonly host: ReadHost,
    private readonly cache: BlockCache,
  ) {}

  /** All of a block, which came along with something else; what does not fit its checksum is read anew. */
  offer(inlined: Inlined): void {
    const { block, crc, bytes } = inlined;
    if (crc32(bytes) !== crc) return;
    this.keep(block, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.host.blocks.windows?.follow(inlined, this.keep);
  }

  /** Whether a small block need not come along. */
  has(block: number): boolean {
    if (!this.cache.has(block)) return false;
    this.host.blocks.windows?.used(block);
    return true;
  }

  /** Vfs.read. */
  async read(file: VfsFile, offset: number, target: Buffer): Promise<number> {
    try {
      return await this.readOnce(file, offset, target);
    } catch (error) {
      const lost = error instanceof OfsError && (error.status === Status.NOENT || error.status === Status.CORRUPT);
      if (!lost) throw error;
      file.chunks.clear();
      return this.readOnce(file, offset, target);
    }
  }

  private async readOnce(file: VfsFile, offset: number, target: Buffer): Promise<number> {
    let length = Math.min(target.length, file.size - offset);
    for (let attempt = 0; length > 0; attempt++) {
      const missing = file.missingChunk(offset, length);
      if (missing < 0) break;
      if (attempt === PAGE_ATTEMPTS)
        throw new OfsError(Status.BUSY, `inode ${file.inode} is being changed; read again`);
      await this.fetchPage(file, missing);
      length = Math.min(target.length, file.size - offset);
    }
    if (length <= 0) return 0;
    const parts: BlockPart[] = [];
    file.plan(offset, length === target.length ? target : target.subarray(0, length), parts);
    if (parts.length > 0) await this.fetchParts(parts);
    return length;
  }

  private async fetchPage(file: VfsFile, chunk: number): Promise<void> {
    const first = chunk - (chunk % limits.chunksPerRead);
    const count = limits.chunksPerRead;
    const { attr, chunks } = await this.host.ask('chunkRead', { inode: file.inode, first, count });
    file.learn(attr);
    // An answer of before a commit that this client knows of is of no use.
    if (attr.version === file.attr.version) file.chunks.setPage(first, count, chunks);
  }

  private async fetchParts(parts: readonly BlockPart[]): Promise<void> {
    const large: BlockPart[] = [];
    const waits: Promise<void>[] = [];
    for (const part of parts) {
      const { block, offset, target, blockLength } = part;
      if (target.length > limits.cachedReadBytes) large.push(part);
      else if (this.cache.readSync(block, offset, target) || this.host.blocks.readSync(block, offset, target)) continue;
      else waits.push(this.cache.read(block, offset, target, blockLength));
    }
    if (large.length > 0) waits.push(readParts(this.host.blocks, large));
    if (waits.length === 1) await waits[0];
    else await allEnded(waits);
  }
}

/** All must have ended before the target is the caller's again. */
async function allEnded(waits: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(waits);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
