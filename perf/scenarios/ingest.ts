// A tree of many small objects through S3 while a mount reads it: how rates and latencies move as it grows, what a file
// takes on disk and in memory, and how long the node takes to be back after a clean stop and after SIGKILL.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Figure, type Limit, latencyOf, type Series } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf, diskWrittenBytes, Observatory } from '../instrument/observed.js';
import { dataSizes, needleIndexBytes } from '../instrument/sizes.js';
import { syncedWrites } from '../limits.js';
import type { TreeResult, TreeTask } from '../load/tree-load.js';
import { startLoad } from '../load-process.js';
import { freePorts, type NodeTarget, nodePid, startEmptyServer, startMount, startNode } from '../servers.js';
import { formatNumber, formatSize } from '../units.js';
import { type Probe, probe, probeFigures } from './ingest-probes.js';
import {
  checked,
  emptyRate,
  makeBucket,
  nodeTarget,
  type S3Target,
  startS3,
  storeKeys,
  subjectsOf,
} from './s3-target.js';

export interface IngestOptions {
  readonly objects: number;
  readonly objectBytes: number;
  readonly generators: number;
  /** Of each look at what the tree's size does to others. */
  readonly probeSeconds: number;
  say(message: string): void;
}

interface Step {
  /** Files when it began and when it ended. */
  readonly from: number;
  readonly files: number;
  readonly put: Awaited<ReturnType<typeof ingestStep>>;
  readonly probes: readonly Probe[];
  /** What the disk wrote from the first step on, its work in the background included. */
  readonly writtenBytes: number;
}

interface Place {
  readonly node: NodeTarget;
  readonly target: S3Target;
  /** Where the bucket is mounted. */
  readonly directory: string;
}

const TREE_LOAD = new URL('../load/tree-load.js', import.meta.url);
const STEPS = 20;
const STEP_MIN_OBJECTS = 500;
/** Of one generator, which signs all requests before it begins. */
const STEP_OBJECTS = 50_000;
const CLIENTS = 64;
const FIRST_SHARE = 100;
/** Written just before the node is killed. */
const LATE_OBJECTS = 1000;
const READY_MS = 300_000;

export async function measureIngest(options: IngestOptions): Promise<Figure[]> {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-ingest-'));
  const observatory = new Observatory();
  const firstPort = await freePorts(3);
  const start = (): Promise<NodeTarget> => startNode({ data, firstPort, env: observatory.env, readyMs: READY_MS });
  let node = await start();
  try {
    const grown = await grow(node, observatory, options);
    const figures = [...grown, ...sizeFigures(node, options.objects)];
    await node.stop();
    const clean = await timed(start);
    node = clean.result;
    await storeKeys(nodeTarget(node, observatory, options.generators), {
      bodyBytes: options.objectBytes,
      keys: LATE_OBJECTS,
    });
    process.kill(nodePid(node), 'SIGKILL');
    await node.kill();
    const killed = await timed(start);
    node = killed.result;
    return [...figures, startFigure('a clean stop', clean.ms, options), startFigure('SIGKILL', killed.ms, options)];
  } finally {
    await node.stop();
    observatory.close();
    fs.rmSync(data, { recursive: true, force: true });
  }
}

async function timed<T>(body: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const begun = performance.now();
  const result = await body();
  return { result, ms: performance.now() - begun };
}

async function grow(node: NodeTarget, observatory: Observatory, options: IngestOptions): Promise<Figure[]> {
  const { objects, objectBytes } = options;
  const target = nodeTarget(node, observatory, options.generators);
  await makeBucket(target);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-tree-'));
  try {
    const mount = await startMount(node, target.bucket, directory, observatory.env);
    try {
      const place = { node, target, directory };
      let files = Math.min(1000, Math.ceil(objects / FIRST_SHARE));
      await storeKeys(target, { bodyBytes: objectBytes, keys: files, layout: 'tree' });
      const wanted = Math.max(STEP_MIN_OBJECTS, Math.ceil((objects - files) / STEPS));
      const count = Math.min(STEP_OBJECTS, wanted);
      const limits = await limitsOf(target, options);
      const steps: Step[] = [];
      const writtenBefore = diskWrittenBytes();
      while (files < objects) {
        const from = files;
        files += Math.min(count, objects - files);
        const put = await ingestStep(place, { from, to: files, objectBytes });
        const probes = await probe(place, { files, objectBytes, seconds: options.probeSeconds });
        steps.push({ from, files, put, probes, writtenBytes: diskWrittenBytes() - writtenBefore });
        const rate = formatNumber(put.result.s3.requests / put.result.s3.seconds);
        options.say(`ingest: ${formatNumber(files)} of ${formatNumber(objects)} files, ${rate} a second`);
      }
      return [...ingestFigures(steps, limits, options), ...probeFigures(steps)];
    } finally {
      await mount.stop();
    }
  } finally {
    fs.rmdirSync(directory);
  }
}

/** A server that does nothing with what it is sent, and the disk with synced writes of the same size. */
async function limitsOf(target: S3Target, { objectBytes, probeSeconds }: IngestOptions): Promise<Limit[]> {
  const empty = await startEmptyServer();
  try {
    const load = { op: 'put', bodyBytes: objectBytes, clients: CLIENTS, keys: CLIENTS } as const;
    const value = await emptyRate(target, empty, load, probeSeconds);
    const disk = syncedWrites(os.tmpdir(), objectBytes, probeSeconds);
    return [
      { name: 'empty uWebSockets.js', value },
      { name: 'write + fdatasync, one by one', value: disk },
    ];
  } finally {
    await empty.stop();
  }
}

/** New objects through S3, files that were there before through the mount, at the same time. */
async function ingestStep(
  { target, directory }: Place,
  { from, to, objectBytes }: { readonly from: number; readonly to: number; readonly objectBytes: number },
) {
  const load = { op: 'put', bodyBytes: objectBytes, clients: CLIENTS, rate: 0, layout: 'tree' } as const;
  const keys = { firstKey: from, keys: to - from };
  const s3Load = startS3(target, { ...load, ...keys }, { seconds: Number.MAX_SAFE_INTEGER / 1e9, once: true });
  const task: TreeTask = { directory, op: 'read', files: from, fileBytes: objectBytes, seconds: 0 };
  const reader = startLoad<TreeResult>(TREE_LOAD, task);
  try {
    await Promise.all([s3Load.ready, reader.ready]);
    return await costOf(
      subjectsOf(target),
      async () => {
        const read = reader.go();
        const s3 = checked('put', target, await s3Load.go());
        reader.finish();
        return { s3, read: await read };
      },
      ({ s3 }) => s3.requests,
    );
  } finally {
    s3Load.kill();
    reader.kill();
  }
}

function ingestFigures(
  steps: readonly Step[],
  limits: readonly Limit[],
  { objects, objectBytes }: IngestOptions,
): Figure[] {
  const name = `ingest of ${formatNumber(objects)} objects of ${formatSize(objectBytes)}`;
  const last = steps.at(-1)!; // there is one, or nothing was to be stored
  const s3 = steps.map(({ put }) => put.result.s3);
  const reads = steps.map(({ put }) => put.result.read);
  const seconds = sum(s3.map((result) => result.seconds));
  const stored = sum(s3.map(({ requests }) => requests));
  const generatorSeconds = sum([...s3, ...reads].map(({ cpuSeconds }) => cpuSeconds));
  return [
    {
      name,
      unit: 'objects/s',
      value: stored / seconds,
      limits,
      latency: latencyOf(Histogram.of(...s3.map(({ latency }) => latency))),
      cost: last.put.cost,
      generatorCores: generatorSeconds / seconds,
      note: 'cost is that of the last step, reads of the mount included',
      series: growth(`${name}, through S3`, steps, ({ put }) => [put.result.s3.requests, put.result.s3]),
    },
    {
      name: `${name}: reads of the mount beside`,
      unit: 'files/s',
      value: sum(reads.map(({ operations }) => operations)) / sum(reads.map((result) => result.seconds)),
      limits: [],
      latency: latencyOf(Histogram.of(...reads.map(({ latency }) => latency))),
      series: growth(`${name}, read on the mount`, steps, ({ put }) => [put.result.read.operations, put.result.read]),
    },
    {
      name: `${name}: bytes to disk`,
      unit: 'bytes/object',
      value: last.writtenBytes / stored,
      limits: [{ name: 'bytes of an object', value: objectBytes }],
      lessIsBetter: true,
    },
  ];
}

type Measured = Pick<TreeResult, 'seconds' | 'latency'>;

function growth(title: string, steps: readonly Step[], read: (step: Step) => [number, Measured]): Series[] {
  const over = 'files';
  const latency = (share: number): [number, number][] => {
    return steps.map((step) => [step.files, Histogram.of(read(step)[1].latency).percentile(share)]);
  };
  const rates = steps.map((step): [number, number] => {
    const [count, { seconds }] = read(step);
    return [step.files, count / seconds];
  });
  return [
    { title: `${title}: throughput`, name: 'files', unit: 'a second', over, points: rates },
    { title: `${title}: latency`, name: 'p50', unit: 'us', over, points: latency(0.5) },
    { title: `${title}: latency`, name: 'p99', unit: 'us', over, points: latency(0.99) },
  ];
}

function sizeFigures(node: NodeTarget, objects: number): Figure[] {
  const sizes = dataSizes(node.data);
  const index = needleIndexBytes(nodePid(node));
  const less = { limits: [], lessIsBetter: true } as const;
  const at = `at ${formatNumber(objects)} files`;
  return [
    {
      name: `database ${at}`,
      unit: 'bytes/file',
      value: sizes.databaseBytes / objects,
      note: `checkpoint ${formatSize(sizes.checkpointBytes)}, log ${formatSize(sizes.logBytes)} beside it`,
      ...less,
    },
    { name: `needle index in memory ${at}`, unit: 'bytes/needle', value: index / objects, ...less },
    { name: `volume files ${at}`, unit: 'bytes/file', value: sizes.blockBytes / objects, ...less },
  ];
}

function startFigure(after: string, ms: number, { objects }: IngestOptions): Figure {
  return {
    name: `start after ${after}, ${formatNumber(objects)} files`,
    unit: 'ms',
    value: ms,
    limits: [],
    lessIsBetter: true,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
