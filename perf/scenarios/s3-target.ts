// What loads on S3 share: where they go, what they are, and how one is run by a process of its own.

import { Histogram } from '../histogram.js';
import type { Observatory, Subject } from '../instrument/observed.js';
import type { SyncLimits } from '../limits.js';
import type { Credentials } from '../load/presign.js';
import { type KeyLayout, type LoadResult, type LoadTask, type S3_OPS, type S3Op, WARM_KEYS } from '../load/s3-task.js';
import { type LoadProcess, runLoad, startLoad } from '../load-process.js';
import { HOST, type NodeTarget, nodePid, type Target } from '../servers.js';

export interface S3Load {
  readonly op: (typeof S3_OPS)[number];
  readonly bodyBytes: number;
  readonly clients: number;
  readonly keys: number;
  /** Requests a second; 0: closed loop. */
  readonly rate: number;
  readonly curve?: string;
}

/** Of uploads in parts, each completed. */
export interface MultipartLoad {
  readonly op: 'multipart';
  readonly partBytes: readonly number[];
  /** Uploads at once. */
  readonly clients: number;
}

export interface S3Times {
  readonly seconds: number;
  /** Of the same load unmeasured before. */
  readonly warmSeconds: number;
}

/** Where the load goes. `node` is null for a server that is not ours: its inside is not seen. */
export interface S3Target {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly bucket: string;
  readonly credentials: Credentials;
  /** Processes that a load is divided among. */
  readonly generators: number;
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
const LIMIT_WARM_SHARE = 0.5;

export function nodeTarget(target: NodeTarget, observatory: Observatory, generators = 1): S3Target {
  const { port, credentials } = target;
  return { host: HOST, port, tls: false, bucket: BUCKET, credentials, generators, node: { target, observatory } };
}

/** Something that goes on while the load is on, and gives back what it gave. */
export type Around = <T>(body: () => Promise<T>) => Promise<T>;

export interface Bench extends S3Times {
  readonly target: S3Target;
  readonly empty: Target;
  /** Null: the disk is not ours to see. */
  readonly syncs: SyncLimits | null;
  readonly around: Around;
  readonly limitSeconds: number;
  /** The size that the keys were last stored with, and how many of them. */
  stored: { readonly bytes: number; readonly keys: number };
}

/** What of a target can be seen from inside. */
export function subjectsOf({ node }: S3Target): Subject[] {
  return node === null ? [] : [{ pid: nodePid(node.target), observatory: node.observatory, prefix: '' }];
}

interface Keys {
  readonly bodyBytes: number;
  readonly keys: number;
  readonly firstKey?: number;
  readonly layout?: KeyLayout;
}

export async function storeKeys(place: Place, { bodyBytes, keys, firstKey, layout }: Keys): Promise<void> {
  const clients = Math.min(PRELOAD_CLIENTS, keys);
  const load = {
    op: 'put',
    bodyBytes,
    keys,
    clients,
    rate: 0,
    firstKey: firstKey ?? 0,
    layout: layout ?? 'flat',
  } as const;
  await runS3(place, load, { seconds: PRELOAD_SECONDS, once: true });
}

export async function makeBucket(place: Place): Promise<void> {
  const load = { op: 'bucket', bodyBytes: 0, clients: 1, keys: 1, rate: 0 } as const;
  const task = taskFor(place, load, { seconds: PRELOAD_SECONDS, once: true });
  const result = await runLoad<LoadResult>(LOAD, task);
  if (!/BucketAlready/.test(result.firstError)) checked('bucket', place, result);
}

/** Requests a second that a server without a work does under the same load. */
export async function emptyRate(
  { credentials, generators }: S3Target,
  { port }: Target,
  load: Omit<S3Load, 'rate'>,
  seconds: number,
): Promise<number> {
  const body = new Uint8Array(load.op === 'list' ? LIST_PAGE * LIST_ENTRY_BYTES : load.bodyBytes);
  // What it answers to GET from now on.
  await fetch(`http://${HOST}:${port}/size`, { method: 'PUT', body });
  const away = { host: HOST, port, tls: false, bucket: BUCKET, credentials, generators };
  const keys = Math.min(load.keys, LIMIT_KEYS);
  const result = await runS3(away, { ...load, rate: 0, keys }, { seconds, warmSeconds: seconds * LIMIT_WARM_SHARE });
  return result.requests / result.seconds;
}

export type Place = Omit<S3Target, 'node'>;
type Asked = Pick<S3Load, 'bodyBytes' | 'clients' | 'keys' | 'rate'> & {
  readonly op: S3Op;
  readonly firstKey?: number;
  readonly layout?: KeyLayout;
};
type Run = Pick<LoadTask, 'seconds'> & Partial<Pick<LoadTask, 'warmSeconds' | 'warmFirstKey' | 'once' | 'windowMs'>>;

/** What a generator is told: a load, at a place, for a time. */
export function taskFor({ host, port, tls, bucket, credentials }: Place, load: Asked, run: Run): LoadTask {
  const { op, bodyBytes, clients, keys, rate } = load;
  const defaults = { firstKey: 0, layout: 'flat', warmSeconds: 0, warmFirstKey: 0, once: false, windowMs: 0 } as const;
  const given = { firstKey: load.firstKey ?? 0, layout: load.layout ?? 'flat' };
  return { ...defaults, ...given, host, port, tls, bucket, credentials, op, bodyBytes, clients, keys, rate, ...run };
}

/** By as many processes as the place has generators, each with its part of clients, rate and keys. */
export function startS3(place: Place, load: Asked, run: Run): LoadProcess<LoadResult> {
  const parts = divided(taskFor(place, load, run), place.generators).map((task) => startLoad<LoadResult>(LOAD, task));
  const ready = Promise.all(parts.map((part) => part.ready)).then(() => {});
  // It is awaited by whoever goes on; one that fails before that is no unhandled rejection.
  ready.catch(() => {});
  return {
    pid: parts[0]!.pid, // there is at least one
    ready,
    go: async () => {
      await ready;
      return together(await Promise.all(parts.map((part) => part.go())));
    },
    finish: () => {
      for (const part of parts) part.finish();
    },
    kill: () => {
      for (const part of parts) part.kill();
    },
  };
}

/** What each of several generators does of a load; no more of them than there are clients and keys. */
export function divided(task: LoadTask, generators: number): LoadTask[] {
  const count = Math.max(1, Math.min(generators, task.clients, task.keys));
  const share = (whole: number, index: number): number => {
    return Math.floor((whole * (index + 1)) / count) - Math.floor((whole * index) / count);
  };
  return Array.from({ length: count }, (_, index) => ({
    ...task,
    clients: share(task.clients, index),
    rate: task.rate / count,
    firstKey: task.firstKey + Math.floor((task.keys * index) / count),
    keys: share(task.keys, index),
    warmFirstKey: task.warmFirstKey + index * WARM_KEYS,
  }));
}

/** Of generators that ran at the same time. */
export function together(results: readonly LoadResult[]): LoadResult {
  const sum = (read: (result: LoadResult) => number): number => {
    return results.reduce((total, result) => total + read(result), 0);
  };
  const windows = Math.max(...results.map((result) => result.windows.length));
  return {
    requests: sum(({ requests }) => requests),
    errors: sum(({ errors }) => errors),
    firstError: results.find(({ firstError }) => firstError !== '')?.firstError ?? '',
    bytes: sum(({ bytes }) => bytes),
    seconds: Math.max(...results.map(({ seconds }) => seconds)),
    latency: Histogram.of(...results.map(({ latency }) => latency)).data(),
    cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
    unsent: sum(({ unsent }) => unsent),
    longestGapUs: Math.max(...results.map(({ longestGapUs }) => longestGapUs)),
    windows: Array.from({ length: windows }, (_, index) => {
      return Histogram.of(...results.flatMap((result) => result.windows[index] ?? [])).data();
    }),
  };
}

/** Rejects when a request fails, or none is answered. */
export async function runS3(place: Place, load: Asked, run: Run): Promise<LoadResult> {
  const generators = startS3(place, load, run);
  try {
    return checked(load.op, place, await generators.go());
  } finally {
    generators.kill();
  }
}

export function checked(op: S3Op, { host, port }: Place, result: LoadResult): LoadResult {
  if (result.errors > 0 || result.requests === 0) {
    const why = result.errors > 0 ? `the first: ${result.firstError}` : `nothing answers at ${host}:${port}`;
    throw new Error(`S3 ${op}: ${result.errors} requests failed, ${result.requests} did not; ${why}`);
  }
  return result;
}
