// The aws-chunked encoding of a body as a pure state machine: bytes in, split anywhere, payload and trailers out.
//
//   chunk    hex length [;chunk-signature=64 hex] CRLF  data CRLF
//   last     0 [;chunk-signature=64 hex] CRLF  { name:value CRLF }  [x-amz-trailer-signature:64 hex CRLF]  CRLF
//
// With a verifier each chunk's signature is checked where the chunk ends, so a caller must commit nothing before
// `finish` has returned. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, sigv4-streaming-trailers.html

import type { Buffer } from 'node:buffer';
import { createHash, type Hash, hash } from 'node:crypto';
import { limits } from '../../../proto/limits.js';
import { S3Error } from '../errors.js';
import { type HmacKey, sameSignature } from './hmac.js';
import { type Claim, EMPTY_SHA256, scopeOf } from './sigv4.js';

const LF = 0x0a;
const CR = 0x0d;

/** Checks the chain of signatures: each covers the one before it, the first the one of the request's head. */
export class ChunkVerifier {
  private previous: string;
  private readonly middle: string;
  private digest: Hash | undefined;

  constructor(
    claim: Claim,
    private readonly key: HmacKey,
  ) {
    this.previous = claim.signature;
    this.middle = `\n${claim.stamp}\n${scopeOf(claim)}\n`;
  }

  update(data: Uint8Array): void {
    this.digest ??= createHash('sha256');
    this.digest.update(data);
  }

  /** Ends a chunk. */
  check(signature: string): void {
    const content = this.digest?.digest('hex') ?? EMPTY_SHA256;
    this.digest = undefined;
    this.compare(`AWS4-HMAC-SHA256-PAYLOAD${this.middle}${this.previous}\n${EMPTY_SHA256}\n${content}`, signature);
  }

  /** `lines`: the trailers as `name:value\n`, in order. */
  checkTrailer(lines: string, signature: string): void {
    const content = hash('sha256', lines, 'hex');
    this.compare(`AWS4-HMAC-SHA256-TRAILER${this.middle}${this.previous}\n${content}`, signature);
  }

  private compare(message: string, signature: string): void {
    const expected = this.key.sign(message);
    if (!sameSignature(expected, signature)) throw new S3Error('SignatureDoesNotMatch');
    this.previous = expected;
  }
}

const State = { HEAD: 0, DATA: 1, DATA_CR: 2, DATA_LF: 3, TRAILER: 4, END: 5 } as const;

export interface ChunkedOptions {
  /** Absent: chunks carry no signatures (STREAMING-UNSIGNED-PAYLOAD-TRAILER). */
  readonly verifier?: ChunkVerifier | undefined;
  readonly trailers: boolean;
}

export class ChunkedDecoder {
  /** Trailers by name in lower case, without the signature's. */
  readonly trailers = new Map<string, string>();
  private state: number = State.HEAD;
  private line = '';
  private left = 0;
  private signature = '';
  private trailerLines = '';
  private trailerSignature = '';
  private trailerBytes = 0;

  /** `onData` gets views of what was pushed. */
  constructor(
    private readonly options: ChunkedOptions,
    private readonly onData: (piece: Buffer) => void,
  ) {}

  /** Throws S3Error: IncompleteBody for bytes that are not of the form, SignatureDoesNotMatch. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.state === State.DATA) at = this.data(bytes, at);
      else if (this.state === State.DATA_CR) at = this.expect(bytes, at, CR, State.DATA_LF);
      else if (this.state === State.DATA_LF) at = this.expect(bytes, at, LF, State.HEAD);
      else if (this.state === State.END) throw malformed('bytes after the last chunk');
      else at = this.text(bytes, at);
    }
  }

  /** Must be called when the body has ended. Throws IncompleteBody when the last chunk has not been seen whole. */
  finish(): void {
    if (this.state !== State.END) throw malformed('the body ended before its last chunk');
  }

  private data(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.left);
    const piece = bytes.subarray(at, end);
    this.left -= piece.length;
    this.options.verifier?.update(piece);
    this.onData(piece);
    if (this.left === 0) {
      this.options.verifier?.check(this.signature);
      this.state = State.DATA_CR;
    }
    return end;
  }

  private expect(bytes: Buffer, at: number, byte: number, next: number): number {
    if (bytes[at] !== byte) throw malformed('a chunk is not followed by CRLF');
    this.state = next;
    return at + 1;
  }

  /** Collects a line of a chunk's head or of the trailers, up to its LF. */
  private text(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(LF, at);
    const end = found < 0 ? bytes.length : found;
    if (this.line.length + (end - at) > limits.s3ChunkLineBytes) throw malformed('a line is too long');
    this.line += bytes.latin1Slice(at, end);
    if (found < 0) return end;
    const line = this.line.endsWith('\r') ? this.line.slice(0, -1) : this.line;
    this.line = '';
    if (this.state === State.HEAD) this.head(line);
    else this.trailer(line);
    return found + 1;
  }

  private head(line: string): void {
    const parts = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (parts === null) throw malformed('a chunk begins with no length');
    this.signature = parts[2] ?? '';
    if ((this.options.verifier !== undefined) !== (this.signature !== '')) throw malformed('a chunk signature');
    this.left = Number.parseInt(parts[1]!, 16);
    if (this.left > 0) {
      this.state = State.DATA;
      return;
    }
    this.options.verifier?.check(this.signature);
    this.state = State.TRAILER;
  }

  private trailer(line: string): void {
    this.trailerBytes += line.length + 2;
    if (this.trailerBytes > limits.s3ChunkLineBytes) throw malformed('the trailers are too long');
    if (line === '') {
      // Some clients end the trailers with an empty line and then sign them.
      if (this.options.trailers && this.options.verifier !== undefined && this.trailerSignature === '') return;
      this.end();
      return;
    }
    if (!this.options.trailers) throw malformed('trailers that were not announced');
    const colon = line.indexOf(':');
    if (colon <= 0) throw malformed('a trailer without a colon');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'x-amz-trailer-signature') {
      this.trailerSignature = value;
      return;
    }
    if (this.trailerSignature !== '' || this.trailers.has(name)) throw malformed('a trailer out of place');
    this.trailers.set(name, value);
    this.trailerLines += `${name}:${value}\n`;
  }

  private end(): void {
    if (this.options.trailers) this.options.verifier?.checkTrailer(this.trailerLines, this.trailerSignature);
    this.state = State.END;
  }
}

function malformed(what: string): S3Error {
  return new S3Error('IncompleteBody', `The request body is not a well-formed aws-chunked body: ${what}.`);
}
