// `npm run flame -- <scenario>`: loads a node, profiles every thread of it meanwhile, and writes one page with the threads
// as the first row and their stacks below. Idle time is shown as such: it is what a thread waits for rings, disk and
// sockets. Threads that are not JavaScript's (libuv's pool, V8's helpers) have no stack, only their processor time.

import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { Observatory, type Subject } from './instrument/observed.js';
import { isOnLargeFile, MOUNT_OPS, type MountOp, plainName } from './load/mount-task.js';
import { S3_OPS } from './load/s3-task.js';
import { UsageError } from './options.js';
import { type FlameNode, flamePage } from './report/flame-page.js';
import { formatHotThreads, hotThreads } from './report/hot-places.js';
import { addProfile, type CpuProfile, flameNode } from './report/profile.js';
import { onMount, runMountLoad } from './scenarios/mount.js';
import { measureS3 } from './scenarios/s3.js';
import { type MultipartLoad, nodeTarget, type S3Load } from './scenarios/s3-target.js';
import { type NodeTarget, nodePid, startNode } from './servers.js';
import { multipart } from './suites.js';
import { parseSize } from './units.js';

const S3_SCENARIOS = [...S3_OPS, 'multipart'] as const;
type S3Scenario = (typeof S3_SCENARIOS)[number];
const USAGE = `npm run flame -- SCENARIO [options]

SCENARIO is one of ${S3_SCENARIOS.map((op) => `s3-${op}`).join(', ')}, ${MOUNT_OPS.map((op) => `mount-${plainName(op)}`).join(', ')}.

  --out FILE      where the page is written (flame.html)
  --seconds N     how long (5)
  --size SIZE     of an S3 body (4KiB)
  --clients N     S3 connections (64)
  --processes N   that load a mount (1)
`;
const FILES = 500;
const DELETES = 20;
const PIECES = 128;
const UPLOADS = 4;
const PARTS = 8;
const WARM_SECONDS = 1;
const MOUNT_FILE_BYTES = 4096;

interface FlameOptions {
  readonly scenario: string;
  readonly seconds: number;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly processes: number;
  /** Objects, or files of each process; fewer where they are large, more where each can be deleted once. */
  readonly files: number;
}

interface ThreadAnswer {
  readonly name: string;
  readonly profile: CpuProfile | null;
}

/** Profiles the subjects while `body` runs; the root's children are their threads. */
export async function profiled(subjects: readonly Subject[], body: () => Promise<unknown>): Promise<FlameNode> {
  const root = flameNode('all');
  const cpu = subjects.map(({ observatory, pid }) => observatory.cpuUs(pid));
  for (const { observatory, pid } of subjects) await observatory.command(pid, 'profile');
  await body();
  for (const [index, { observatory, pid, prefix }] of subjects.entries()) {
    const now = observatory.cpuUs(pid);
    const answers = await observatory.command<ThreadAnswer>(pid, 'end');
    for (const { name, profile } of answers) {
      if (profile !== null) addProfile(root, `${prefix}${name}`, profile);
    }
    for (const [name, us] of now) {
      if (answers.some((answer) => answer.name === name)) continue;
      const spent = us - (cpu[index]!.get(name) ?? 0); // one for each subject
      const node = flameNode(`${prefix}${name} (processor time, no stacks)`);
      node.us = spent;
      root.children.set(node.name, node);
    }
  }
  root.us = [...root.children.values()].reduce((sum, child) => sum + child.us, 0);
  return root;
}

export async function flame(options: FlameOptions): Promise<FlameNode> {
  const mountOp = MOUNT_OPS.find((op) => options.scenario === `mount-${plainName(op)}`);
  const op = S3_SCENARIOS.find((name) => options.scenario === `s3-${name}`);
  const observatory = new Observatory();
  try {
    if (mountOp === undefined && op === undefined) {
      throw new UsageError(`no scenario is called "${options.scenario}"\n\n${USAGE}`);
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
  { bodyBytes, clients, seconds, files }: FlameOptions,
): Promise<FlameNode> {
  const load: S3Load | MultipartLoad =
    op === 'multipart'
      ? multipart(UPLOADS, PARTS)
      : { op, bodyBytes, clients, keys: keysFor(op, bodyBytes, files), rate: 0 };
  const subject = { pid: nodePid(target), observatory, prefix: '' };
  let root: FlameNode | undefined;
  await measureS3(nodeTarget(target, observatory), [load], { seconds, warmSeconds: WARM_SECONDS }, async (body) => {
    let result: Awaited<ReturnType<typeof body>> | undefined;
    root = await profiled([subject], async () => {
      result = await body();
    });
    return result!; // `profiled` has run it
  });
  return root!; // one load was measured
}

function keysFor(op: S3Load['op'], bodyBytes: number, files: number): number {
  const all = op === 'delete' ? files * DELETES : files;
  return Math.max(1, Math.min(all, Math.floor(2 ** 28 / Math.max(1, bodyBytes))));
}

function flameMount(
  node: Parameters<typeof onMount>[0],
  op: MountOp,
  { processes, seconds, files }: FlameOptions,
): Promise<FlameNode> {
  return onMount(node, async (directory, subjects) => {
    const pieces = Math.min(files, PIECES);
    let root: FlameNode | undefined;
    await runMountLoad(
      directory,
      { op, processes, files: isOnLargeFile(op) ? pieces : files, fileBytes: MOUNT_FILE_BYTES },
      { seconds, warmSeconds: WARM_SECONDS },
      async (body) => {
        let totals: Awaited<ReturnType<typeof body>> | undefined;
        root = await profiled(subjects, async () => {
          totals = await body();
        });
        return totals!; // `profiled` has run it
      },
    );
    return root!; // one load was run
  });
}

export async function flameMain(args: readonly string[]): Promise<void> {
  const string = { type: 'string' } as const;
  const options = { out: string, seconds: string, size: string, clients: string, processes: string };
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  const [scenario] = positionals;
  if (scenario === undefined || positionals.length > 1) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const out = values.out ?? 'flame.html';
  const root = await flame({
    scenario,
    seconds: Number(values.seconds ?? 5),
    bodyBytes: parseSize(values.size ?? '4KiB'),
    clients: Number(values.clients ?? 64),
    processes: Number(values.processes ?? 1),
    files: FILES,
  });
  fs.writeFileSync(out, flamePage(root, scenario));
  process.stdout.write(`${formatHotThreads(hotThreads(root))}\n\n${out}\n`);
}
