// One request and its answer. It takes over what the server's request object holds, knows whether the client is still
// there, and writes every answer: status line, one block of headers, body, in one cork.

import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import type { Identity } from '../auth/keys.js';
import type { Claim } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';
import { escapeXml } from '../xml/writer.js';
import { Headers } from './headers.js';
import { Query, toBytes } from './uri.js';

const reasons: Readonly<Record<number, string>> = {
  200: '200 OK',
  204: '204 No Content',
  206: '206 Partial Content',
  304: '304 Not Modified',
  400: '400 Bad Request',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  409: '409 Conflict',
  411: '411 Length Required',
  412: '412 Precondition Failed',
  416: '416 Range Not Satisfiable',
  500: '500 Internal Server Error',
  501: '501 Not Implemented',
  503: '503 Service Unavailable',
  507: '507 Insufficient Storage',
};

const idPrefix = randomBytes(5).toString('hex').toUpperCase();
let idCounter = 0;

/** Control characters but the tab: a line's end in a value would begin another header. */
const UNSAFE_IN_HEADER = /[^\t -~\u0080-\uffff]/g;

/** A line of the block of headers. */
export function headerLine(name: string, value: string): string {
  return `\r\n${name}: ${value.replace(UNSAFE_IN_HEADER, ' ')}`;
}

/** What an exchange knows of its request's body (body/body.ts). */
export interface RequestBody {
  /** Bytes that the client still has to send. */
  readonly remaining: number;
  /** Stops the socket until somebody wants the body. */
  hold(): void;
  /** Nobody will want it: what comes is dropped. */
  release(): void;
}

/** What an exchange knows of the server that it belongs to. */
export interface ExchangeServer {
  /** It is ending: each answer is the last one of its connection. */
  readonly closing: boolean;
  /** Called when an exchange has ended, either way, if it outlived its first turn. */
  ended(): void;
}

export class Exchange {
  readonly method: string;
  /** As sent: percent-encoded, with the leading slash. */
  readonly path: string;
  readonly rawQuery: string;
  readonly query: Query;
  readonly headers: Headers;
  readonly requestId: string;
  bucket = '';
  key: ByteString = '';
  claim!: Claim;
  identity!: Identity;
  body: RequestBody | undefined;
  /** Who is told when the client goes away before the answer. */
  onGone: (() => void) | undefined;
  gone = false;
  answered = false;
  private watching = false;

  constructor(
    readonly res: HttpResponse,
    req: HttpRequest,
    private readonly server: ExchangeServer,
  ) {
    this.method = req.getCaseSensitiveMethod();
    this.path = req.getUrl();
    this.rawQuery = req.getQuery() ?? '';
    this.headers = Headers.of(req);
    this.query = new Query(this.rawQuery);
    this.requestId = idPrefix + (idCounter++ & 0xffffff).toString(16).toUpperCase().padStart(6, '0');
  }

  /** Must be called, once, before the first turn ends without an answer. */
  watch(): void {
    if (this.watching) return;
    this.watching = true;
    this.res.onAborted(() => {
      this.gone = true;
      if (!this.answered) this.server.ended();
      this.onGone?.();
    });
  }

  /** Answers with a body of at most one piece. `block` is made of `headerLine`s. */
  send(status: number, block: string, body: Buffer | string = ''): void {
    if (this.gone || this.answered) return;
    this.body?.release();
    this.answered = true;
    if (this.watching) {
      this.res.cork(() => this.write(status, block, body));
      this.server.ended();
    } else {
      this.write(status, block, body);
    }
  }

  private write(status: number, block: string, body: Buffer | string): void {
    if (this.method === 'HEAD' || status === 304 || status === 204) {
      this.writeHead(status, block + this.lastLine());
      // Without arguments: told anything of a length, it takes the answer for unfinished.
      this.res.endWithoutBody();
    } else {
      this.writeHead(status, block);
      this.res.end(body, this.mustClose());
    }
  }

  /**
   * Status line and headers. They leave as one value of one header: a call into the server for each costs more than
   * all their bytes.
   */
  writeHead(status: number, block: string): void {
    this.res.writeStatus(reasons[status] ?? `${status} Status`);
    this.res.writeHeader('x-amz-request-id', this.requestId + block);
  }

  /** A header line for answers in pieces and without body, whose connection the client has to end. */
  lastLine(): string {
    return this.server.closing ? '\r\nConnection: close' : '';
  }

  /** A body that went out in pieces has been given to the socket to its end. */
  finish(): void {
    this.answered = true;
    this.server.ended();
  }

  /**
   * Answers HEAD with the length that GET would have, as a header of ours: told the length, the server's
   * `endWithoutBody` takes the answer for unfinished.
   */
  sendHead(status: number, block: string, length: number): void {
    this.send(status, `${block}\r\nContent-Length: ${length}`);
  }

  /** `xml` in bytes of UTF-8. */
  sendXml(status: number, xml: ByteString, block = ''): void {
    this.send(status, `\r\nContent-Type: application/xml${block}`, Buffer.from(xml, 'latin1'));
  }

  sendError(error: S3Error): void {
    if (error.code === 'NotModified' || this.method === 'HEAD') {
      this.send(error.httpStatus, error.details.headers ?? '');
      return;
    }
    let xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${error.code}</Code>`;
    xml += `<Message>${escapeXml(toBytes(error.message))}</Message>`;
    for (const [name, value] of Object.entries(error.details)) {
      if (name !== 'headers') xml += `<${name}>${escapeXml(toBytes(value))}</${name}>`;
    }
    xml += `<Resource>${escapeXml(toBytes(this.path))}</Resource><RequestId>${this.requestId}</RequestId>`;
    this.sendXml(error.httpStatus, `${xml}<HostId>${idPrefix}</HostId></Error>`, error.details.headers);
  }

  /** Ends a connection whose answer cannot be completed: the client must not take it for a short success. */
  abandon(): void {
    if (this.gone) return;
    this.gone = true;
    if (!this.answered) this.server.ended();
    this.answered = true;
    this.res.close();
  }

  /**
   * Whether this is the connection's last answer: the server is ending, or so much of the body is still to come that
   * reading it away would cost more than a new connection.
   */
  private mustClose(): boolean {
    if (this.server.closing) return true;
    return this.body !== undefined && this.body.remaining > limits.s3DrainBytes;
  }

  /** The header's value as a number of bytes; -1 if it is not there. */
  length(header: string): number {
    const text = this.headers.get(header);
    if (text === '') return -1;
    if (!/^\d{1,15}$/.test(text)) throw new S3Error('InvalidArgument', `The header ${header} is not a length.`);
    return Number(text);
  }
}
