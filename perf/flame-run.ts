// A profiled run: loads a node, profiles every thread of it (and of a mount) meanwhile, and watches from outside where
// threads wait. Threads that are not JavaScript's (libuv's pool, V8's helpers) have no stack, only their times.

import { Observatory, type Subject } from './instrument/observed.js';
import { WaitSampler } from './instrument/wait-sampler.js';
import { isOnLargeFile, MOUNT_OPS, type MountOp, plainName } from './load/mount-task.js';
import { S3_OPS } from './load/s3-task.js';
import { UsageError } from './options.js';
import type { FlameRun } from './report/flame-json.js';
import type { FlameNode } from './report/flame-page.js';
import { addHeap, addProfile, type CpuProfile, divideIdle, flameNode, type HeapNode } from './report/profile.js';
import { type LoopWaits, type ThreadTimes, threadTimes } from './report/thread-times.js';
import { onMount, runMountLoad } from './scenarios/mount.js';
import { measureS3 } from './scenarios/s3.js';
import { type MultipartLoad, nodeTarget, type S3Load } from './scenarios/s3-target.js';
import { type NodeTarget, nodePid, startNode } from './servers.js';
import { multipart } from './suites.js';

const S3_SCENARIOS = [...S3_OPS, 'multipart'] as const;
type S3Scenario = (typeof S3_SCENARIOS)[number];
export const FLAME_SCENARIOS = [
  ...S3_SCENARIOS.map((op) => `s3-${op}`),
  ...MOUNT_OPS.map((op) => `mount-${plainName(op)}`),
];
const DELETES = 20;
const PIECES = 128;
const UPLOADS = 4;
const PARTS = 8;
const WARM_SECONDS = 1;
const MOUNT_FILE_BYTES = 4096;

export interface FlameOptions {
  readonly scenario: string;
  /** What is looked at: time, or what is allocated. */
  readonly unit: 'us' | 'bytes';
  readonly seconds: number;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly processes: number;
  /** Objects, or files of each process; fewer where they are large, more where each can be deleted once. */
  readonly files: number;
}

interface HeapAnswer {
  readonly name: string;
  readonly heap: HeapNode | null;
}

interface ThreadAnswer {
  readonly name: string;
  readonly profile: CpuProfile | null;
  readonly waits: LoopWaits | null;
}

interface Profiled<T> {
  readonly result: T;
  /** Its children are the threads. */
  readonly root: FlameNode;
  readonly threads: ThreadTimes[];
}

type Profiler = <T>(subjects: readonly Subject[], body: () => Promise<T>) => Promise<Profiled<T>>;

/** What the subjects allocate while `body` runs, collected since or not. */
async function sampled<T>(subjects: readonly Subject[], body: () => Promise<T>): Promise<Profiled<T>> {
  const root = flameNode('all');
  for (const { observatory, pid } of subjects) await observatory.command(pid, 'sample');
  const result = await body();
  for (const { observatory, pid, prefix } of subjects) {
    for (const { name, heap } of await observatory.command<HeapAnswer>(pid, 'end')) {
      if (heap !== null) addHeap(root, `${prefix}${name}`, heap);
    }
  }
  root.weight = sumOf(root);
  return { result, root, threads: [] };
}

function sumOf({ children }: FlameNode): number {
  return [...children.values()].reduce((sum, child) => sum + child.weight, 0);
}

/** Profiles the subjects while `body` runs. */
async function profiled<T>(subjects: readonly Subject[], body: () => Promise<T>): Promise<Profiled<T>> {
  const root = flameNode('all');
  for (const { observatory, pid } of subjects) await observatory.command(pid, 'profile');
  const sampler = new WaitSampler(subjects);
  const result = await body();
  const kernel = sampler.stop();
  const loops = new Map<string, LoopWaits>();
  const withStacks = new Set<string>();
  for (const { observatory, pid, prefix } of subjects) {
    for (const { name, profile, waits } of await observatory.command<ThreadAnswer>(pid, 'end')) {
      const thread = `${prefix}${name}`;
      if (waits !== null) loops.set(thread, waits);
      if (profile === null) continue;
      withStacks.add(thread);
      addProfile(root, thread, profile);
      if (waits !== null) divideIdle(root, thread, { ...waits });
    }
  }
  for (const { thread, cpuUs } of kernel) {
    if (withStacks.has(thread)) continue;
    const node = flameNode(`${thread} (processor time, no stacks)`);
    node.weight = cpuUs;
    root.children.set(node.name, node);
  }
  root.weight = sumOf(root);
  return { result, root, threads: threadTimes(kernel, loops) };
}

function profilerOf(unit: FlameOptions['unit']): Profiler {
  return unit === 'us' ? profiled : sampled;
}

export async function flame(options: FlameOptions): Promise<FlameRun> {
  const mountOp = MOUNT_OPS.find((op) => options.scenario === `mount-${plainName(op)}`);
  const op = S3_SCENARIOS.find((name) => options.scenario === `s3-${name}`);
  const observatory = new Observatory({ waits: options.unit === 'us' });
  try {
    if (mountOp === undefined && op === undefined) {
      throw new UsageError(`no scenario is called "${options.scenario}": ${FLAME_SCENARIOS.join(', ')}`);
    }
    const target = await startNode({ env: observatory.env });
    try {
      if (mountOp !== undefined) return await flameMount({ target, observatory }, mountOp, options);
      return await flameS3({ target, observatory }, op!, options); // one of both is there
    } finally {
      await target.stop();
    }
  } finally {
    observatory.close();
  }
}

async function flameS3(
  { target, observatory }: { readonly target: NodeTarget; readonly observatory: Observatory },
  op: S3Scenario,
  { scenario, unit, bodyBytes, clients, seconds, files }: FlameOptions,
): Promise<FlameRun> {
  const load: S3Load | MultipartLoad =
    op === 'multipart'
      ? multipart(UPLOADS, PARTS)
      : { op, bodyBytes, clients, keys: keysFor(op, bodyBytes, files), rate: 0 };
  const subject = { pid: nodePid(target), observatory, prefix: '' };
  const times = { seconds, warmSeconds: WARM_SECONDS };
  let seen: Profiled<unknown> | undefined;
  const [figure] = await measureS3(nodeTarget(target, observatory), [load], times, async (body) => {
    const run = await profilerOf(unit)([subject], body);
    seen = run;
    return run.result;
  });
  const { root, threads } = seen!; // one load was measured
  return { scenario, unit, operations: figure?.operations ?? 1, root, threads };
}

function keysFor(op: S3Load['op'], bodyBytes: number, files: number): number {
  const all = op === 'delete' ? files * DELETES : files;
  return Math.max(1, Math.min(all, Math.floor(2 ** 28 / Math.max(1, bodyBytes))));
}

function flameMount(
  node: Parameters<typeof onMount>[0],
  op: MountOp,
  { scenario, unit, processes, seconds, files }: FlameOptions,
): Promise<FlameRun> {
  const load = {
    op,
    processes,
    files: isOnLargeFile(op) ? Math.min(files, PIECES) : files,
    fileBytes: MOUNT_FILE_BYTES,
  };
  return onMount(node, async (directory, subjects) => {
    let seen: Profiled<unknown> | undefined;
    const { operations } = await runMountLoad(directory, load, { seconds, warmSeconds: WARM_SECONDS }, async (body) => {
      const run = await profilerOf(unit)(subjects, body);
      seen = run;
      return run.result;
    });
    const { root, threads } = seen!; // one load was run
    return { scenario, unit, operations, root, threads };
  });
}
