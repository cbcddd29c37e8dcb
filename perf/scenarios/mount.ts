// Operations on a mount with nothing cached, by one and several processes, beside the same mount over memory and, where
// they have to be on disk, beside synced writes.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { unmountDirectory } from '../../client/fuse/index.js';
import { type Cost, type Figure, type Limit, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { costOf, type Observatory, type Subject } from '../instrument/observed.js';
import { SyncLimits } from '../limits.js';
import { type MountOp, type MountResult, type MountTask, PIECE_BYTES } from '../load/mount-task.js';
import { HOST, type NodeTarget, nodePid, runOfs, startMount } from '../servers.js';

export interface MountLoad {
  readonly op: MountOp;
  readonly processes: number;
  /** Files of each process; of sequential reads, pieces of 1 MiB. */
  readonly files: number;
  readonly fileBytes: number;
}

const LOAD = fileURLToPath(new URL('../load/mount-load.js', import.meta.url));
const NULL_MOUNT = fileURLToPath(new URL('../load/null-mount.js', import.meta.url));
const LIMIT_SHARE = 0.4;
const DURABLE: readonly MountOp[] = [
  'create',
  'open-write-close',
  'write-fsync',
  'rename',
  'unlink',
  'sequential write',
];
let volumes = 0;

export async function measureMount(
  node: { readonly target: NodeTarget; readonly observatory: Observatory },
  loads: readonly MountLoad[],
  seconds: number,
): Promise<Figure[]> {
  const limits = await onNullMount((directory) => {
    return inTurn(loads, (load) => runLoad(directory, load, seconds * LIMIT_SHARE));
  });
  const syncs = new SyncLimits(node.target.data, seconds * LIMIT_SHARE);
  return onMount(node, (directory, subjects) => {
    return inTurn(loads, async (load, index) => {
      let cost: Cost | undefined;
      const result = await runLoad(directory, load, seconds, async (body) => {
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
  if (op !== 'sequential write') return [syncs.of(fileBytes)];
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
export async function runLoad(
  directory: string,
  load: MountLoad,
  seconds: number,
  around: (body: () => Promise<Totals>) => Promise<Totals> = (body) => body(),
): Promise<Totals> {
  const { op, processes, files, fileBytes } = load;
  const home = fs.mkdtempSync(path.join(directory, 'run-'));
  const runs = Array.from({ length: processes }, (_, client) => {
    return startLoad({ directory: home, op, client, seconds, files, fileBytes });
  });
  try {
    await Promise.all(runs.map((one) => one.ready));
    return await around(async () => {
      for (const { child } of runs) child.stdin?.end('go\n');
      return totalsOf(await Promise.all(runs.map((one) => one.result())));
    });
  } finally {
    for (const { child } of runs) child.kill('SIGKILL');
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

interface Run {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  /** Once it is ready and was told to go. */
  result(): Promise<MountResult>;
}

function startLoad(task: MountTask): Run {
  const child = spawn(process.execPath, [LOAD, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout });
  const next = async (): Promise<string> => {
    const gone = new AbortController();
    child.once('close', () => gone.abort());
    try {
      const [text] = await once(lines, 'line', { signal: gone.signal });
      return text as string;
    } catch (error) {
      throw new Error(`the load "${task.op}" on ${task.directory} ended with code ${child.exitCode}`, { cause: error });
    }
  };
  return { child, ready: next(), result: async () => JSON.parse(await next()) as MountResult };
}
