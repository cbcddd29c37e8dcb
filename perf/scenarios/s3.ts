// S3 under load, closed loop or open, each figure beside an empty uWebSockets.js server under the same load from the
// same generator and, where it has to be on disk, beside synced writes. Any other S3 server can be the target.

import { type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf, type Observatory, type Subject } from '../instrument/observed.js';
import { SyncLimits } from '../limits.js';
import type { LoadResult, LoadTask, S3Op } from '../load/http-load.js';
import type { Credentials } from '../load/presign.js';
import { HOST, type NodeTarget, nodePid, runScript, startEmptyServer, type Target } from '../servers.js';
import { formatSize } from '../units.js';

export interface S3Load {
  readonly op: Exclude<S3Op, 'bucket'>;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly keys: number;
  /** Requests a second; 0: closed loop. */
  readonly rate: number;
  readonly curve?: string;
}

/** Where the load goes. `node` is null for a server that is not ours: its inside is not seen. */
export interface S3Target {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly bucket: string;
  readonly credentials: Credentials;
  readonly node: { readonly target: NodeTarget; readonly observatory: Observatory } | null;
}

const BUCKET = 'perf';
const LOAD = new URL('../load/http-load.js', import.meta.url);
const PRELOAD_CLIENTS = 64;
/** Longer than any preload of a suite takes; each key is sent once. */
const PRELOAD_SECONDS = 600;
const LIST_ENTRY_BYTES = 300;
const LIST_PAGE = 1000;
const LIMIT_KEYS = 1000;
/** Deletes a second that a run must not be short of keys for. */
const DELETES_PER_SECOND = 4000;
const DURABLE: readonly S3Op[] = ['put', 'delete'];
const LIMIT_SHARE = 0.4;

export function nodeTarget(target: NodeTarget, observatory: Observatory): S3Target {
  const { port, credentials } = target;
  return { host: HOST, port, tls: false, bucket: BUCKET, credentials, node: { target, observatory } };
}

/** Something that goes on while the load is on, and gives back what it gave. */
export type Around = (body: () => Promise<LoadResult>) => Promise<LoadResult>;

/** Rejects when any request fails: a figure of failing requests says nothing. */
export async function measureS3(
  target: S3Target,
  loads: readonly S3Load[],
  seconds: number,
  around: Around = (body) => body(),
): Promise<Figure[]> {
  await run(target, { op: 'bucket', bodyBytes: 0, clients: 1, keys: 1, rate: 0 }, PRELOAD_SECONDS, true);
  const empty = await startEmptyServer();
  const figures: Figure[] = [];
  const syncs = target.node === null ? null : new SyncLimits(target.node.target.data, seconds * LIMIT_SHARE);
  const bench: Bench = { target, empty, syncs, around, stored: { bytes: 0, keys: 0 } };
  try {
    for (const load of loads) figures.push(await measure(bench, load, seconds));
  } finally {
    await empty.stop();
  }
  return figures;
}

interface Bench {
  readonly target: S3Target;
  readonly empty: Target;
  /** Null: the disk is not ours to see. */
  readonly syncs: SyncLimits | null;
  readonly around: Around;
  /** The size that the keys were last stored with, and how many of them. */
  stored: { readonly bytes: number; readonly keys: number };
}

async function measure(bench: Bench, given: S3Load, seconds: number): Promise<Figure> {
  const { target } = bench;
  const isDelete = given.op === 'delete';
  const keys = isDelete ? Math.min(given.keys, Math.ceil(seconds * DELETES_PER_SECOND)) : given.keys;
  const load = { ...given, keys };
  const limits = await limitsOf(bench, load, seconds * LIMIT_SHARE);
  if (load.op !== 'put') await store(bench, load);
  const { node } = target;
  const subjects: Subject[] =
    node === null ? [] : [{ pid: nodePid(node.target), observatory: node.observatory, prefix: '' }];
  const body = (): Promise<LoadResult> => bench.around(() => run(target, load, seconds, isDelete));
  const { result, cost } = await costOf(subjects, body, ({ requests }) => requests);
  if (isDelete || load.op === 'put') bench.stored = { bytes: 0, keys: 0 };
  const histogram = Histogram.of(result.latency);
  return {
    name: nameOf(load),
    unit: 'requests/s',
    value: result.requests / result.seconds,
    limits,
    latency: latencyOf(histogram),
    ...(node !== null && { cost }),
    generatorCores: result.cpuSeconds / result.seconds,
    note: noteOf(load, result),
    ...(load.curve !== undefined && { curve: { name: load.curve, x: load.clients } }),
  };
}

/** Keys that are to be read or deleted are there first. */
async function store(bench: Bench, { bodyBytes, keys }: S3Load): Promise<void> {
  if (bench.stored.bytes === bodyBytes && bench.stored.keys >= keys) return;
  const clients = Math.min(PRELOAD_CLIENTS, keys);
  await run(bench.target, { op: 'put', bodyBytes, clients, keys, rate: 0 }, PRELOAD_SECONDS, true);
  bench.stored = { bytes: bodyBytes, keys };
}

async function limitsOf({ target, empty, syncs }: Bench, load: S3Load, seconds: number): Promise<Limit[]> {
  const body = new Uint8Array(load.op === 'list' ? LIST_PAGE * LIST_ENTRY_BYTES : load.bodyBytes);
  // What it answers to GET from now on.
  await fetch(`http://${HOST}:${empty.port}/size`, { method: 'PUT', body });
  const away = { host: HOST, port: empty.port, tls: false, bucket: BUCKET, credentials: target.credentials };
  const result = await run(away, { ...load, rate: 0, keys: Math.min(load.keys, LIMIT_KEYS) }, seconds, false);
  const limits = [{ name: 'empty uWebSockets.js', value: result.requests / result.seconds }];
  return syncs !== null && DURABLE.includes(load.op) ? [...limits, syncs.of(Math.max(load.bodyBytes, 1))] : limits;
}

type Place = Omit<S3Target, 'node'>;

async function run(
  place: Place,
  load: Omit<S3Load, 'op'> & { op: S3Op },
  seconds: number,
  once: boolean,
): Promise<LoadResult> {
  const { host, port, tls, bucket, credentials } = place;
  const task: LoadTask = { host, port, tls, bucket, credentials, firstKey: 0, seconds, once, ...load };
  const result = await runScript<LoadResult>(LOAD, task);
  const already = load.op === 'bucket' && /BucketAlready/.test(result.firstError);
  if ((result.errors > 0 && !already) || (result.requests === 0 && !already)) {
    const why = result.errors > 0 ? `the first: ${result.firstError}` : `nothing answers at ${host}:${port}`;
    throw new Error(`S3 ${load.op}: ${result.errors} requests failed, ${result.requests} did not; ${why}`);
  }
  return result;
}

function nameOf({ op, bodyBytes, clients, rate }: S3Load): string {
  const size = op === 'list' ? '1,000 keys' : formatSize(bodyBytes);
  return `S3 ${op} ${size}, ${clients} clients${rate > 0 ? `, ${rate} due a second` : ''}`;
}

function noteOf({ op, bodyBytes }: S3Load, { requests, seconds, unsent }: LoadResult): string {
  const notes: string[] = [];
  if (unsent > 0) notes.push(`${unsent} due requests were never sent: slower than the rate`);
  if (bodyBytes >= 1 << 20 && (op === 'get' || op === 'put')) {
    notes.push(`${Math.round((requests * bodyBytes) / seconds / 1e6)} MB/s`);
  }
  return notes.join('; ');
}
