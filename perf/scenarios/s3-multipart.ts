// Uploads in parts, several at once, each begun, sent and completed: bytes a second over all of it, and how long a part
// and a completion take.

import { type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf } from '../instrument/observed.js';
import type { MultipartResult, MultipartTask } from '../load/s3-task.js';
import { startLoad } from '../load-process.js';
import { formatSize } from '../units.js';
import { type Bench, emptyRate, type MultipartLoad, subjectsOf } from './s3-target.js';

const LOAD = new URL('../load/multipart-load.js', import.meta.url);

export async function measureMultipart(bench: Bench, { partBytes, clients }: MultipartLoad): Promise<Figure[]> {
  const { target, seconds, warmSeconds } = bench;
  const { host, port, tls, bucket, credentials } = target;
  const place = { host, port, tls, bucket, credentials };
  const task: MultipartTask = { ...place, partBytes, uploadsAtOnce: clients, seconds, warmSeconds };
  const limits = await limitsOf(bench, { partBytes, clients });
  const generator = startLoad<MultipartResult>(LOAD, task);
  await generator.ready;
  const { result, cost } = await costOf(
    subjectsOf(target),
    () => bench.around(() => generator.go()),
    ({ uploads }) => uploads,
  );
  const sizes = [...new Set([Math.min(...partBytes), Math.max(...partBytes)])].map(formatSize).join(' to ');
  const name = `S3 multipart, ${clients} uploads at once, ${partBytes.length} parts of ${sizes}`;
  return [
    {
      name,
      unit: 'bytes/s',
      value: result.bytes / result.seconds,
      limits,
      operations: result.uploads,
      latency: latencyOf(Histogram.of(result.part)),
      ...(target.node !== null && { cost }),
      generatorCores: result.cpuSeconds / result.seconds,
      note: 'latencies are those of a part; cost is that of a whole upload',
    },
    {
      name: `${name}: completions`,
      unit: 'uploads/s',
      value: result.uploads / result.seconds,
      limits: [],
      latency: latencyOf(Histogram.of(result.complete)),
      note: 'latencies are those of CompleteMultipartUpload',
    },
  ];
}

/** In bytes a second, with bodies of the size of the parts' mean. */
async function limitsOf(bench: Bench, { partBytes, clients }: Omit<MultipartLoad, 'op'>): Promise<Limit[]> {
  const bodyBytes = Math.round(partBytes.reduce((sum, bytes) => sum + bytes, 0) / partBytes.length);
  const load = { op: 'put', bodyBytes, clients, keys: clients } as const;
  const rate = await emptyRate(bench.target, bench.empty, load, bench.limitSeconds);
  const limits = [{ name: 'empty uWebSockets.js', value: rate * bodyBytes }];
  if (bench.syncs === null) return limits;
  const { name, value } = bench.syncs.of(bodyBytes);
  return [...limits, { name, value: value * bodyBytes }];
}
