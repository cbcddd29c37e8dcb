// A load generator of multipart uploads: several at once, each begun, sent part by part and completed over a connection
// of its own. An upload that was begun is completed, also when the time is over. The first request that fails ends it.

import { Histogram } from '../histogram.js';
import { Connection, type Prepared } from './connection.js';
import { giveResult, readyToGo, taskOf } from './parent.js';
import { presign } from './presign.js';
import type { MultipartResult, MultipartTask } from './s3-task.js';

/** Uploads replace these objects again and again. */
const KEYS = 16;

class Client {
  private readonly connection: Connection;
  private readonly connected: Promise<void>;
  private settle: (failure: string | null) => void = () => {};

  constructor(private readonly task: MultipartTask) {
    this.connected = new Promise((resolve) => {
      this.settle = () => resolve();
    });
    this.connection = new Connection(task, { ready: (_, failure) => this.settle(failure), received: () => {} });
  }

  /** The answer's head and body. */
  async ask(method: 'POST' | 'PUT', path: string, query: string, body: Buffer): Promise<string> {
    await this.connected;
    const { task } = this;
    const host = `${task.host}:${task.port}`;
    const target = presign(method, host, path, task.credentials, query);
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n`);
    const request: Prepared = { head, body: body.length === 0 ? null : body, isHead: false, isKept: true };
    const answered = new Promise<string>((resolve, reject) => {
      this.settle = (failure) => {
        if (failure === null) resolve(this.connection.answer);
        else reject(new Error(`${method} ${path}?${query}: ${failure}`));
      };
    });
    this.connection.send(request);
    return answered;
  }

  close(): void {
    this.connection.close();
  }
}

class Uploads {
  private readonly bodies: Buffer[];
  private readonly part = new Histogram();
  private readonly complete = new Histogram();
  private bytes = 0;
  private uploads = 0;

  constructor(
    private readonly task: MultipartTask,
    private readonly seconds: number,
  ) {
    this.bodies = task.partBytes.map((bytes) => Buffer.alloc(bytes, 'x'));
  }

  async run(): Promise<MultipartResult> {
    const cpu = process.cpuUsage();
    const begun = performance.now();
    const clients = Array.from({ length: this.task.uploadsAtOnce }, () => new Client(this.task));
    await Promise.all(clients.map((client, index) => this.loop(client, index, begun + this.seconds * 1000)));
    for (const client of clients) client.close();
    const { user, system } = process.cpuUsage(cpu);
    return {
      uploads: this.uploads,
      bytes: this.bytes,
      seconds: (performance.now() - begun) / 1000,
      part: this.part.data(),
      complete: this.complete.data(),
      cpuSeconds: (user + system) / 1e6,
    };
  }

  private async loop(client: Client, first: number, endMs: number): Promise<void> {
    for (let index = first; performance.now() < endMs; index += this.task.uploadsAtOnce) {
      await this.upload(client, `/${this.task.bucket}/multipart/${index % KEYS}`);
    }
  }

  private async upload(client: Client, path: string): Promise<void> {
    const begun = await client.ask('POST', path, 'uploads=', Buffer.alloc(0));
    const id = /<UploadId>([^<]+)</.exec(begun)?.[1];
    if (id === undefined) throw new Error(`no UploadId in ${begun}`);
    const query = `uploadId=${encodeURIComponent(id)}`;
    const parts: string[] = [];
    for (const [index, body] of this.bodies.entries()) {
      const number = index + 1;
      const answer = await this.timed(this.part, () => client.ask('PUT', path, `partNumber=${number}&${query}`, body));
      const etag = /^etag: *(\S+)/im.exec(answer)?.[1];
      if (etag === undefined) throw new Error(`no ETag in ${answer}`);
      parts.push(`<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
      this.bytes += body.length;
    }
    const list = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
    const answer = await this.timed(this.complete, () => client.ask('POST', path, query, list));
    // S3 may say that it failed behind a status of 200.
    if (answer.includes('<Error>')) throw new Error(`the upload was not completed: ${answer}`);
    this.uploads++;
  }

  private async timed<T>(histogram: Histogram, body: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const result = await body();
    histogram.record((performance.now() - begun) * 1000);
    return result;
  }
}

const task = taskOf<MultipartTask>();
if (task.warmSeconds > 0) await new Uploads(task, task.warmSeconds).run();
await readyToGo();
giveResult(await new Uploads(task, task.seconds).run());
