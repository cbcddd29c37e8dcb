// The block service of a thread: requests decoded, checked and handed to the store or the reader, answers encoded.
// Checksums that came with a block from another process (a request with a session) are verified before it is written;
// those of this process's own threads come through rings, where nothing can damage them, and are verified by whoever
// reads the block.

import { blockOperations, pieceChecksums, pieceCount, VOLUME_KEYS } from '../../proto/block/index.js';
import { DecodeError, Writer } from '../../proto/codec.js';
import { BLOB_BLOCKS, blobOf, blobSequence, blockIndex, blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import type { Operation } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Request, Service } from '../../workers/channel.js';
import { isNoSpace } from '../disk/index.js';
import { Arena } from './arena.js';
import { type Clock, type Disk, systemClock, systemDisk } from './disk.js';
import { listBlocks } from './listing.js';
import { openBlockReader } from './reader.js';
import type { BlockReader } from './reading.js';
import { BlockStore, type BlockWrite } from './store.js';
import type { Append } from './volume.js';

export interface BlockServiceOptions {
  /** Of the node; blocks lie in `blocks` below it. */
  directory: string;
  thread: number;
  threads: number;
  /** Of `createArena`, the same in every thread of the process. */
  arena: SharedArrayBuffer;
  warn: (message: string) => void;
  /** The disk failed in a way after which nothing may be acknowledged; must end the process. */
  fatal: (error: Error) => void;
  /** At which a volume is full; limits.volumeBytes and limits.volumeNeedles, and never above them. */
  volumeBytes?: number;
  volumeNeedles?: number;
  /** For tests. */
  disk?: Disk;
  clock?: Clock;
  newCookie?: () => number;
  step?: (name: string) => void;
  compactBytesPerSecond?: number;
}

export interface BlockServiceHandle {
  service: Service;
  /** Answers what came in, then closes all files synced. */
  close(): Promise<void>;
}

/**
 * Opens the volumes of a block thread and repairs what a crash left. Throws where a file cannot be read or written.
 */
export async function openBlockService(options: BlockServiceOptions): Promise<BlockServiceHandle> {
  const store = new BlockStore({
    directory: options.directory,
    thread: options.thread,
    threads: options.threads,
    arena: new Arena(options.arena),
    disk: options.disk ?? systemDisk,
    clock: options.clock ?? systemClock,
    newCookie: options.newCookie ?? drawCookie,
    volumeBytes: options.volumeBytes ?? limits.volumeBytes,
    volumeNeedles: options.volumeNeedles ?? limits.volumeNeedles,
    warn: options.warn,
    fatal: options.fatal,
    step: options.step ?? (() => {}),
    compactBytesPerSecond: options.compactBytesPerSecond ?? limits.compactBytesPerSecond,
  });
  store.recover();
  const service = new BlockService(store, openBlockReader(options), options);
  return { service: service.handle, close: () => service.close() };
}

function drawCookie(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

const writer = new Writer();

function decodeBody<Q>(request: Request, operation: Operation<Q, unknown>): Q {
  const value = operation.request.read(request.body);
  if (request.body.remaining !== 0) throw new DecodeError(`${request.body.remaining} bytes behind the request`);
  return value;
}

function answer<A>(request: Request, operation: Operation<unknown, A>, value: A, payload?: Uint8Array[]): void {
  writer.reset();
  operation.answer.write(writer, value);
  request.answer(Status.OK, writer.view(), payload);
}

/** An error's answer: its message as the body. */
function refuse(request: Request, status: Status, message: string): void {
  request.answer(status, Buffer.from(message));
}

class ServedWrite implements BlockWrite {
  key = 0;
  readonly blocks = 0;
  readonly data: Buffer;

  constructor(
    private readonly request: Request,
    public blob: number,
    readonly session: number,
    readonly checksums: readonly number[],
    private readonly onFinish: () => void,
  ) {
    this.data = request.payload;
  }

  finish(status: Status): void {
    this.onFinish();
    if (status !== Status.OK) refuse(this.request, status, 'the block was not written: no space left on the device');
    else answer(this.request, blockOperations.blockWrite, { blob: this.blob });
  }
}

/** A blockDelete: answered when the last of its tombstones is on disk. */
class ServedDelete {
  waiting = 1;
  status: Status = Status.OK;

  constructor(private readonly request: Request) {}

  finish(status: Status): void {
    if (status !== Status.OK) this.status = status;
    if (--this.waiting > 0) return;
    if (this.status === Status.OK) answer(this.request, blockOperations.blockDelete, {});
    else refuse(this.request, this.status, 'not all blocks were deleted; delete them again');
  }
}

class BlockService {
  private readsInFlight = 0;
  private readBytes = 0;
  private writes = 0;
  private closing = false;
  private readonly readQueue: (() => void)[] = [];
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly store: BlockStore,
    private readonly reader: BlockReader,
    private readonly options: BlockServiceOptions,
  ) {}

  private readonly handlers = new Map<number, (request: Request) => void>([
    [blockOperations.blockWrite.code, (request) => this.write(request)],
    [blockOperations.blockRead.code, (request) => this.read(request)],
    [blockOperations.blockLocate.code, (request) => this.locate(request)],
    [blockOperations.blockDelete.code, (request) => this.delete(request)],
    [blockOperations.blockList.code, (request) => this.list(request)],
    [blockOperations.volumeStats.code, (request) => this.stats(request)],
    [blockOperations.volumeCompact.code, (request) => this.compact(request)],
  ]);

  private readonly written = (): void => {
    this.writes--;
  };

  readonly handle = (request: Request): void => {
    try {
      if (this.closing) throw new OfsError(Status.CLOSED, 'the block service is closing');
      this.dispatch(request);
    } catch (error) {
      this.fail(request, error);
    }
  };

  private dispatch(request: Request): void {
    const handler = this.handlers.get(request.kind);
    if (handler === undefined) {
      throw new OfsError(Status.MALFORMED, `operation ${request.kind} is none of the block service`);
    }
    handler(request);
  }

  private fail(request: Request, error: unknown): void {
    if (error instanceof OfsError) refuse(request, error.status, error.message);
    else if (error instanceof DecodeError) refuse(request, Status.MALFORMED, error.message);
    else if (isNoSpace(error)) refuse(request, Status.NOSPC, (error as Error).message);
    else {
      this.options.warn(`a block request failed: ${(error as Error).stack}`);
      refuse(request, Status.IO, (error as Error).message);
    }
  }

  /** Runs what waits; its request is answered in any case. */
  private run(request: Request, work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => this.fail(request, error))
      .finally(() => this.running.delete(running));
    this.running.add(running);
  }

  private write(request: Request): void {
    const { session, blob, index, checksums } = decodeBody(request, blockOperations.blockWrite);
    const data = request.payload;
    checkWrite(blob, index, data.length, checksums.length);
    if (request.session !== 0) checkData(data, checksums);
    if (this.writes >= limits.queueRequests) throw new OfsError(Status.BUSY, 'too many blocks wait to be written');
    const write = new ServedWrite(request, blob, session, checksums, this.written);
    const status = this.store.write(write, index);
    if (status === Status.OK) {
      this.writes++;
      return;
    }
    if (status === Status.EXIST) {
      this.writes++;
      this.run(request, () => this.writeAgain(request, blob + index, checksums).finally(this.written));
    } else refuse(request, status, refusals[status] ?? `block ${index} of blob ${blob} was refused`);
  }

  /** A block that is there already: the same bytes are a retry, others a mistake. */
  private async writeAgain(request: Request, block: number, checksums: readonly number[]): Promise<void> {
    const place = await this.reader.locate(block);
    const same =
      place.length === request.payload.length && place.checksums.every((value, piece) => value === checksums[piece]);
    if (!same) throw new OfsError(Status.EXIST, `block ${block} is written already; a block never changes`);
    answer(request, blockOperations.blockWrite, { blob: blobOf(block) });
  }

  private delete(request: Request): void {
    const { blobs } = decodeBody(request, blockOperations.blockDelete);
    const { thread, threads } = this.options;
    for (const { blob, blocks } of blobs) {
      const ours = blockVolume(blob) % threads === thread && blob % BLOB_BLOCKS === 0;
      if (ours && blocks > 0 && blocks <= BLOB_BLOCKS) continue;
      throw new OfsError(Status.INVAL, `${blocks} blocks of blob ${blob} are nothing that block thread ${thread} has`);
    }
    const deletion = new ServedDelete(request);
    for (const { blob, blocks } of blobs) {
      const key = blobSequence(blob) * BLOB_BLOCKS + blockIndex(blob);
      const finish = (status: Status): void => deletion.finish(status);
      const tombstone: Append = { key, session: request.session, data: null, checksums: [], blocks, finish };
      deletion.waiting++;
      try {
        if (!this.store.delete(blob, blocks, tombstone)) deletion.waiting--;
      } catch (error) {
        this.options.warn(`deleting blob ${blob}: ${(error as Error).message}`);
        deletion.waiting--;
        deletion.status = Status.IO;
      }
    }
    deletion.finish(Status.OK);
  }

  /** Reads for other processes are bounded in number and bytes; the queue is bounded by what their peers may ask. */
  private read(request: Request): void {
    const range = decodeBody(request, blockOperations.blockRead);
    if (this.readQueue.length >= limits.queueRequests) throw new OfsError(Status.BUSY, 'too many reads wait');
    this.readQueue.push(() => this.run(request, () => this.readPieces(request, range)));
    this.startReads();
  }

  private startReads(): void {
    while (this.readQueue.length > 0 && this.readsInFlight < limits.blockReadsInFlight) {
      if (this.readBytes >= limits.blockReadBufferBytes) return;
      this.readQueue.shift()!();
    }
  }

  private async readPieces(request: Request, range: { block: number; offset: number; length: number }): Promise<void> {
    let bytes = 0;
    this.readsInFlight++;
    try {
      const pieces = await this.reader.readPieces(range.block, range, (needed) => {
        bytes += needed;
        this.readBytes += needed;
        return Buffer.allocUnsafe(needed);
      });
      const { start, blockLength, checksums, data } = pieces;
      answer(request, blockOperations.blockRead, { start, blockLength, checksums }, [data]);
    } finally {
      this.readsInFlight--;
      this.readBytes -= bytes;
      this.startReads();
    }
  }

  private locate(request: Request): void {
    const { block } = decodeBody(request, blockOperations.blockLocate);
    this.run(request, async () => {
      answer(request, blockOperations.blockLocate, await this.reader.locate(block));
    });
  }

  private list(request: Request): void {
    const { volume: number, after, limit } = decodeBody(request, blockOperations.blockList);
    const volume = this.store.volumes.get(number);
    if (volume === undefined) throw new OfsError(Status.NO_SUCH_VOLUME, `volume ${number} is not on this thread`);
    const afterKey = Math.min(after - number * VOLUME_KEYS, VOLUME_KEYS);
    this.run(request, async () => {
      answer(
        request,
        blockOperations.blockList,
        await listBlocks(volume, { after: afterKey, limit }, this.options.clock ?? systemClock),
      );
    });
  }

  private stats(request: Request): void {
    const volumes = [...this.store.volumes.values()].map((volume) => ({
      volume: volume.number,
      sealed: volume.sealed || volume.sealing ? 1 : 0,
      fileBytes: volume.tail,
      liveBytes: volume.liveBytes,
      needles: volume.needles,
      liveNeedles: volume.liveNeedles,
    }));
    answer(request, blockOperations.volumeStats, { volumes, ...this.store.space() });
  }

  private compact(request: Request): void {
    const { holePercent } = decodeBody(request, blockOperations.volumeCompact);
    if (holePercent > 100) throw new OfsError(Status.INVAL, `${holePercent} percent of holes is more than all`);
    this.run(request, async () => {
      answer(request, blockOperations.volumeCompact, await this.store.compact(holePercent));
    });
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.store.close();
    await Promise.all(this.running);
    this.reader.close();
  }
}

const refusals: Partial<Record<Status, string>> = {
  [Status.NOSPC]: 'no space left on the device: delete something or add a node',
  [Status.SEALED]: 'the volume of the blob takes no more: begin a new blob',
  [Status.NOENT]: 'the blob was deleted, or never begun',
  [Status.BUSY]: 'the block is being written by another request',
};

function checkWrite(blob: number, index: number, bytes: number, checksums: number): void {
  if (bytes === 0 || bytes > limits.blockBytes) {
    throw new OfsError(Status.INVAL, `a block has 1 to ${limits.blockBytes} bytes, not ${bytes}`);
  }
  if (checksums !== pieceCount(bytes)) {
    throw new OfsError(Status.INVAL, `${bytes} bytes have ${pieceCount(bytes)} checksums, not ${checksums}`);
  }
  if (index >= BLOB_BLOCKS || blob % BLOB_BLOCKS !== 0 || (blob === 0 && index !== 0)) {
    throw new OfsError(Status.INVAL, `there is no block ${index} of blob ${blob}`);
  }
}

function checkData(data: Buffer, checksums: readonly number[]): void {
  const actual = pieceChecksums(data);
  const piece = actual.findIndex((checksum, at) => checksum !== checksums[at]);
  if (piece >= 0)
    throw new OfsError(Status.CORRUPT, `piece ${piece} of the block was damaged on its way: send it again`);
}
