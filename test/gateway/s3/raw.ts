// A client that does only what a test tells it: signs a request, sends bytes as they are, and reads an answer.

import { createHash, createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface RawRequest {
  readonly method: string;
  /** Path as it is sent, percent-encoded. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
  /** x-amz-content-sha256; the hash of the body if absent. */
  readonly payload?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();

export interface Signed {
  /** Request line and headers up to the empty line. */
  readonly head: string;
  readonly signature: string;
  readonly stamp: string;
}

/** Written apart from the gateway's own signing, so that the two check each other. */
export function sign(host: string, request: RawRequest): Signed {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const date = stamp.slice(0, 8);
  const payload = request.payload ?? sha256(request.body ?? '');
  const headers: Record<string, string> = {
    host,
    'x-amz-content-sha256': payload,
    'x-amz-date': stamp,
    ...request.headers,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    request.path,
    (request.query ?? '')
      .split('&')
      .filter(Boolean)
      .map((piece) => (piece.includes('=') ? piece : `${piece}=`))
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${headers[name]!.trim()}`),
    '',
    names.join(';'),
    payload,
  ].join('\n');
  const scope = `${date}/us-east-1/s3/aws4_request`;
  const key = ['us-east-1', 's3', 'aws4_request'].reduce(
    hmac,
    hmac(`AWS4${request.secretKey ?? 'benchbench'}`, date) as Buffer,
  );
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`).toString('hex');
  const credential = `Credential=${request.accessKey ?? 'bench'}/${scope}`;
  headers.authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  const target = request.query === undefined ? request.path : `${request.path}?${request.query}`;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return { head: `${request.method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, signature, stamp };
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  /** <Code> of an error's body. */
  readonly code: string;
  /** The connection ended before the body that its head promised. */
  readonly short: boolean;
}

/** One connection. `read` takes answers in order, so it can be used for several requests. */
export class RawConnection {
  readonly socket: Socket;
  ended = false;
  private chunks: Buffer[] = [];
  private size = 0;
  private waiting: (() => void) | undefined;

  constructor(host: string) {
    const [name, port] = host.split(':') as [string, string];
    this.socket = connect(Number(port), name);
    this.socket.on('data', (data: Buffer) => {
      this.chunks.push(data);
      this.size += data.length;
      this.waiting?.();
    });
    const end = (): void => {
      this.ended = true;
      this.waiting?.();
    };
    this.socket.on('error', end).on('close', end).on('end', end);
  }

  write(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** How many bytes have arrived and were not read as an answer. */
  get pending(): number {
    return this.size;
  }

  /** Those bytes. */
  private received(): Buffer {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0] ?? Buffer.alloc(0);
  }

  async until(condition: () => boolean, limitMs = 20_000): Promise<void> {
    const limit = Date.now() + limitMs;
    while (!condition()) {
      if (Date.now() > limit) throw new Error(`waited ${limitMs} ms in vain; received ${this.size} bytes`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async read(method = 'GET'): Promise<Answer> {
    await this.until(() => this.ended || this.received().includes('\r\n\r\n'));
    const start = this.received();
    const end = start.indexOf('\r\n\r\n');
    if (end < 0) throw new Error(`the connection ended without an answer: ${start.toString('latin1')}`);
    const [first, ...lines] = start.subarray(0, end).toString('utf8').split('\r\n') as [string, ...string[]];
    const headers: Record<string, string> = {};
    for (const line of lines)
      headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 2);
    const status = Number(first.split(' ')[1]);
    const bodiless = method === 'HEAD' || status === 204 || status === 304 || status < 200;
    const length = bodiless ? 0 : Number(headers['content-length'] ?? 0);
    await this.until(() => this.ended || this.size >= end + 4 + length);
    const received = this.received();
    const body = received.subarray(end + 4, end + 4 + length);
    this.chunks = [received.subarray(end + 4 + body.length)];
    this.size = this.chunks[0]!.length;
    const code = /<Code>(\w+)<\/Code>/.exec(body.toString('latin1', 0, 300))?.[1] ?? '';
    return { status, headers, body, code, short: body.length < length };
  }

  close(): void {
    this.socket.destroy();
  }
}

/** One request on a connection of its own. Content-Length is set from the body where there is one. */
export async function send(host: string, request: RawRequest): Promise<Answer> {
  const connection = new RawConnection(host);
  const length: Record<string, string> =
    request.body === undefined ? {} : { 'content-length': String(request.body.length) };
  connection.write(sign(host, { ...request, headers: { ...length, ...request.headers } }).head);
  if (request.body !== undefined) connection.write(request.body);
  try {
    return await connection.read(request.method);
  } finally {
    connection.close();
  }
}
