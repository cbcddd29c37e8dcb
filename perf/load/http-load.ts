// A load generator, run as a process of its own: raw sockets, requests signed before the clock runs, answers only
// counted. Closed loop: each client asks again when it has its answer. Open loop: requests are due at a fixed rate, and
// latency counts from when a request was due, so that waiting for a free connection is not hidden.

import { Histogram } from '../histogram.js';
import { Connection, type Prepared } from './connection.js';
import { giveResult, readyToGo, taskOf } from './parent.js';
import { presign } from './presign.js';
import { keyName, type LoadResult, type LoadTask, type S3Op, WARM_KEYS } from './s3-task.js';

const STRIDE = 7919;
/** Larger bodies are sent from the one buffer that all requests share. */
const INLINE_BODY_BYTES = 65_536;
const INLINE_BYTES = 1 << 26;
const LIST_PAGE = 1000;
const MIXED_LIST_PAGE = 100;
const TICK_MS = 1;
const CLOSED_TICK_MS = 5;
/** What is connected after that is what the load has. */
const CONNECT_SECONDS = 5;
/** How long after the end an open loop still sends what was due. */
const DRAIN_SECONDS = 2;
/** How long after the end an answer is waited for. */
const ANSWER_SECONDS = 10;
/** Of 20: 14 GET, 4 PUT, a HEAD and a page of 100. */
const MIX: readonly S3Op[] = [...Array<S3Op>(14).fill('get'), ...Array<S3Op>(4).fill('put'), 'head', 'list'];

function prepare(task: LoadTask): Prepared[] {
  const isInline = task.bodyBytes <= INLINE_BODY_BYTES && task.bodyBytes * task.keys <= INLINE_BYTES;
  const host = task.port === (task.tls ? 443 : 80) ? task.host : `${task.host}:${task.port}`;
  const body = Buffer.alloc(task.bodyBytes, 'x');
  const methods = { get: 'GET', put: 'PUT', head: 'HEAD', delete: 'DELETE', list: 'GET', bucket: 'PUT' } as const;
  return Array.from({ length: task.keys }, (_, index) => {
    const op = task.op === 'mixed' ? MIX[index % MIX.length]! : task.op;
    const method = methods[op as Exclude<S3Op, 'mixed'>];
    const name = keyName(task.layout, task.firstKey + index);
    const prefix = encodeURIComponent(name.slice(0, name.indexOf('/') + 1));
    const page = task.op === 'mixed' ? MIXED_LIST_PAGE : LIST_PAGE;
    const query = `list-type=2&max-keys=${page}&prefix=${prefix}&start-after=${encodeURIComponent(name)}`;
    const isBucket = op === 'list' || op === 'bucket';
    const path = isBucket ? `/${task.bucket}` : `/${task.bucket}/${name}`;
    const target = presign(method, host, path, task.credentials, op === 'list' ? query : '');
    const length = op === 'put' ? `Content-Length: ${task.bodyBytes}\r\n` : '';
    const empty = op === 'bucket' ? 'Content-Length: 0\r\n' : '';
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}${empty}\r\n`);
    if (op !== 'put') return { head, body: null, isHead: op === 'head' };
    if (!isInline) return { head, body, isHead: false };
    return { head: Buffer.concat([head, body]), body: null, isHead: false };
  });
}

class Load {
  private readonly latency = new Histogram();
  private readonly windows: Histogram[] = [];
  private readonly idle: Connection[] = [];
  private readonly connections: Connection[] = [];
  private readonly sent = new Set<Connection>();
  private errors = 0;
  private firstError = '';
  private bytes = 0;
  private issued = 0;
  /** False until all clients are connected: making connections is not what is measured. */
  private begun = false;
  private beginUs = 0;
  private endUs = 0;
  private lastUs = 0;
  private longestGapUs = 0;
  private finish: () => void = () => {};

  constructor(
    private readonly task: LoadTask,
    private readonly requests: readonly Prepared[],
  ) {}

  async run(): Promise<LoadResult> {
    const { task } = this;
    let cpu = process.cpuUsage();
    const finished = new Promise<void>((resolve) => {
      this.finish = resolve;
    });
    const opened = nowUs();
    for (let client = 0; client < task.clients; client++) this.connections.push(new Connection(task, this));
    const timer = setInterval(
      () => {
        if (!this.begun && (this.idle.length === task.clients || nowUs() - opened > CONNECT_SECONDS * 1e6)) {
          cpu = process.cpuUsage();
          this.begin();
        }
        if (this.begun) this.tick();
      },
      task.rate > 0 ? TICK_MS : CLOSED_TICK_MS,
    );
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
      longestGapUs: this.longestGapUs,
      windows: Array.from(this.windows, (window) => (window ?? new Histogram()).data()),
    };
  }

  private begin(): void {
    this.begun = true;
    this.beginUs = nowUs();
    this.lastUs = this.beginUs;
    this.endUs = this.beginUs + this.task.seconds * 1e6;
  }

  ready(connection: Connection, failure: string | null): void {
    if (!this.begun) {
      this.idle.push(connection);
      return;
    }
    const now = nowUs();
    if (this.sent.delete(connection)) {
      if (failure === null) this.record(now, now - connection.begunUs);
      else this.fail(failure);
      this.lastUs = now;
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

  private record(now: number, us: number): void {
    this.latency.record(us);
    this.longestGapUs = Math.max(this.longestGapUs, now - this.lastUs);
    const { windowMs } = this.task;
    if (windowMs === 0) return;
    const index = Math.floor((now - this.beginUs) / (windowMs * 1000));
    let window = this.windows[index];
    if (window === undefined) {
      window = new Histogram();
      this.windows[index] = window;
    }
    window.record(us);
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

/** The same load for a while; where each key is good for one request, on others than those to be measured. */
async function warm(task: LoadTask, requests: readonly Prepared[]): Promise<void> {
  if (task.warmSeconds === 0) return;
  const like = { ...task, seconds: task.warmSeconds, rate: 0, windowMs: 0 };
  if (!task.once) await new Load(like, requests).run();
  else {
    const others = { ...like, firstKey: task.warmFirstKey, keys: WARM_KEYS };
    await new Load(others, prepare(others)).run();
  }
}

const task = taskOf<LoadTask>();
const requests = prepare(task);
await warm(task, requests);
await readyToGo();
giveResult(await new Load(task, requests).run());
