// A load generator, run as a process of its own: raw sockets, requests signed before the clock runs, answers only
// counted. Closed loop: each client asks again when it has its answer. Open loop: requests are due at a fixed rate, and
// latency counts from when a request was due, so that waiting for a free connection is not hidden. Takes its task as
// JSON in the first argument and prints its result as JSON.

import { Histogram, type HistogramData } from '../histogram.js';
import { Connection, type Endpoint, type Prepared } from './connection.js';
import { type Credentials, presign } from './presign.js';

export type S3Op = 'get' | 'put' | 'head' | 'delete' | 'list' | 'mixed' | 'bucket';

export interface LoadTask extends Endpoint {
  readonly op: S3Op;
  readonly bucket: string;
  readonly keys: number;
  /** The first of them, where several processes share. */
  readonly firstKey: number;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly seconds: number;
  /** Requests a second; 0: closed loop. */
  readonly rate: number;
  /** Each key once and no more, even if there is time. */
  readonly once: boolean;
  readonly credentials: Credentials;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly firstError: string;
  readonly bytes: number;
  readonly seconds: number;
  readonly latency: HistogramData;
  /** Seconds of processor time that the generator itself took. */
  readonly cpuSeconds: number;
  /** Requests that were due and never sent, because the server is slower than the rate. */
  readonly unsent: number;
}

const STRIDE = 7919;
/** Larger bodies are sent from the one buffer that all requests share. */
const INLINE_BODY_BYTES = 65_536;
const LIST_PAGE = 1000;
const MIXED_LIST_PAGE = 100;
const TICK_MS = 1;
/** How long after the end an open loop still sends what was due. */
const DRAIN_SECONDS = 2;
/** How long after the end an answer is waited for. */
const ANSWER_SECONDS = 10;
/** Of 20: 14 GET, 4 PUT, a HEAD and a page of 100. */
const MIX: readonly S3Op[] = [...Array<S3Op>(14).fill('get'), ...Array<S3Op>(4).fill('put'), 'head', 'list'];

function prepare(task: LoadTask): Prepared[] {
  const host = task.port === (task.tls ? 443 : 80) ? task.host : `${task.host}:${task.port}`;
  const body = Buffer.alloc(task.bodyBytes, 'x');
  const methods = { get: 'GET', put: 'PUT', head: 'HEAD', delete: 'DELETE', list: 'GET', bucket: 'PUT' } as const;
  return Array.from({ length: task.keys }, (_, index) => {
    const op = task.op === 'mixed' ? MIX[index % MIX.length]! : task.op;
    const method = methods[op as Exclude<S3Op, 'mixed'>];
    const name = `bench/${String(task.firstKey + index).padStart(7, '0')}`;
    const page = task.op === 'mixed' ? MIXED_LIST_PAGE : LIST_PAGE;
    const query = `list-type=2&max-keys=${page}&prefix=bench%2F&start-after=${encodeURIComponent(name)}`;
    const isBucket = op === 'list' || op === 'bucket';
    const path = isBucket ? `/${task.bucket}` : `/${task.bucket}/${name}`;
    const target = presign(method, host, path, task.credentials, op === 'list' ? query : '');
    const length = op === 'put' ? `Content-Length: ${task.bodyBytes}\r\n` : '';
    const empty = op === 'bucket' ? 'Content-Length: 0\r\n' : '';
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}${empty}\r\n`);
    if (op !== 'put') return { head, body: null, isHead: op === 'head' };
    if (body.length > INLINE_BODY_BYTES) return { head, body, isHead: false };
    return { head: Buffer.concat([head, body]), body: null, isHead: false };
  });
}

class Load {
  private readonly latency = new Histogram();
  private readonly requests: Prepared[];
  private readonly idle: Connection[] = [];
  private readonly connections: Connection[] = [];
  private readonly sent = new Set<Connection>();
  private errors = 0;
  private firstError = '';
  private bytes = 0;
  private issued = 0;
  private beginUs = 0;
  private endUs = 0;
  private lastUs = 0;
  private finish: () => void = () => {};

  constructor(private readonly task: LoadTask) {
    this.requests = prepare(task);
  }

  async run(): Promise<LoadResult> {
    const { task } = this;
    const cpu = process.cpuUsage();
    this.beginUs = nowUs();
    this.endUs = this.beginUs + task.seconds * 1e6;
    const finished = new Promise<void>((resolve) => {
      this.finish = resolve;
    });
    for (let client = 0; client < task.clients; client++) this.connections.push(new Connection(task, this));
    const timer = setInterval(() => this.tick(), task.rate > 0 ? TICK_MS : 100);
    await finished;
    clearInterval(timer);
    for (const connection of this.connections) connection.close();
    const { user, system } = process.cpuUsage(cpu);
    return {
      requests: this.latency.count,
      errors: this.errors,
      firstError: this.firstError,
      bytes: this.bytes,
      seconds: (this.lastUs - this.beginUs) / 1e6,
      latency: this.latency.data(),
      cpuSeconds: (user + system) / 1e6,
      unsent: task.rate > 0 ? Math.max(0, Math.floor(task.rate * task.seconds) - this.issued) : 0,
    };
  }

  ready(connection: Connection, failure: string | null): void {
    const now = nowUs();
    if (this.sent.delete(connection)) {
      this.lastUs = now;
      if (failure === null) this.latency.record(now - connection.begunUs);
      else this.fail(failure);
    }
    const dueUs = this.nextDueUs(now);
    if (dueUs >= 0 && dueUs <= now) this.send(connection, dueUs);
    else {
      this.idle.push(connection);
      this.endIfDone(now);
    }
  }

  received(count: number): void {
    this.bytes += count;
  }

  private fail(failure: string): void {
    this.errors++;
    if (this.firstError === '') this.firstError = failure;
  }

  /** When the next request is due; -1: none is. */
  private nextDueUs(now: number): number {
    const { rate, once, keys, seconds } = this.task;
    if (once && this.issued >= keys) return -1;
    if (rate === 0) return now < this.endUs ? now : -1;
    if (this.issued >= Math.floor(rate * seconds) || now > this.endUs + DRAIN_SECONDS * 1e6) return -1;
    return this.beginUs + (this.issued * 1e6) / rate;
  }

  private send(connection: Connection, dueUs: number): void {
    const { length } = this.requests;
    const place = this.task.once ? this.issued : (this.issued * STRIDE) % length;
    this.issued++;
    connection.begunUs = dueUs;
    this.sent.add(connection);
    connection.send(this.requests[place % length]!); // below length
  }

  private tick(): void {
    const now = nowUs();
    for (;;) {
      const dueUs = this.nextDueUs(now);
      if (dueUs < 0 || dueUs > now) break;
      const connection = this.idle.pop();
      if (connection === undefined) break;
      this.send(connection, dueUs);
    }
    if (now > this.endUs + ANSWER_SECONDS * 1e6) this.giveUp();
    else this.endIfDone(now);
  }

  private giveUp(): void {
    this.fail(`no answer within ${ANSWER_SECONDS} s`);
    this.errors += this.sent.size;
    this.lastUs = nowUs();
    this.finish();
  }

  private endIfDone(now: number): void {
    if (this.sent.size === 0 && this.nextDueUs(now) < 0) this.finish();
  }
}

function nowUs(): number {
  return performance.now() * 1000;
}

const task = JSON.parse(process.argv[2] ?? 'null') as LoadTask;
process.stdout.write(`${JSON.stringify(await new Load(task).run())}\n`);
