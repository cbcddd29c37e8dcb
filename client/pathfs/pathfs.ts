// PathFS over a metadata channel and a block store. What S3's hot path needs (openSync, headSync, readSync) touches only
// the caller's own memory: no promise, no closure, no copy but the one into the caller's buffer. A block that has gone
// since the object was opened (compaction, GC) is looked for once more under what metadata names now.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import { blockOf } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import type { Attr, Chunk, Slice } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type BlockPart, type BlockStore, partsOf, readParts, type Space, spaceOf } from '../blocks/index.js';
import type { MetaChannel } from '../channel/index.js';
import type { ObjectWriter, OpenObject, PathFs, PutRequest } from './interface.js';
import { BlobObjectWriter } from './writer.js';

const NO_SLICES: readonly Slice[] = [];

export interface PathFsOptions {
  meta: MetaChannel;
  blocks: BlockStore;
  /** The group of the volume. */
  group: number;
}

/** Chunks of an open object beyond those its open brought, by chunk, a page of limits.chunksPerRead at a time. */
type Pages = Map<number, readonly Chunk[]>;

class ChannelPathFs implements PathFs {
  readonly group: number;
  private readonly meta: MetaChannel;
  private readonly blocks: BlockStore;
  private readonly space: Space;
  /** Only of objects that are longer than their first page, or were resolved again. */
  private readonly pages = new WeakMap<OpenObject, Pages>();
  /** Spares the table's lookup as long as there is nothing in it. */
  private paged = false;

  constructor(options: PathFsOptions) {
    this.group = options.group;
    this.meta = options.meta;
    this.blocks = options.blocks;
    this.space = spaceOf(options.blocks);
  }

  openSync(path: ByteString): OpenObject | undefined {
    return this.meta.readLocal('objectOpen', this.group, { path });
  }

  open(path: ByteString): Promise<OpenObject> {
    return this.meta.call('objectOpen', this.group, { path });
  }

  headSync(path: ByteString): Attr | undefined {
    return this.meta.readLocal('objectHead', this.group, { path })?.attr;
  }

  async head(path: ByteString): Promise<Attr> {
    return (await this.meta.call('objectHead', this.group, { path })).attr;
  }

  readSync(object: OpenObject, offset: number, target: Buffer): boolean {
    const chunk = Math.floor(offset / limits.chunkBytes);
    const start = offset - chunk * limits.chunkBytes;
    const slices = this.slicesAt(object, chunk);
    if (slices === undefined || start + target.length > limits.chunkBytes) return false;
    try {
      const block = slices.length === 1 ? blockWith(slices[0]!, start, target.length) : -1;
      if (block < 0) return this.readMerged(slices, start, target);
      const inBlob = slices[0]!.blobOffset + start - slices[0]!.offset;
      return this.blocks.readSync(block, inBlob % limits.blockBytes, target);
    } catch (error) {
      if (isLost(error)) return false;
      throw error;
    }
  }

  async read(object: OpenObject, offset: number, target: Buffer): Promise<void> {
    try {
      await this.readOnce(object, offset, target);
    } catch (error) {
      if (!isLost(error)) throw error;
      this.setPages(object, new Map());
      await this.readOnce(object, offset, target);
    }
  }

  hold(object: OpenObject): void {
    this.meta.hold(this.group, object.attr.inode);
  }

  unhold(object: OpenObject): void {
    this.meta.unhold(this.group, object.attr.inode);
  }

  createWriter(sizeHint: number): ObjectWriter {
    return new BlobObjectWriter(this.space, sizeHint);
  }

  async put(path: ByteString, writer: ObjectWriter, etag: ByteString, request: PutRequest): Promise<Attr> {
    const chunks = await this.content(writer);
    const session = this.blocks.session;
    const { attr } = await this.meta.call('objectPut', this.group, {
      ...{ path, session, size: writer.size, chunks, etag },
      ...{ object: request.object, condition: request.condition, uid: request.uid, gid: request.gid },
    });
    return attr;
  }

  async putPart(
    upload: ByteString,
    path: ByteString,
    part: number,
    writer: ObjectWriter,
    etag: ByteString,
    checksum: Uint8Array,
  ): Promise<void> {
    const chunks = await this.content(writer);
    const session = this.blocks.session;
    const request = { upload, path, part, session, size: writer.size, chunks, etag, checksum };
    await this.meta.call('uploadPart', this.group, request);
  }

  /** What was written, on disk, with the session it was written under standing in the group. */
  private async content(writer: ObjectWriter): Promise<Chunk[]> {
    const [chunks] = await Promise.all([writer.finish(), this.meta.session(this.group)]);
    return chunks;
  }

  /** Undefined where the chunk's page has not been fetched. */
  private slicesAt(object: OpenObject, chunk: number): readonly Slice[] | undefined {
    const pages = this.paged ? this.pages.get(object) : undefined;
    if (chunk < limits.chunksPerRead && pages === undefined) return slicesIn(object.chunks, chunk);
    const page = pages?.get(Math.floor(chunk / limits.chunksPerRead));
    return page === undefined ? undefined : slicesIn(page, chunk);
  }

  private readMerged(slices: readonly Slice[], start: number, target: Buffer): boolean {
    const parts: BlockPart[] = [];
    partsOf(slices, start, target, parts);
    for (const part of parts) if (!this.blocks.readSync(part.block, part.offset, part.target)) return false;
    return true;
  }

  private async readOnce(object: OpenObject, offset: number, target: Buffer): Promise<void> {
    assert(offset >= 0 && offset + target.length <= object.attr.size, 'read beyond the end of the object');
    const parts: BlockPart[] = [];
    for (let done = 0; done < target.length; ) {
      const chunk = Math.floor((offset + done) / limits.chunkBytes);
      const start = offset + done - chunk * limits.chunkBytes;
      const length = Math.min(limits.chunkBytes - start, target.length - done);
      const slices = this.slicesAt(object, chunk) ?? (await this.fetch(object, chunk));
      partsOf(slices, start, target.subarray(done, done + length), parts);
      done += length;
    }
    await readParts(this.blocks, parts);
  }

  private async fetch(object: OpenObject, chunk: number): Promise<readonly Slice[]> {
    const page = Math.floor(chunk / limits.chunksPerRead);
    const first = page * limits.chunksPerRead;
    const inode = object.attr.inode;
    const answer = await this.meta.call('chunkRead', this.group, { inode, first, count: limits.chunksPerRead });
    let pages = this.pages.get(object);
    if (pages === undefined) {
      // Once an object has pages of its own, its first chunks are found there too.
      pages = new Map([[0, object.chunks]]);
      this.setPages(object, pages);
    }
    pages.set(page, answer.chunks);
    return slicesIn(answer.chunks, chunk);
  }

  private setPages(object: OpenObject, pages: Pages): void {
    this.paged = true;
    this.pages.set(object, pages);
  }
}

/** The block that holds [start, start + length) of a chunk whole, if it is one of this slice's; else -1. */
function blockWith(slice: Slice, start: number, length: number): number {
  const inSlice = start - slice.offset;
  if (inSlice < 0 || inSlice + length > slice.length) return -1;
  const inBlob = slice.blobOffset + inSlice;
  if ((inBlob % limits.blockBytes) + length > limits.blockBytes) return -1;
  return blockOf(slice.blob, Math.floor(inBlob / limits.blockBytes));
}

function slicesIn(chunks: readonly Chunk[], chunk: number): readonly Slice[] {
  // Where no chunk is a hole, a chunk stands at its own place of the page.
  const guess = chunks[chunk % limits.chunksPerRead];
  if (guess !== undefined && guess.chunk === chunk) return guess.slices;
  for (const candidate of chunks) if (candidate.chunk === chunk) return candidate.slices;
  return NO_SLICES;
}

function isLost(error: unknown): boolean {
  return error instanceof OfsError && (error.status === Status.NOENT || error.status === Status.CORRUPT);
}

export function createPathFs(options: PathFsOptions): PathFs {
  return new ChannelPathFs(options);
}
