// S3 under load, closed loop or open, each figure beside an empty uWebSockets.js server under the same load from the
// same generator and, where it has to be on disk, beside synced writes. Any other S3 server can be the target.

import { type CurvePoint, type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf } from '../instrument/observed.js';
import { SyncLimits } from '../limits.js';
import { type LoadResult, type S3Op, WARM_KEYS } from '../load/s3-task.js';
import { startEmptyServer } from '../servers.js';
import { formatSize } from '../units.js';
import { measureMultipart } from './s3-multipart.js';
import {
  type Around,
  type Bench,
  checked,
  emptyRate,
  type MultipartLoad,
  makeBucket,
  type S3Load,
  type S3Target,
  type S3Times,
  startS3,
  storeKeys,
  subjectsOf,
} from './s3-target.js';

/** Deletes a second that a run must not be short of keys for. */
const DELETES_PER_SECOND = 4000;
const DURABLE: readonly S3Op[] = ['put', 'delete'];
const LIMIT_SHARE = 0.4;

/** Rejects when any request fails: a figure of failing requests says nothing. */
export async function measureS3(
  target: S3Target,
  loads: readonly (S3Load | MultipartLoad)[],
  times: S3Times,
  around: Around = (body) => body(),
): Promise<Figure[]> {
  await makeBucket(target);
  const empty = await startEmptyServer();
  const figures: Figure[] = [];
  const limitSeconds = times.seconds * LIMIT_SHARE;
  const syncs = target.node === null ? null : new SyncLimits(target.node.target.data, limitSeconds);
  const bench: Bench = { target, empty, syncs, around, limitSeconds, ...times, stored: { bytes: 0, keys: 0 } };
  try {
    for (const load of loads) {
      if (load.op === 'multipart') figures.push(...(await measureMultipart(bench, load)));
      else figures.push(await measure(bench, load));
    }
  } finally {
    await empty.stop();
  }
  return figures;
}

async function measure(bench: Bench, given: S3Load): Promise<Figure> {
  const { target, seconds, warmSeconds } = bench;
  const isDelete = given.op === 'delete';
  const keys = isDelete ? Math.min(given.keys, Math.ceil(seconds * DELETES_PER_SECOND)) : given.keys;
  const load = { ...given, keys };
  const limits = await limitsOf(bench, load);
  if (load.op !== 'put') await store(bench, isDelete ? { ...load, keys: keys + WARM_KEYS * target.generators } : load);
  const generator = startS3(target, load, { seconds, warmSeconds, warmFirstKey: keys, once: isDelete });
  await generator.ready;
  const { result, cost } = await costOf(
    subjectsOf(target),
    () => bench.around(async () => checked(load.op, target, await generator.go())),
    ({ requests }) => requests,
  );
  if (isDelete || load.op === 'put') bench.stored = { bytes: 0, keys: 0 };
  const histogram = Histogram.of(result.latency);
  return {
    name: nameOf(load),
    unit: 'requests/s',
    value: result.requests / result.seconds,
    limits,
    operations: result.requests,
    latency: latencyOf(histogram),
    ...(target.node !== null && { cost }),
    generatorCores: result.cpuSeconds / result.seconds,
    note: noteOf(load, result),
    ...(load.curve !== undefined && { curve: curveOf(load.curve, load.clients) }),
  };
}

function curveOf(name: string, clients: number): CurvePoint {
  return { name, x: clients, over: 'clients' };
}

/** Keys that are to be read or deleted are there first. */
async function store(bench: Bench, { bodyBytes, keys }: S3Load): Promise<void> {
  if (bench.stored.bytes === bodyBytes && bench.stored.keys >= keys) return;
  await storeKeys(bench.target, { bodyBytes, keys });
  bench.stored = { bytes: bodyBytes, keys };
}

async function limitsOf({ target, empty, syncs, limitSeconds }: Bench, load: S3Load): Promise<Limit[]> {
  const value = await emptyRate(target, empty, load, limitSeconds);
  const limits = [{ name: 'empty uWebSockets.js', value }];
  return syncs !== null && DURABLE.includes(load.op) ? [...limits, syncs.of(Math.max(load.bodyBytes, 1))] : limits;
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
