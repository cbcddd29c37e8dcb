// Starts the threads of a storage node, in the order in which they need each other: block threads, meta threads, then
// gateways. No request passes through the main thread. When a thread dies the process says why and exits: recovery is
// a start like any other.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { limits } from '../../proto/limits.js';
import { startThreads, type Topology } from '../../workers/index.js';
import { createArena } from '../block/index.js';
import { leasePath } from '../meta/index.js';
import { BELIEVED_US, createLeases, LeaseFile } from '../raft/index.js';
import { lockDirectory, lockPort } from './locks.js';
import type { BlockThreadData, MetaThreadData } from './thread-data.js';

export interface NodeConfig {
  readonly data: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly s3: { readonly host: string; readonly port: number } | null;
  readonly metaThreads: number;
  readonly blockThreads: number;
  readonly gatewayThreads: number;
  /** Module that a gateway thread runs, and what it is told beside its own place. */
  readonly gateway: { readonly module: URL; readonly data: Record<string, unknown> };
  readonly warn: (message: string) => void;
  /** Called once when a thread has died: the process has to end. */
  readonly died: (thread: string, error: Error) => void;
}

export interface RunningNode {
  /** Ends in order: gateways finish what they have begun, then metadata, then blocks; all is synced. */
  stop(): Promise<void>;
}

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** Rejects with StartError when directory or ports cannot be had, or with the error of the thread that cannot start. */
export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const data = path.resolve(config.data);
  lockDirectory(data);
  const metaPorts = ports(config.listen.port, config.metaThreads);
  const blockPorts = ports(config.listen.port + config.metaThreads, config.blockThreads);
  for (const port of [...metaPorts, ...blockPorts]) await lockPort(config.listen.host, port, '--listen');
  if (config.s3 !== null) await lockPort(config.s3.host, config.s3.port, '--s3');
  const leases = await publishLeases(data, config.warn);
  const threads = await startThreads(topology(config, data, leases?.instance ?? 0, metaPorts, blockPorts));
  threads.onDeath(config.died);
  return {
    stop: async () => {
      await threads.stop();
      leases?.close();
    },
  };
}

/** Undefined: mounts on this machine ask for everything. */
async function publishLeases(data: string, warn: (message: string) => void): Promise<LeaseFile | undefined> {
  const file = leasePath(data);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  try {
    return LeaseFile.create(file);
  } catch (error) {
    warn(
      `${file} cannot be written, so mounts on this machine ask for all that they read: ${(error as Error).message}`,
    );
    // What a node before this one has left there may still be believed.
    await new Promise((resolve) => setTimeout(resolve, BELIEVED_US / 1000));
    return undefined;
  }
}

function ports(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** No two directories of a running machine have the same, in whatever container they are seen. */
function nodeId(data: string, bootId: string): string {
  const { dev, ino } = fs.statSync(data, { bigint: true });
  return createHash('sha256').update(`${bootId} ${dev} ${ino}`).digest('hex').slice(0, 32);
}

function topology(
  config: NodeConfig,
  data: string,
  leases: number,
  metaPorts: number[],
  blockPorts: number[],
): Topology {
  const { host } = config.listen;
  const bootId = process.env.OFS_BOOT_ID ?? fs.readFileSync(BOOT_ID_FILE, 'utf8').trim();
  const node = nodeId(data, bootId);
  const blocks = blockPorts.map((port, thread) => ({
    name: `block/${thread}`,
    module: new URL('./block-thread.js', import.meta.url),
    data: { node, directory: data, thread, threads: blockPorts.length, host, port } satisfies BlockThreadData,
  }));
  const metas = metaPorts.map((port, thread) => ({
    name: `meta/${thread}`,
    module: new URL('./meta-thread.js', import.meta.url),
    data: {
      node,
      directory: data,
      thread,
      threads: metaPorts.length,
      host,
      port,
      bootId,
      leases,
      metaPorts,
      blockPorts,
    } satisfies MetaThreadData,
  }));
  const gateways = Array.from({ length: config.s3 === null ? 0 : config.gatewayThreads }, (_, thread) => ({
    name: `s3/${thread}`,
    module: config.gateway.module,
    data: { ...config.gateway.data, directory: data, threads: config.gatewayThreads, ...config.s3 },
  }));
  const links: [string, string][] = [];
  for (const meta of metas) for (const block of blocks) links.push([meta.name, block.name]);
  for (const gateway of gateways) {
    for (const server of [...blocks, ...metas]) links.push([gateway.name, server.name]);
  }
  return {
    threads: [...blocks, ...metas, ...gateways],
    links,
    shared: { leases: createLeases(), arena: createArena() },
    slabBytes: Object.fromEntries(gateways.map(({ name }) => [name, limits.slabBytes])),
  };
}
