// The body of a request on its way from the socket to a sink: decoded, digested, verified, and held back (the socket is
// paused) where the sink takes no more. What arrives before anybody wants it is one receive buffer at most, because the
// socket is paused then too.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { ChunkedDecoder, ChunkVerifier } from '../auth/chunked.js';
import { S3Error } from '../errors.js';
import type { Exchange, RequestBody } from '../http/exchange.js';
import { Digests } from './digests.js';
import { type BodyPlan, checksumHeader, parseChecksum, tooLarge } from './plan.js';

export interface Sink {
  /** Takes all of `piece` over. False: nothing more until `onDrain` calls. */
  write(piece: Uint8Array): boolean;
  onDrain(callback: () => void): void;
}

export interface Received {
  readonly size: number;
  readonly md5: Buffer;
  /** By the plan's algorithm; empty without one. */
  readonly checksum: Buffer;
}

interface Settle {
  resolve(received: Received): void;
  reject(error: unknown): void;
}

/** The body of a PUT or POST. */
export function bodyOf(x: Exchange): Body {
  assert(x.body instanceof Body);
  return x.body;
}

export class Body implements RequestBody {
  /** Bytes that the client still has to send; Infinity where it did not say how many. */
  remaining: number;
  private early: Buffer[] | undefined = [];
  private ended = false;
  private paused = false;
  /** The socket is not read. */
  private stopped = false;
  /** Decoded pieces that the sink must not be given yet. */
  private held: Buffer[] = [];
  private plan: BodyPlan | undefined;
  private decoder: ChunkedDecoder | undefined;
  private digests: Digests | undefined;
  private sink: Sink | undefined;
  private settle: Settle | undefined;
  private size = 0;
  private readonly drained = (): void => this.onDrained();

  /** Must be made in the request's first turn, or bytes are lost. */
  constructor(
    private readonly x: Exchange,
    contentLength: number,
  ) {
    this.remaining = contentLength < 0 ? Number.POSITIVE_INFINITY : contentLength;
    x.res.onData((chunk, last) => this.onBytes(Buffer.from(chunk), last));
  }

  /** Stops the socket until `receive` is called: for a request that has to wait for something first. */
  hold(): void {
    if (this.sink === undefined && !this.paused) this.pause();
  }

  /** Resolves when all of it has arrived, has been taken by `sink`, and is what the plan says. Once. */
  receive(plan: BodyPlan, sink: Sink): Promise<Received> {
    const x = this.x;
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this.plan = plan;
      this.sink = sink;
      this.digests = new Digests({ md5: true, sha256: plan.sha256 !== '', checksum: plan.algorithm });
      if (plan.chunked !== undefined) {
        const key = x.identity.signingKey(x.claim.date, x.claim.region);
        const verifier = plan.chunked.signed ? new ChunkVerifier(x.claim, key) : undefined;
        this.decoder = new ChunkedDecoder({ verifier, trailers: plan.chunked.trailers }, (piece) => this.take(piece));
      }
      x.onGone = () => this.fail(new S3Error('IncompleteBody'));
      if (x.gone) return this.fail(new S3Error('IncompleteBody'));
      this.startFlow();
    });
  }

  private startFlow(): void {
    const early = this.early ?? [];
    this.early = undefined;
    if (this.paused) this.resume();
    for (const piece of early) this.decode(piece);
    if (this.ended) this.complete();
  }

  /** What has not been asked for is thrown away from now on: the request is about to be answered without it. */
  release(): void {
    this.settle = undefined;
    this.early = undefined;
    this.held = [];
    if (this.paused) this.resume();
  }

  private pause(): void {
    this.paused = true;
    if (this.ended || this.x.gone) return;
    this.stopped = true;
    this.x.res.pause();
  }

  /** The socket must be let go again also when the last byte came after it was stopped: another request follows. */
  private resume(): void {
    this.paused = false;
    if (!this.stopped || this.x.gone) return;
    this.stopped = false;
    this.x.res.resume();
  }

  private onBytes(bytes: Buffer, last: boolean): void {
    this.remaining -= bytes.length;
    this.ended = last;
    if (this.early !== undefined) {
      if (bytes.length > 0) this.early.push(Buffer.from(bytes));
      return;
    }
    if (this.settle === undefined) return;
    if (bytes.length > 0) this.decode(bytes);
    if (last) this.complete();
  }

  private decode(bytes: Buffer): void {
    if (this.settle === undefined) return;
    try {
      if (this.decoder === undefined) this.take(bytes);
      else this.decoder.push(bytes);
    } catch (error) {
      this.fail(error);
    }
  }

  private take(piece: Buffer): void {
    const plan = this.plan!;
    this.size += piece.length;
    if (plan.length >= 0 && this.size > plan.length) throw new S3Error('IncompleteBody');
    if (this.size > plan.maxBytes) throw tooLarge(this.size, plan.maxBytes);
    this.digests!.update(piece);
    if (this.paused) this.held.push(Buffer.from(piece));
    else this.give(piece);
  }

  private give(piece: Uint8Array): void {
    if (this.sink!.write(piece)) return;
    this.pause();
    this.sink!.onDrain(this.drained);
  }

  private onDrained(): void {
    if (this.settle === undefined || !this.paused) return;
    this.paused = false;
    try {
      while (this.held.length > 0 && !this.paused) this.give(this.held.shift()!);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.paused) return;
    this.resume();
    if (this.ended) this.complete();
  }

  private complete(): void {
    if (this.settle === undefined || this.held.length > 0) return;
    try {
      const received = this.verify();
      const { resolve } = this.settle;
      this.settle = undefined;
      if (this.paused) this.resume();
      resolve(received);
    } catch (error) {
      this.fail(error);
    }
  }

  private verify(): Received {
    const plan = this.plan!;
    this.decoder?.finish();
    if (plan.length >= 0 && this.size !== plan.length) throw new S3Error('IncompleteBody');
    const { md5, sha256, checksum } = this.digests!.finish();
    if (sha256 !== undefined && sha256.toString('hex') !== plan.sha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', undefined, {
        ClientComputedContentSHA256: plan.sha256,
        S3ComputedContentSHA256: sha256.toString('hex'),
      });
    }
    if (plan.md5 !== undefined && !plan.md5.equals(md5!)) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', {
        ExpectedDigest: plan.md5.toString('base64'),
        CalculatedDigest: md5!.toString('base64'),
      });
    }
    if (checksum !== undefined) this.verifyChecksum(plan, checksum);
    return { size: this.size, md5: md5!, checksum: checksum ?? Buffer.alloc(0) };
  }

  private verifyChecksum(plan: BodyPlan, made: Buffer): void {
    const promised = plan.trailing ? this.trailingChecksum(plan) : plan.checksum;
    if (promised !== undefined && !promised.equals(made)) {
      const name = checksumHeader(plan.algorithm).slice('x-amz-checksum-'.length).toUpperCase();
      throw new S3Error('BadDigest', `The ${name} you specified did not match the calculated checksum.`);
    }
  }

  private trailingChecksum(plan: BodyPlan): Buffer {
    const name = checksumHeader(plan.algorithm);
    const trailer = this.decoder?.trailers.get(name);
    if (trailer === undefined) throw new S3Error('InvalidRequest', `The trailer ${name} was announced and not sent.`);
    return parseChecksum(plan.algorithm, trailer);
  }

  /** Ends it: the rest of the body is read away by the server and given to nobody. */
  private fail(error: unknown): void {
    const settle = this.settle;
    if (settle === undefined) return;
    this.settle = undefined;
    this.held = [];
    if (this.paused) this.resume();
    settle.reject(error);
  }
}

/** A small body whole, as XML documents are. */
export class MemorySink implements Sink {
  private readonly pieces: Buffer[] = [];

  write(piece: Uint8Array): boolean {
    this.pieces.push(Buffer.from(piece));
    return true;
  }

  onDrain(): void {}

  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}
