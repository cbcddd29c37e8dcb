// The body of a large GET: pieces are read ahead while the one before drains into the socket. A client that does not
// take what it was sent keeps no buffer of the pool when others wait for one: what is left of the piece is read again
// when the socket is writable. Once the head is sent an error can only close the connection; it never ends short.

import type { Buffer } from 'node:buffer';
import type { OpenObject, PathFs } from '../../../client/pathfs/interface.js';
import { limits } from '../../../proto/limits.js';
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
  const stream = new ObjectStream(x, service, pathfs, object, reading);
  try {
    await stream.run();
  } finally {
    pathfs.unhold(object);
  }
}

interface Piece {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** Settled, because it may fail while nobody waits for it yet. */
type Fetch = Promise<[PromiseSettledResult<Piece>]>;

function pieceOf([settled]: [PromiseSettledResult<Piece>]): Piece {
  if (settled.status === 'rejected') throw settled.reason;
  return settled.value;
}

class ObjectStream {
  private readonly total: number;
  private headSent = false;
  private wake: (() => void) | undefined;

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
    let ahead: Fetch | undefined = Promise.allSettled([this.fetch(0, this.total)]);
    try {
      while (ahead !== undefined && !x.gone) {
        const settled: [PromiseSettledResult<Piece>] = await ahead;
        ahead = undefined;
        const piece = pieceOf(settled);
        const next = piece.offset + piece.length;
        if (next < this.total && !x.gone) ahead = Promise.allSettled([this.fetch(next, this.total)]);
        await this.drain(piece);
      }
    } catch (error) {
      if (!this.headSent) throw error;
      this.service.log.error({ error, bucket: x.bucket, request: x.requestId }, 'a GET broke off in its body');
      x.abandon();
    } finally {
      if (ahead !== undefined) await this.discard(ahead);
    }
  }

  /** A failed read ahead of a stream that has ended already is nobody's error. */
  private async discard(ahead: Fetch): Promise<void> {
    const [result] = await ahead;
    if (result.status === 'fulfilled') this.service.buffers.give(result.value.buffer);
  }

  /** Reads the piece at `offset` of the range, up to `end` of it at most. */
  private async fetch(offset: number, end: number): Promise<Piece> {
    const { buffers } = this.service;
    const length = Math.min(limits.s3ReadPieceBytes, end - offset);
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

  /** Gives a piece to the socket, waiting as often as it is full. Takes the piece's buffer over. */
  private async drain(first: Piece): Promise<void> {
    let piece: Piece | undefined = first;
    try {
      let done = 0;
      while (done < first.length && !this.x.gone) {
        piece ??= await this.fetch(first.offset + done, first.offset + first.length);
        done = this.push(piece, first.offset + done) - first.offset;
        if (done >= first.length || this.x.gone) break;
        if (this.service.buffers.scarce || first.offset + done >= piece.offset + piece.length) {
          this.service.buffers.give(piece.buffer);
          piece = undefined;
        }
        await this.writable();
      }
    } finally {
      if (piece !== undefined) this.service.buffers.give(piece.buffer);
    }
  }

  /** Sends of a piece what lies from `from` on; answers up to where the socket took it. */
  private push(piece: Piece, from: number): number {
    const { x } = this;
    if (x.gone) return from;
    const view = piece.buffer.subarray(from - piece.offset, piece.length);
    let offset = from;
    x.res.cork(() => {
      if (!this.headSent) {
        this.headSent = true;
        x.writeHead(this.reading.status, this.reading.block);
      }
      const before = x.res.getWriteOffset();
      const [ok, ended] = x.res.tryEnd(view, this.total);
      offset = ok ? from + view.length : from + (x.res.getWriteOffset() - before);
      if (ended) x.finish();
    });
    return offset;
  }

  /** Resolves when the socket takes more, or is gone. */
  private writable(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
      this.x.res.onWritable(() => {
        resolve();
        return true;
      });
    });
  }
}
