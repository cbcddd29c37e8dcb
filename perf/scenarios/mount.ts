// Operations on a mount with nothing cached, by one and several processes, beside the same mount over memory and, where
// they have to be on disk, beside synced writes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { unmountDirectory } from '../../client/fuse/index.js';
import { type Cost, type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf, type Observatory, type Subject } from '../instrument/observed.js';
import { SyncLimits } from '../limits.js';
import { BLOCK_BYTES, type MountOp, type MountResult, type MountTask, PIECE_BYTES } from '../load/mount-task.js';
import { startLoad } from '../load-process.js';
import { HOST, type NodeTarget, nodePid, runOfs, startMount } from '../servers.js';

export interface MountLoad {
  readonly op: MountOp;
  readonly processes: number;
  /** Files of each process; of a large one, pieces of 1 MiB. */
  readonly files: number;
  readonly fileBytes: number;
}

export interface MountTimes {
  readonly seconds: number;
  /** Of the same load unmeasured before: engines compile what runs often. */
  readonly warmSeconds: number;
}

const LOAD = new URL('../load/mount-load.js', import.meta.url);
const NULL_MOUNT = fileURLToPath(new URL('../load/null-mount.js', import.meta.url));
const LIMIT_SHARE = 0.4;
const DURABLE: readonly MountOp[] = [
  'create',
  'open-write-close',
  'write-fsync',
  'rename',
  'unlink',
  'sequential write',
  'random write, direct',
  'random write, buffered',
];
/** Operations that together run most of a mount's code, at the same time, for as many warm-ups of one load. */
const WARMING: readonly MountOp[] = ['create', 'open-write-close', 'stat', 'open-read-close', 'rename', 'unlink'];
const WARM_SHARES = 8;
let volumes = 0;

export async function measureMount(
  node: { readonly target: NodeTarget; readonly observatory: Observatory },
  loads: readonly MountLoad[],
  times: MountTimes,
): Promise<Figure[]> {
  const short = { seconds: times.seconds * LIMIT_SHARE, warmSeconds: times.warmSeconds * LIMIT_SHARE };
  const limits = await onNullMount(async (directory) => {
    await warmMount(directory, loads, short);
    return inTurn(loads, (load) => runMountLoad(directory, load, short));
  });
  const syncs = new SyncLimits(node.target.data, short.seconds);
  return onMount(node, async (directory, subjects) => {
    await warmMount(directory, loads, times);
    return inTurn(loads, async (load, index) => {
      let cost: Cost | undefined;
      const result = await runMountLoad(directory, load, times, async (body) => {
        const measured = await costOf(subjects, body, ({ operations }) => operations);
        cost = measured.cost;
        return measured.result;
      });
      const memory: Limit = { name: 'the same mount over memory', value: limits[index]!.rate }; // of the same loads
      return {
        name: `mount ${load.op}, ${load.processes} ${load.processes === 1 ? 'process' : 'processes'}`,
        unit: unitOf(load.op),
        value: result.rate,
        limits: [memory, ...diskLimits(syncs, load)],
        latency: latencyOf(result.latency),
        ...(cost !== undefined && { cost }),
        generatorCores: result.cores,
      };
    });
  });
}

/** The engine compiles what runs often: a mount that has just begun takes three times as long for all it does. */
async function warmMount(directory: string, loads: readonly MountLoad[], { warmSeconds }: MountTimes): Promise<void> {
  const ops = [...new Set(loads.map(({ op }) => op))].filter((op) => WARMING.includes(op));
  const times = { seconds: 0, warmSeconds: warmSeconds * WARM_SHARES };
  const load = { processes: 1, files: 1, fileBytes: BLOCK_BYTES };
  await Promise.all(ops.map((op) => runMountLoad(directory, { op, ...load }, times)));
}

async function inTurn<T, R>(items: readonly T[], body: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) results.push(await body(item, index));
  return results;
}

function unitOf(op: MountOp): string {
  if (op === 'readdir') return 'entries/s';
  return op.startsWith('sequential') ? 'bytes/s' : 'operations/s';
}

function diskLimits(syncs: SyncLimits, { op, fileBytes }: MountLoad): Limit[] {
  if (!DURABLE.includes(op)) return [];
  if (op !== 'sequential write') return [syncs.of(op.startsWith('random') ? BLOCK_BYTES : fileBytes)];
  const { name, value } = syncs.of(PIECE_BYTES);
  return [{ name, value: value * PIECE_BYTES }];
}

async function onNullMount<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-null-'));
  const child = spawn(process.execPath, [NULL_MOUNT, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  try {
    await Promise.race([once(child.stdout, 'data'), gone.then(() => Promise.reject(new Error('no null mount')))]);
    return await body(directory);
  } finally {
    if (child.exitCode === null) await unmountDirectory(directory);
    await gone;
    fs.rmdirSync(directory);
  }
}

/** A volume of its own on a mount of its own; the subjects are the node and the process that mounts. */
export async function onMount<T>(
  { target, observatory }: { readonly target: NodeTarget; readonly observatory: Observatory },
  body: (directory: string, subjects: readonly Subject[]) => Promise<T>,
): Promise<T> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-mount-'));
  const volume = `perf-mount-${++volumes}`;
  const { code, stderr } = await runOfs(['volume', 'create', volume, '--server', `${HOST}:${target.listen}`]);
  if (code !== 0) throw new Error(`the volume ${volume} was not made: ${stderr}`);
  try {
    const mount = await startMount(target, volume, directory, observatory.env);
    const subjects = [
      { pid: nodePid(target), observatory, prefix: 'node ' },
      { pid: mount.pid, observatory, prefix: 'mount ' },
    ];
    try {
      return await body(directory, subjects);
    } finally {
      await mount.stop();
    }
  } finally {
    fs.rmdirSync(directory);
  }
}

export interface Totals {
  readonly operations: number;
  readonly rate: number;
  readonly latency: Histogram;
  readonly cores: number;
}

/** All processes are prepared before the first begins; `around` runs from there to the end. */
export async function runMountLoad(
  directory: string,
  { op, processes, files, fileBytes }: MountLoad,
  times: MountTimes,
  around: (body: () => Promise<Totals>) => Promise<Totals> = (body) => body(),
): Promise<Totals> {
  const home = fs.mkdtempSync(path.join(directory, 'run-'));
  const runs = Array.from({ length: processes }, (_, client) => {
    const task: MountTask = { directory: home, op, client, files, fileBytes, ...times };
    return startLoad<MountResult>(LOAD, task);
  });
  try {
    await Promise.all(runs.map((one) => one.ready));
    return await around(async () => totalsOf(await Promise.all(runs.map((one) => one.go()))));
  } finally {
    for (const run of runs) run.kill();
  }
}

function totalsOf(results: readonly MountResult[]): Totals {
  return {
    operations: sum(results.map((result) => result.operations)),
    rate: sum(results.map((result) => result.units / result.seconds)),
    latency: Histogram.of(...results.map((result) => result.latency)),
    cores: sum(results.map((result) => result.cpuSeconds / result.seconds)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
