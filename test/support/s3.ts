// A small S3 client for tests: pre-signed requests over node:http, one connection pool, answers whole.

import http from 'node:http';
import { type Credentials, presign } from '../../perf/load/presign.js';
import { HOST } from '../../perf/servers.js';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Longer than the service itself may take. */
const ANSWER_MS = 90_000;

export class S3 {
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

  constructor(
    private readonly port: number,
    private readonly credentials: Credentials,
  ) {}

  put(path: string, body: Buffer = Buffer.alloc(0)): Promise<Answer> {
    return this.request('PUT', path, '', body);
  }

  get(path: string, query = ''): Promise<Answer> {
    return this.request('GET', path, query);
  }

  delete(path: string): Promise<Answer> {
    return this.request('DELETE', path);
  }

  /** Rejects when the connection fails before the answer is whole. */
  request(method: string, path: string, query = '', body?: Buffer): Promise<Answer> {
    const host = `${HOST}:${this.port}`;
    const target = presign(method, host, path, this.credentials, query);
    const headers = { host, ...(body === undefined ? {} : { 'content-length': body.length }) };
    return new Promise((resolve, reject) => {
      const options = { host: HOST, port: this.port, method, path: target, headers, agent: this.agent };
      const request = http.request(options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('close', () => {
          if (!response.complete) reject(new Error('the answer was cut off'));
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) });
        });
      });
      request.on('error', reject);
      request.setTimeout(ANSWER_MS, () =>
        request.destroy(new Error(`${method} ${path}: no answer in ${ANSWER_MS} ms`)),
      );
      request.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}
