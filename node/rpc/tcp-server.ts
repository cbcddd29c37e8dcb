// The TCP side of a service: one listening port a thread, and beside it a Unix socket for clients of the same machine.
// Reads frames, binds each connection to the session of its hello, hands requests to the service and sends answers batched
// by turn of the event loop. A connection with too many requests under way, or whose answers are not taken, is not read
// from until that changes.

import net from 'node:net';
import { DecodeError, Reader, Writer } from '../../proto/codec.js';
import { emptyHeader, FrameFlag, type FrameHeader } from '../../proto/frame.js';
import { FrameAssembler } from '../../proto/frame-stream.js';
import { limits } from '../../proto/limits.js';
import { localSocket } from '../../proto/local-socket.js';
import { metaOperations } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { FrameSender, type Request, type Service } from '../../workers/index.js';

const NOTHING = Buffer.alloc(0);
const HELLO = metaOperations.hello;

export interface TcpServer {
  readonly port: number;
  /** Stops listening, ends the connections after what is under way was answered or `graceMs` have passed. */
  close(graceMs: number): Promise<void>;
}

export interface TcpServerOptions {
  host: string;
  port: number;
  service: Service;
  /** What a hello is answered with. */
  name: string;
  /** Whether to listen on the local socket of that name too (proto/local-socket.ts). */
  local?: boolean;
  warn: (message: string) => void;
}

/** Listens on host:port (0: any free one). Rejects with the system's error when the port cannot be had. */
export async function serveTcp(options: TcpServerOptions): Promise<TcpServer> {
  const { host, port, name, warn } = options;
  const connections = new Set<Connection>();
  const accept = (socket: net.Socket): void => {
    if (connections.size >= limits.serverConnections) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, options, () => connections.delete(connection));
    connections.add(connection);
  };
  // The local one first, so that who comes back by TCP as soon as that answers would have found it.
  const local = options.local === true ? await listenLocal(name, accept, warn) : null;
  const server = net.createServer({ noDelay: true, keepAlive: true }, accept);
  try {
    await listen(server, { host, port });
  } catch (error) {
    local?.close();
    throw error;
  }
  server.on('error', (error) => warn(`listening on ${host}: ${error.message}`));
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async (graceMs) => {
      const closed = Promise.all([closeServer(server), local === null ? undefined : closeServer(local)]);
      for (const connection of connections) connection.finish();
      const timer = setTimeout(() => {
        for (const connection of connections) connection.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** Null where it cannot be had: TCP serves everybody. */
async function listenLocal(
  name: string,
  accept: (socket: net.Socket) => void,
  warn: (message: string) => void,
): Promise<net.Server | null> {
  const server = net.createServer(accept);
  try {
    await listen(server, { path: localSocket(name) });
  } catch (error) {
    warn(`clients of this machine are served by TCP, the local socket of ${name} cannot be had: ${error}`);
    return null;
  }
  server.on('error', (error) => warn(`listening on the local socket of ${name}: ${error.message}`));
  return server;
}

function listen(server: net.Server, where: net.ListenOptions): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function closeServer(server: net.Server): Promise<void> {
  return new Promise<void>((resolve) => server.close(() => resolve()));
}

class Connection {
  private session = 0;
  private underWay = 0;
  private readonly sender = new FrameSender({ flush: () => this.flush(), largePayloads: 'copied' });
  private finishing = false;
  private paused = false;
  private readonly reader = new Reader();
  private readonly header = emptyHeader();

  constructor(
    private readonly socket: net.Socket,
    private readonly options: TcpServerOptions,
    private readonly gone: () => void,
  ) {
    const assembler = new FrameAssembler((header, body, payload) => this.receive(header, body, payload));
    socket.on('data', (piece) => {
      try {
        assembler.push(piece);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        this.options.warn(`connection from ${socket.remoteAddress ?? 'this machine'} ended: ${error.message}`);
        socket.destroy();
      }
    });
    socket.on('drain', () => this.throttle());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.gone());
  }

  /** Takes no more requests; ends when those under way are answered. */
  finish(): void {
    this.finishing = true;
    this.endIfDone();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private receive(header: FrameHeader, body: Buffer, payload: Buffer): void {
    if ((header.flags & FrameFlag.ANSWER) !== 0) throw new DecodeError('an answer where requests are taken');
    const request = new TcpRequest(this, header, this.session, this.reader.reset(body), payload);
    this.underWay++;
    if (this.finishing) request.answer(Status.CLOSED);
    else if (header.kind === HELLO.code) this.hello(request);
    else this.options.service(request);
    this.throttle();
  }

  private hello(request: TcpRequest): void {
    this.session = HELLO.request.read(request.body).session;
    const writer = new Writer(64);
    HELLO.answer.write(writer, { server: this.options.name });
    request.answer(Status.OK, writer.view());
  }

  send(request: TcpRequest, status: number, body: Uint8Array, payload: readonly Uint8Array[]): void {
    this.underWay--;
    if (this.socket.destroyed) return;
    const { header } = this;
    header.flags = FrameFlag.ANSWER;
    header.kind = request.kind;
    header.number = request.number;
    header.group = request.group;
    header.status = status;
    this.sender.send(header, body, payload);
  }

  private flush(): void {
    if (this.socket.destroyed) this.sender.drop();
    else this.sender.flushInto(this.socket);
    this.throttle();
    this.endIfDone();
  }

  private throttle(): void {
    const full =
      this.underWay >= limits.requestsInFlightPerPeer || this.socket.writableLength >= limits.tcpSendQueueBytes;
    if (full === this.paused) return;
    this.paused = full;
    if (full) this.socket.pause();
    else this.socket.resume();
  }

  private endIfDone(): void {
    if (this.finishing && this.underWay === 0 && !this.sender.isPlanned) this.socket.end();
  }
}

class TcpRequest implements Request {
  readonly kind: number;
  readonly group: number;
  readonly number: number;
  readonly window: number;
  private answered = false;

  constructor(
    private readonly connection: Connection,
    header: FrameHeader,
    readonly session: number,
    readonly body: Reader,
    readonly payload: Buffer,
  ) {
    this.kind = header.kind;
    this.group = header.group;
    this.number = header.number;
    this.window = header.window;
  }

  answer(status: number, body: Uint8Array = NOTHING, payload: readonly Uint8Array[] = []): void {
    if (this.answered) throw new Error(`request ${this.number} of kind ${this.kind} answered twice`);
    this.answered = true;
    this.connection.send(this, status, body, payload);
  }
}
