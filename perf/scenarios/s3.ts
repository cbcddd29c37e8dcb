// S3 under closed-loop load, each size beside an empty uWebSockets.js server under the same load from the same generator.

import { connectRemote } from '../../client/connect/index.js';
import type { Figure } from '../figures.js';
import type { LoadResult, LoadTask } from '../load/http-load.js';
import { HOST, type NodeTarget, runScript, startEmptyServer, type Target } from '../servers.js';

export interface S3Load {
  readonly method: 'GET' | 'PUT';
  readonly bodyBytes: number;
  readonly clients: number;
  readonly keys: number;
}

const BUCKET = 'perf';
const LOAD = new URL('../load/http-load.js', import.meta.url);

/** PUT before GET of each size: what is read has to be there. */
export const QUICK_LOADS: readonly S3Load[] = [
  { method: 'PUT', bodyBytes: 4096, clients: 64, keys: 3000 },
  { method: 'GET', bodyBytes: 4096, clients: 64, keys: 3000 },
  { method: 'PUT', bodyBytes: 1 << 20, clients: 32, keys: 100 },
  { method: 'GET', bodyBytes: 1 << 20, clients: 32, keys: 100 },
];

/** Rejects when any request fails: a figure of failing requests says nothing. */
export async function measureS3(node: NodeTarget, loads: readonly S3Load[], seconds: number): Promise<Figure[]> {
  await createBucket(node);
  const empty = await startEmptyServer();
  const figures: Figure[] = [];
  try {
    for (const load of loads) {
      const limit = await run(empty, node, load, seconds / 2);
      const result = await run(node, node, load, seconds);
      figures.push(figure(load, result, limit));
    }
  } finally {
    await empty.stop();
  }
  return figures;
}

async function createBucket(node: NodeTarget): Promise<void> {
  const warn = (message: string): boolean => process.stderr.write(`${message}\n`);
  const remote = await connectRemote({ server: { host: HOST, port: node.listen }, client: 'perf', warn });
  await remote.meta.call('volumeCreate', 0, { name: BUCKET, owner: '' });
  await remote.close();
}

async function run(target: Target, { credentials }: NodeTarget, load: S3Load, seconds: number): Promise<LoadResult> {
  const task: LoadTask = { host: HOST, port: target.port, bucket: BUCKET, credentials, seconds, ...load };
  const result = await runScript<LoadResult>(LOAD, task);
  if (result.errors > 0) {
    throw new Error(`${result.errors} of ${result.requests} ${load.method}s failed, the first: ${result.firstError}`);
  }
  return result;
}

function figure(load: S3Load, result: LoadResult, limit: LoadResult): Figure {
  const size = load.bodyBytes >= 1 << 20 ? `${load.bodyBytes >> 20} MiB` : `${load.bodyBytes >> 10} KiB`;
  const busy = Math.round((100 * result.cpuSeconds) / result.seconds);
  return {
    name: `S3 ${load.method} ${size}, ${load.clients} clients`,
    unit: 'requests/s',
    value: result.requests / result.seconds,
    limit: limit.requests / limit.seconds,
    limitName: 'empty uWebSockets.js',
    note: `p50 ${ms(result.p50Us)} p99 ${ms(result.p99Us)} ms; generator ${busy} % of a core`,
  };
}

function ms(us: number): string {
  return (us / 1000).toFixed(2);
}
