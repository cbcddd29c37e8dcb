// A load generator, run as a process of its own: closed loop over raw sockets, requests prepared before the clock runs,
// answers only counted. Takes its task as JSON in the first argument and prints its result as JSON.

import net from 'node:net';
import { type Credentials, presign } from './presign.js';

export interface LoadTask {
  readonly host: string;
  readonly port: number;
  readonly method: 'GET' | 'PUT' | 'HEAD' | 'DELETE';
  readonly bucket: string;
  readonly keys: number;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly seconds: number;
  readonly credentials: Credentials;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly firstError: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Latencies in microseconds. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** Seconds of processor time that the generator itself took. */
  readonly cpuSeconds: number;
}

const KEPT_LATENCIES = 1 << 20;
const STRIDE = 7919;
const HEAD_END = Buffer.from('\r\n\r\n');

class Statistics {
  requests = 0;
  errors = 0;
  bytes = 0;
  firstError = '';
  private readonly latencies = new Float64Array(KEPT_LATENCIES);
  private kept = 0;

  record(us: number): void {
    this.requests++;
    this.latencies[this.kept++ % KEPT_LATENCIES] = us;
  }

  percentile(share: number): number {
    const sorted = this.latencies.slice(0, Math.min(this.kept, KEPT_LATENCIES)).sort();
    return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  }
}

class Client {
  private readonly socket: net.Socket;
  private head: Buffer = Buffer.alloc(0);
  private remaining = -1;
  private begunUs = 0;
  private ok = true;

  constructor(
    private readonly task: LoadTask,
    private readonly requests: readonly Buffer[],
    private place: number,
    private readonly statistics: Statistics,
    private readonly running: () => boolean,
    private readonly done: () => void,
  ) {
    this.socket = net.connect({ host: task.host, port: task.port, noDelay: true }, () => this.next());
    this.socket.on('data', (piece) => this.receive(piece));
    this.socket.on('error', (error) => this.fail(error.message));
    this.socket.on('close', () => this.done());
  }

  private next(): void {
    if (!this.running()) {
      this.socket.end();
      return;
    }
    this.place = (this.place + STRIDE) % this.requests.length;
    this.begunUs = performance.now() * 1000;
    this.socket.write(this.requests[this.place]!);
  }

  private receive(piece: Buffer): void {
    this.statistics.bytes += piece.length;
    if (this.remaining < 0) {
      this.head = this.head.length === 0 ? piece : Buffer.concat([this.head, piece]);
      const end = this.head.indexOf(HEAD_END);
      if (end < 0) return;
      const text = this.head.latin1Slice(0, end);
      const length = this.task.method === 'HEAD' ? 0 : Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0);
      this.ok = /^HTTP\/1\.1 2/.test(text);
      if (!this.ok && this.statistics.firstError === '')
        this.statistics.firstError = this.head.toString('utf8', 0, 600);
      this.remaining = length - (this.head.length - end - HEAD_END.length);
      this.head = Buffer.alloc(0);
    } else this.remaining -= piece.length;
    if (this.remaining > 0) return;
    this.remaining = -1;
    if (this.ok) this.statistics.record(performance.now() * 1000 - this.begunUs);
    else this.statistics.errors++;
    this.next();
  }

  private fail(message: string): void {
    this.statistics.errors++;
    if (this.statistics.firstError === '') this.statistics.firstError = message;
    this.socket.destroy();
  }
}

function prepare(task: LoadTask): Buffer[] {
  const host = `${task.host}:${task.port}`;
  const body = Buffer.alloc(task.bodyBytes, 'x');
  const lengths = task.method === 'PUT' ? `Content-Length: ${task.bodyBytes}\r\n` : '';
  return Array.from({ length: task.keys }, (_, key) => {
    const target = presign(
      task.method,
      host,
      `/${task.bucket}/bench/${String(key).padStart(5, '0')}`,
      task.credentials,
    );
    const head = Buffer.from(`${task.method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${lengths}\r\n`);
    return task.method === 'PUT' ? Buffer.concat([head, body]) : head;
  });
}

async function run(task: LoadTask): Promise<LoadResult> {
  const requests = prepare(task);
  const statistics = new Statistics();
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const running = (): boolean => performance.now() - begun < task.seconds * 1000;
  await Promise.all(
    Array.from(
      { length: task.clients },
      (_, place) => new Promise<void>((done) => new Client(task, requests, place, statistics, running, done)),
    ),
  );
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    requests: statistics.requests,
    errors: statistics.errors,
    firstError: statistics.firstError,
    bytes: statistics.bytes,
    seconds,
    p50Us: statistics.percentile(0.5),
    p99Us: statistics.percentile(0.99),
    p999Us: statistics.percentile(0.999),
    maxUs: statistics.percentile(1),
    cpuSeconds: (user + system) / 1e6,
  };
}

const task = JSON.parse(process.argv[2] ?? 'null') as LoadTask;
process.stdout.write(`${JSON.stringify(await run(task))}\n`);
