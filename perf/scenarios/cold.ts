// GET of objects that do not fit into memory: a node in a control group that may have a third of what it stores, page
// cache included. The limit is the same disk by itself, read at random at a fixed depth in the same run. Beside the cold
// reads runs a load on few objects, which must not wait for them.

import fs from 'node:fs';
import path from 'node:path';
import { makeMemoryGroup } from '../cgroup.js';
import { type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf, diskReadBytes, Observatory } from '../instrument/observed.js';
import type { DiskReadsResult, DiskReadsTask } from '../load/disk-reads.js';
import { runLoad } from '../load-process.js';
import { startNode } from '../servers.js';
import { formatNumber, formatSize } from '../units.js';
import {
  checked,
  makeBucket,
  nodeTarget,
  type S3Target,
  type S3Times,
  startS3,
  storeKeys,
  subjectsOf,
} from './s3-target.js';

export interface ColdOptions extends S3Times {
  readonly memoryBytes: number;
  readonly objectBytes: number;
  readonly generators: number;
  /** Default: three times the memory. */
  readonly objects?: number;
}

const DISK_READS = new URL('../load/disk-reads.js', import.meta.url);
const SET_SHARE = 3;
const DEPTH = 32;
const COLD_CLIENTS = 64;
const WARM_KEYS = 200;
const WARM_CLIENTS = 16;
/** Requests a second: enough for a p99, too few to take the cold ones' place. */
const WARM_RATE = 500;
/** Of one generator that stores: it signs all requests before it begins. */
const STORED_AT_ONCE = 50_000;

/** Throws NotHereError without the right to make a control group. */
export async function measureCold(options: ColdOptions): Promise<Figure[]> {
  const { memoryBytes, objectBytes, seconds } = options;
  const objects = options.objects ?? Math.ceil((memoryBytes * SET_SHARE) / objectBytes);
  const group = makeMemoryGroup(memoryBytes);
  const observatory = new Observatory();
  try {
    const node = await startNode({ env: observatory.env, group: group.procs });
    try {
      const target = nodeTarget(node, observatory, options.generators);
      await storeAll(target, objectBytes, objects);
      const limit = await diskReads(node.data, objectBytes, seconds);
      const about = `${formatNumber(objects)} objects, ${formatSize(memoryBytes)} of memory`;
      const cold = { op: 'get', bodyBytes: objectBytes, clients: COLD_CLIENTS, keys: objects, rate: 0 } as const;
      return [await alone(target, cold, options, limit, about), await beside(target, cold, options, about)];
    } finally {
      await node.stop();
    }
  } finally {
    observatory.close();
    await group.close();
  }
}

async function storeAll(target: S3Target, bodyBytes: number, objects: number): Promise<void> {
  await makeBucket(target);
  for (let firstKey = 0; firstKey < objects; firstKey += STORED_AT_ONCE) {
    await storeKeys(target, { bodyBytes, firstKey, keys: Math.min(STORED_AT_ONCE, objects - firstKey) });
  }
}

/** Reads of the largest volume file, past the page cache. */
async function diskReads(data: string, blockBytes: number, seconds: number): Promise<Limit> {
  const place = path.join(data, 'blocks');
  const files = fs.readdirSync(place, { recursive: true, encoding: 'utf8' }).map((name) => path.join(place, name));
  const sized = files.map((file) => ({ file, stat: fs.statSync(file) })).filter(({ stat }) => stat.isFile());
  const [largest] = sized.toSorted((left, right) => right.stat.blocks - left.stat.blocks);
  if (largest === undefined) throw new Error(`${place} holds no volume file`);
  const task: DiskReadsTask = { file: largest.file, blockBytes, depth: DEPTH, seconds };
  const env = { UV_THREADPOOL_SIZE: String(DEPTH) };
  const result = await runLoad<DiskReadsResult>(DISK_READS, task, env);
  return { name: `random reads of the disk, ${DEPTH} at once`, value: result.reads / result.seconds };
}

type Cold = Parameters<typeof startS3>[1];

async function alone(
  target: S3Target,
  cold: Cold,
  { seconds, warmSeconds }: S3Times,
  limit: Limit,
  about: string,
): Promise<Figure> {
  const generator = startS3(target, cold, { seconds, warmSeconds });
  await generator.ready;
  const readBefore = diskReadBytes();
  const { result, cost } = await costOf(
    subjectsOf(target),
    async () => checked('get', target, await generator.go()),
    ({ requests }) => requests,
  );
  const readBytes = (diskReadBytes() - readBefore) / result.requests;
  return {
    name: `S3 cold get ${formatSize(cold.bodyBytes)}, ${cold.clients} clients`,
    unit: 'requests/s',
    value: result.requests / result.seconds,
    limits: [limit],
    latency: latencyOf(Histogram.of(result.latency)),
    cost,
    generatorCores: result.cpuSeconds / result.seconds,
    note: `${about}; the disk read ${formatSize(Math.round(readBytes))} an operation`,
  };
}

/** Warm reads at a fixed rate while the cold ones go on. */
async function beside(target: S3Target, cold: Cold, { seconds, warmSeconds }: S3Times, about: string): Promise<Figure> {
  const few = { ...cold, clients: WARM_CLIENTS, keys: Math.min(WARM_KEYS, cold.keys), rate: WARM_RATE };
  const [coldLoad, warmLoad] = [
    startS3(target, cold, { seconds, warmSeconds: 0 }),
    startS3(target, few, { seconds, warmSeconds }),
  ];
  await Promise.all([coldLoad.ready, warmLoad.ready]);
  const [others, warm] = await Promise.all([coldLoad.go(), warmLoad.go()]);
  checked('get', target, others);
  checked('get', target, warm);
  return {
    name: `S3 warm get ${formatSize(cold.bodyBytes)} beside cold ones, ${WARM_RATE} due a second`,
    unit: 'requests/s',
    value: warm.requests / warm.seconds,
    limits: [],
    latency: latencyOf(Histogram.of(warm.latency)),
    generatorCores: (others.cpuSeconds + warm.cpuSeconds) / warm.seconds,
    note: `${about}; beside ${formatNumber(others.requests / others.seconds)} cold ones a second`,
  };
}
