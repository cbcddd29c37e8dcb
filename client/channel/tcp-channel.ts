// A channel to another process over one TCP connection that outlives the connection: it connects again with growing
// pauses, and sends again, under the same numbers, what was not answered, so that the service's dedupe table makes a
// retry the same request. A request ends with TIMEOUT when limits.requestTimeoutMs have passed; its outcome is then
// unknown. A server on the same machine is first tried by its local socket (proto/local-socket.ts), and believed there
// only after it has said its name.

import net from 'node:net';
import { DecodeError, encode, Reader } from '../../proto/codec.js';
import { emptyHeader, FrameFlag, type FrameHeader } from '../../proto/frame.js';
import { FrameAssembler } from '../../proto/frame-stream.js';
import { limits } from '../../proto/limits.js';
import { localSocket } from '../../proto/local-socket.js';
import { metaOperations } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { type Channel, FrameSender, type OnAnswer } from '../../workers/index.js';

const NOTHING = Buffer.alloc(0);
const NO_PAYLOAD: readonly Buffer[] = [];
const HELLO = metaOperations.hello;
const RECONNECT_FIRST_MS = 10;
const SWEEP_MS = 1000;
const READ_BYTES = 64 * 1024;

interface Pending {
  readonly kind: number;
  readonly group: number;
  readonly body: Buffer;
  readonly payload: Buffer | null;
  readonly onAnswer: OnAnswer;
  readonly deadline: number;
}

export interface TcpChannelOptions {
  host: string;
  port: number;
  /** Under which retries are known to the service; 0 where operations may be repeated. */
  session: number;
  /** The server's name, where it may be on this machine (proto/local-socket.ts). */
  local?: string | undefined;
}

/** `GREETING`: hello is sent, and nothing else before the local server's name was seen. */
type State = 'DOWN' | 'GREETING' | 'UP';

export class TcpChannel implements Channel {
  /** Unanswered requests by number, in order of sending. */
  private readonly pending = new Map<number, Pending>();
  private nextNumber = 1;
  private session: number;
  private socket: net.Socket | null = null;
  private state: State = 'DOWN';
  /** Whether the connection, or the next one, is to the local socket. */
  private isLocal: boolean;
  private greetingDeadline = 0;
  private closed = false;
  private pauseMs = RECONNECT_FIRST_MS;
  private reconnectTimer: NodeJS.Timeout | null = null;
  private readonly sweepTimer: NodeJS.Timeout;
  private readonly sender = new FrameSender({ flush: () => this.flush(), largePayloads: 'kept' });
  /** Whatever arrives is read into this: what is handed on of it is used before the next piece. */
  private readonly arriving = Buffer.allocUnsafeSlow(READ_BYTES);
  private readonly header = emptyHeader();
  private readonly reader = new Reader();

  constructor(private readonly options: TcpChannelOptions) {
    this.session = options.session;
    this.isLocal = options.local !== undefined;
    this.sweepTimer = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweepTimer.unref();
    this.connect();
  }

  call(kind: number, group: number, body: Uint8Array, payload: Buffer | null, onAnswer: OnAnswer): void {
    if (this.closed || this.pending.size >= limits.requestsInFlightPerPeer) {
      const status = this.closed ? Status.CLOSED : Status.BUSY;
      queueMicrotask(() => onAnswer(status, this.reader.reset(NOTHING), NOTHING));
      return;
    }
    const deadline = performance.now() + limits.requestTimeoutMs;
    const pending = { kind, group, body: Buffer.from(body), payload, onAnswer, deadline };
    const number = this.nextNumber++;
    this.pending.set(number, pending);
    if (this.state === 'UP') this.send(number, pending);
  }

  /** From now on requests are of another session. Those under way can no longer be told from new ones: TIMEOUT. */
  rebind(session: number): void {
    if (session === this.session) return;
    this.session = session;
    if (this.state === 'DOWN' && this.pending.size === 0) return;
    for (const number of [...this.pending.keys()]) this.settle(number, Status.TIMEOUT, NOTHING, NOTHING);
    this.socket?.destroy();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.sweepTimer);
    if (this.reconnectTimer !== null) clearTimeout(this.reconnectTimer);
    this.socket?.destroy();
    for (const number of [...this.pending.keys()]) this.settle(number, Status.CLOSED, NOTHING, NOTHING);
  }

  private connect(): void {
    this.reconnectTimer = null;
    const { host, port, local } = this.options;
    const assembler = new FrameAssembler((header, body, payload) => this.receive(header, body, payload));
    const callback = (bytes: number): boolean => {
      try {
        assembler.push(this.arriving.subarray(0, bytes));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        socket.destroy();
      }
      return true;
    };
    // Instead of 'data' events, whose stream costs more than the frame.
    const onread = { buffer: this.arriving, callback };
    const where = this.isLocal && local !== undefined ? { path: localSocket(local) } : { host, port };
    const socket = net.connect({ ...where, noDelay: true, keepAlive: true, onread });
    this.socket = socket;
    socket.on('connect', () => this.begin());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.lost(socket));
  }

  /** Says who we are. */
  private begin(): void {
    this.state = 'GREETING';
    this.greetingDeadline = performance.now() + limits.connectTimeoutMs;
    const hello = encode(HELLO.request, { session: this.session, volume: 0 });
    this.append(HELLO.code, 0, 0, 0, hello, null);
    if (!this.isLocal) this.resume();
  }

  /** Sends again all that is unanswered, in order. */
  private resume(): void {
    this.state = 'UP';
    for (const [number, pending] of this.pending) this.send(number, pending);
  }

  private greeted(server: string): void {
    this.pauseMs = RECONNECT_FIRST_MS;
    if (this.state !== 'GREETING') return;
    if (server === this.options.local) this.resume();
    else this.socket?.destroy();
  }

  private lost(socket: net.Socket): void {
    if (this.socket !== socket) return;
    const refused = this.isLocal && this.state !== 'UP';
    this.socket = null;
    this.state = 'DOWN';
    this.sender.drop();
    if (this.closed) return;
    if (refused) {
      this.isLocal = false;
      this.connect();
      return;
    }
    this.isLocal = this.options.local !== undefined;
    this.reconnectTimer = setTimeout(() => this.connect(), this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, limits.reconnectMaxMs);
  }

  private send(number: number, pending: Pending): void {
    const oldest = this.pending.keys().next().value ?? number;
    this.append(pending.kind, pending.group, number, number - oldest, pending.body, pending.payload);
  }

  private append(
    kind: number,
    group: number,
    number: number,
    window: number,
    body: Buffer,
    payload: Buffer | null,
  ): void {
    const { header } = this;
    header.flags = 0;
    header.kind = kind;
    header.number = number;
    header.group = group;
    header.window = window;
    header.status = 0;
    this.sender.send(header, body, payload === null ? NO_PAYLOAD : [payload]);
  }

  private flush(): void {
    if (this.socket !== null && this.state !== 'DOWN') this.sender.flushInto(this.socket);
    else this.sender.drop();
  }

  private receive(header: FrameHeader, body: Buffer, payload: Buffer): void {
    if ((header.flags & FrameFlag.ANSWER) === 0) throw new DecodeError('a request where answers are taken');
    if (header.number === 0 && header.kind === HELLO.code) {
      this.greeted(HELLO.answer.read(this.reader.reset(body)).server);
      return;
    }
    this.settle(header.number, header.status, body, payload);
  }

  private settle(number: number, status: number, body: Buffer, payload: Buffer): void {
    const pending = this.pending.get(number);
    if (pending === undefined) return;
    this.pending.delete(number);
    pending.onAnswer(status, this.reader.reset(body), payload);
  }

  /** Ends what has waited too long; requests are in order of their deadlines. */
  private sweep(): void {
    const now = performance.now();
    if (this.state === 'GREETING' && now > this.greetingDeadline) this.socket?.destroy();
    for (const [number, pending] of this.pending) {
      if (pending.deadline > now) return;
      this.settle(number, Status.TIMEOUT, NOTHING, NOTHING);
    }
  }
}
