// One connection of a load generator: sends prepared requests one after the other and only counts what comes back. A
// server may close it between two answers; then it connects again.

import net from 'node:net';
import tls from 'node:tls';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface Prepared {
  readonly head: Buffer;
  /** Shared by many requests; null when it is part of `head`, or there is none. */
  readonly body: Buffer | null;
  /** HEAD: lengths are said and not sent. */
  readonly isHead: boolean;
  /** The answer is kept, as text. */
  readonly isKept?: boolean;
}

export interface ConnectionEvents {
  /** The first time, and after each answer: another request may be sent. `failure` is the start of a bad answer. */
  ready(connection: Connection, failure: string | null): void;
  received(count: number): void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const CHUNKS_END = Buffer.from('\r\n0\r\n\r\n');
const FAILURE_BYTES = 600;
const RECONNECT_MS = 10;
const CHUNKED = -2;
const IN_HEAD = -1;

export class Connection {
  /** When the request in flight was due, in microseconds; whoever sends sets it. */
  begunUs = 0;
  /** Head and body of the last answer, if it was to be kept. */
  answer = '';
  private socket: net.Socket;
  private request: Prepared | null = null;
  private head: Buffer = Buffer.alloc(0);
  private tail: Buffer = Buffer.alloc(0);
  private remaining = IN_HEAD;
  private failure: string | null = null;
  /** Why the connection broke while a request was in flight. */
  private broken: string | null = null;
  private closed = false;

  constructor(
    private readonly endpoint: Endpoint,
    private readonly events: ConnectionEvents,
  ) {
    this.socket = this.connect();
  }

  send(request: Prepared): void {
    this.request = request;
    this.answer = '';
    if (request.body === null) this.socket.write(request.head);
    else {
      this.socket.cork();
      this.socket.write(request.head);
      this.socket.write(request.body);
      this.socket.uncork();
    }
  }

  close(): void {
    this.closed = true;
    this.socket.destroy();
  }

  private connect(): net.Socket {
    const { host, port } = this.endpoint;
    const opened = (): void => {
      const { broken } = this;
      this.broken = null;
      if (this.request !== null && broken === null) this.send(this.request);
      else {
        this.request = null;
        this.events.ready(this, broken);
      }
    };
    const socket = this.endpoint.tls
      ? tls.connect({ host, port, servername: net.isIP(host) === 0 ? host : '' }, opened)
      : net.connect({ host, port, noDelay: true }, opened);
    socket.on('data', (piece) => this.receive(piece));
    socket.on('error', (error) => {
      if (this.request !== null) this.broken = error.message;
    });
    socket.on('close', () => this.reconnect());
    return socket;
  }

  /** What was asked and not answered is asked again, unless the connection broke with an error: that is an answer. */
  private reconnect(): void {
    if (this.closed) return;
    this.reset();
    setTimeout(() => {
      if (!this.closed) this.socket = this.connect();
    }, RECONNECT_MS);
  }

  private reset(): void {
    this.head = Buffer.alloc(0);
    this.remaining = IN_HEAD;
  }

  private receive(piece: Buffer): void {
    this.events.received(piece.length);
    if (this.request?.isKept === true) this.answer += piece.latin1Slice();
    if (this.remaining === IN_HEAD) {
      if (!this.readHead(piece)) return;
    } else if (this.remaining === CHUNKED) this.readChunks(piece);
    else this.remaining -= piece.length;
    if (this.remaining > 0 || this.remaining === CHUNKED) return;
    this.remaining = IN_HEAD;
    this.request = null;
    this.events.ready(this, this.failure);
  }

  /** False: more is to come. */
  private readHead(piece: Buffer): boolean {
    this.head = this.head.length === 0 ? piece : Buffer.concat([this.head, piece]);
    const end = this.head.indexOf(HEAD_END);
    if (end < 0) return false;
    const text = this.head.latin1Slice(0, end);
    if (text.startsWith('HTTP/1.1 100')) {
      const rest = this.head.subarray(end + HEAD_END.length);
      this.head = Buffer.alloc(0);
      return rest.length > 0 && this.readHead(rest);
    }
    this.failure = text.startsWith('HTTP/1.1 2') ? null : this.head.toString('utf8', 0, FAILURE_BYTES);
    const rest = this.head.subarray(end + HEAD_END.length);
    this.head = Buffer.alloc(0);
    if (this.request?.isHead === true) this.remaining = 0;
    else if (/transfer-encoding: *chunked/i.test(text)) {
      this.tail = Buffer.from(HEAD_END.subarray(2));
      this.remaining = CHUNKED;
      this.readChunks(rest);
    } else this.remaining = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0) - rest.length;
    return true;
  }

  /** The end of the last chunk is the end of what has come: nothing is asked before the answer is whole. */
  private readChunks(piece: Buffer): void {
    this.tail = Buffer.concat([this.tail, piece.subarray(-CHUNKS_END.length)]).subarray(-CHUNKS_END.length);
    if (this.tail.equals(CHUNKS_END)) this.remaining = 0;
  }
}
