// A load beside ten times its clients: what is left of its throughput, how far latency and memory grow, and how soon all
// is as before when the others have gone. The first load runs all the time, so that the way back is seen by a client.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Cost, type Figure, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { MemoryWatch } from '../instrument/memory-watch.js';
import { costOf } from '../instrument/observed.js';
import type { LoadResult } from '../load/s3-task.js';
import { nodePid } from '../servers.js';
import { formatSize, formatUs } from '../units.js';
import { histogramOf, rateBetween, recoveryMs } from '../windows.js';
import {
  checked,
  makeBucket,
  type S3Load,
  type S3Target,
  type S3Times,
  startS3,
  storeKeys,
  subjectsOf,
} from './s3-target.js';

const FACTOR = 10;
const WINDOW_MS = 50;
const MEMORY_PERIOD_MS = 200;
const RECOVERED_SHARE = 0.9;
/** Of each phase, left out at its beginning: connections are made. */
const SETTLE_SHARE = 0.2;

interface Course {
  readonly steady: LoadResult;
  readonly crowd: LoadResult;
  /** Since the steady load began. */
  readonly crowdFromMs: number;
  readonly crowdToMs: number;
  /** Null: the server is not ours to see. */
  readonly memory: MemoryWatch | null;
}

/** Each of the three phases takes `seconds`. */
export async function measureOverload(target: S3Target, load: S3Load, times: S3Times): Promise<Figure[]> {
  await makeBucket(target);
  await storeKeys(target, load);
  const subjects = subjectsOf(target);
  const { result, cost } = await costOf(
    subjects,
    () => run(target, load, times),
    ({ steady, crowd }) => steady.requests + crowd.requests,
  );
  return figuresOf(load, result, subjects.length > 0 ? cost : undefined);
}

async function run(target: S3Target, load: S3Load, { seconds, warmSeconds }: S3Times): Promise<Course> {
  const steadyLoad = startS3(target, load, { seconds: seconds * 3, warmSeconds, windowMs: WINDOW_MS });
  const many = { ...load, clients: load.clients * (FACTOR - 1) };
  const crowdLoad = startS3(target, many, { seconds, warmSeconds: 0 });
  try {
    await Promise.all([steadyLoad.ready, crowdLoad.ready]);
    const memory = target.node === null ? null : new MemoryWatch(nodePid(target.node.target), MEMORY_PERIOD_MS);
    try {
      const begun = performance.now();
      const steady = steadyLoad.go();
      const [crowd, crowdFromMs, crowdToMs] = await sleep(seconds * 1000).then(async () => {
        const fromMs = performance.now() - begun;
        const result = await crowdLoad.go();
        return [result, fromMs, performance.now() - begun] as const;
      });
      return { steady: checked(load.op, target, await steady), crowd, crowdFromMs, crowdToMs, memory };
    } finally {
      memory?.stop();
    }
  } finally {
    steadyLoad.kill();
    crowdLoad.kill();
  }
}

function figuresOf(load: S3Load, course: Course, cost: Cost | undefined): Figure[] {
  const { steady, crowd, crowdFromMs, crowdToMs, memory } = course;
  const { windows } = steady;
  const settle = (crowdToMs - crowdFromMs) * SETTLE_SHARE;
  const peak = rateBetween(windows, WINDOW_MS, { fromMs: settle, toMs: crowdFromMs });
  const during = rateBetween(windows, WINDOW_MS, { fromMs: crowdFromMs + settle, toMs: crowdToMs });
  const [from, to] = [Math.ceil(crowdFromMs / WINDOW_MS), Math.floor(crowdToMs / WINDOW_MS)];
  const before = histogramOf(windows, 0, from).percentile(0.5);
  const latency = Histogram.of(crowd.latency, histogramOf(windows, from, to).data());
  const growth = (latency.percentile(0.5) / before).toFixed(1);
  const clients = `${load.clients * FACTOR} clients in place of ${load.clients}`;
  const name = `S3 overload, ${load.op} ${formatSize(load.bodyBytes)}, ${clients}`;
  const refused = crowd.errors === 0 ? '' : `; ${crowd.errors} refused, the first: ${crowd.firstError.split('\r')[0]}`;
  const points = windows.map(({ count }, index) => [(index * WINDOW_MS) / 1000, (count * 1000) / WINDOW_MS] as const);
  const line = {
    title: name,
    name: 'answers to the first clients',
    unit: 'a second',
    over: 'seconds',
    points,
  } as const;
  const throughput: Figure = {
    name,
    unit: 'requests/s',
    value: during + crowd.requests / crowd.seconds,
    limits: [{ name: 'the same without overload', value: peak }],
    latency: latencyOf(latency),
    ...(cost !== undefined && { cost }),
    generatorCores: steady.cpuSeconds / steady.seconds + crowd.cpuSeconds / crowd.seconds,
    note: `p50 ${growth} times that without overload (${formatUs(before)})${refused}`,
    series: [line],
  };
  return [throughput, recoveryFigure(name, course, peak), ...(memory === null ? [] : [memoryFigure(name, memory)])];
}

function recoveryFigure(name: string, { steady, crowdToMs }: Course, peak: number): Figure {
  const wanted = peak * RECOVERED_SHARE;
  const recovered = recoveryMs(steady.windows, WINDOW_MS, crowdToMs, wanted);
  const isBack = Number.isFinite(recovered);
  return {
    name: `${name}: back at ${RECOVERED_SHARE} of the throughput after`,
    unit: 'ms',
    value: isBack ? recovered : steady.seconds * 1000 - crowdToMs,
    limits: [],
    lessIsBetter: true,
    note: isBack ? '' : 'it was not back when the load ended',
  };
}

function memoryFigure(name: string, { summary: { first, most, last }, points }: MemoryWatch): Figure {
  const line = { name: 'RssAnon + RssShmem', unit: 'bytes', over: 'seconds', points } as const;
  return {
    name: `${name}: memory at most`,
    unit: 'bytes',
    value: most,
    limits: [],
    lessIsBetter: true,
    note: `${formatSize(first)} before, ${formatSize(last)} at the end`,
    series: [{ title: `${name}: memory`, ...line }],
  };
}
