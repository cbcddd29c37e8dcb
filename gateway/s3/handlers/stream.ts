// The body of a large GET: pieces are read ahead while the one before drains into the socket. A client that does not
// take what it was sent keeps no buffer from others: what it had is read again when the socket is writable. Once the
// head is sent an error can only close the connection; an answer never ends short.

import type { Buffer } from 'node:buffer';
import type { OpenObject, PathFs } from '../../../client/pathfs/interface.js';
import { limits } from '../../../proto/limits.js';
import type { Parked } from '../body/buffers.js';
import type { Range } from '../http/conditions.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';

export interface StreamedReading {
  readonly range: Range;
  readonly status: number;
  readonly block: string;
}

/** Resolves when the last byte was given to the socket, or the client has gone. Rejects only before the head is sent. */
export async function streamObject(
  x: Exchange,
  service: S3Service,
  pathfs: PathFs,
  object: OpenObject,
  reading: StreamedReading,
): Promise<void> {
  pathfs.hold(object);
  try {
    await new ObjectStream(x, service, pathfs, object, reading).run();
  } finally {
    pathfs.unhold(object);
  }
}

/** Bytes [offset, offset + length) of the range. */
interface Piece {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** A piece on its way. It may fail, or be wanted no more, while nobody waits for it. */
interface Fetch {
  readonly offset: number;
  readonly settled: Promise<[PromiseSettledResult<Piece>]>;
  piece: Piece | undefined;
  dropped: boolean;
}

class ObjectStream implements Parked {
  private readonly total: number;
  private sent = 0;
  private piece: Piece | undefined;
  private ahead: Fetch | undefined;
  private headSent = false;
  private wake: (() => void) | undefined;
  private progressMs = performance.now();

  constructor(
    private readonly x: Exchange,
    private readonly service: S3Service,
    private readonly pathfs: PathFs,
    private readonly object: OpenObject,
    private readonly reading: StreamedReading,
  ) {
    this.total = reading.range.end - reading.range.start;
  }

  async run(): Promise<void> {
    const { x } = this;
    x.watch();
    x.onGone = () => this.wake?.();
    try {
      while (this.sent < this.total && !x.gone) {
        this.piece ??= await this.next();
        if (x.gone) break;
        const end = this.piece.offset + this.piece.length;
        if (this.ahead === undefined && end < this.total) this.ahead = this.fetch(end);
        const isFull = !this.push(this.piece);
        if (this.sent === end) this.releasePiece();
        if (isFull && this.sent < this.total) await this.writable();
      }
    } catch (error) {
      if (!this.headSent) throw error;
      this.service.log.error({ err: error, bucket: x.bucket, request: x.requestId }, 'a GET broke off in its body');
      x.abandon();
    } finally {
      this.releasePiece();
      this.dropAhead();
    }
  }

  /** The piece at `sent`, which was read ahead or is read now. */
  private async next(): Promise<Piece> {
    if (this.ahead?.offset !== this.sent) this.dropAhead();
    const fetch = this.ahead ?? this.fetch(this.sent);
    this.ahead = fetch;
    const [result] = await fetch.settled;
    if (this.ahead === fetch) this.ahead = undefined;
    if (result.status === 'rejected') throw result.reason;
    fetch.piece = undefined;
    return result.value;
  }

  private fetch(offset: number): Fetch {
    const length = Math.min(limits.s3ReadPieceBytes, this.total - offset);
    const settled = Promise.allSettled([this.readPiece(offset, length)] as const);
    const fetch: Fetch = { offset, settled, piece: undefined, dropped: false };
    void settled.then(([result]) => {
      if (result.status === 'rejected') return;
      if (fetch.dropped) this.service.buffers.give(result.value.buffer);
      else fetch.piece = result.value;
    });
    return fetch;
  }

  private async readPiece(offset: number, length: number): Promise<Piece> {
    const { buffers } = this.service;
    const taken = buffers.take();
    const buffer = taken instanceof Promise ? await taken : taken;
    try {
      if (!this.x.gone) {
        await this.pathfs.read(this.object, this.reading.range.start + offset, buffer.subarray(0, length));
      }
    } catch (error) {
      buffers.give(buffer);
      throw error;
    }
    return { buffer, offset, length };
  }

  private releasePiece(): void {
    if (this.piece === undefined) return;
    this.service.buffers.give(this.piece.buffer);
    this.piece = undefined;
  }

  private dropAhead(): void {
    const fetch = this.ahead;
    if (fetch === undefined) return;
    this.ahead = undefined;
    if (fetch.piece === undefined) fetch.dropped = true;
    else this.service.buffers.give(fetch.piece.buffer);
  }

  /** Gives the socket what of the piece it has not had; false when the socket is full. */
  private push(piece: Piece): boolean {
    const { x } = this;
    const view = piece.buffer.subarray(this.sent - piece.offset, piece.length);
    const sentBefore = this.sent;
    let isTaken = false;
    x.res.cork(() => {
      if (!this.headSent) {
        this.headSent = true;
        x.writeHead(this.reading.status, this.reading.block + x.lastLine());
      }
      const before = x.res.getWriteOffset();
      const [ok, ended] = x.res.tryEnd(view, this.total);
      isTaken = ok;
      this.sent += ok ? view.length : x.res.getWriteOffset() - before;
      if (ended) x.finish();
    });
    if (this.sent > sentBefore) this.progressMs = performance.now();
    return isTaken;
  }

  /** Resolves when the socket takes more, or is gone. */
  private writable(): Promise<void> {
    const { buffers } = this.service;
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = undefined;
        buffers.unpark(this);
        resolve();
      };
      this.x.res.onWritable(() => {
        this.wake?.();
        return true;
      });
      buffers.park(this);
    });
  }

  surrender(): Buffer | undefined {
    const ahead = this.ahead?.piece;
    if (ahead !== undefined) {
      this.ahead = undefined;
      return ahead.buffer;
    }
    const { piece } = this;
    this.piece = undefined;
    return piece?.buffer;
  }

  /**
   * The server ends a connection on which it could write nothing for ten seconds, and a reader that computes between
   * reads may take longer. Each attempt to write begins that time anew; the end of patience is limits.s3StallMs.
   */
  stillParked(ms: number): void {
    if (this.x.gone) return;
    if (performance.now() - this.progressMs > limits.s3StallMs) this.x.abandon();
    else if (ms > limits.s3StallRetryMs) this.wake?.();
  }
}
