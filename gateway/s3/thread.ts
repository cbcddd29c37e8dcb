// A gateway thread of a node: S3 over the node's own metadata and blocks.

import fs from 'node:fs';
import { pino } from 'pino';
import { connectColocated } from '../../client/connect/colocated.js';
import { createPathFs, type PathFs } from '../../client/pathfs/index.js';
import { limits } from '../../proto/limits.js';
import { joinHost } from '../../workers/index.js';
import { startGateway, type Volume } from './index.js';

/** What the main thread tells a gateway thread (client/cli/serve.ts, node/process/start.ts). */
interface GatewayThreadData {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  /** How many gateway threads share the port. */
  readonly threads: number;
  readonly region: string;
  readonly domains: readonly string[];
}

/** Of a process, where the system does not say. */
const DEFAULT_OPEN_FILES = 1024;

const host = joinHost<GatewayThreadData>();
const log = pino(
  { base: { thread: host.name }, level: process.env.OFS_LOG ?? 'info' },
  pino.destination({ fd: 2, sync: true }),
);
const { meta, blocks, close } = connectColocated(host, (message) => log.warn(message));
const volumes = new Map<number, PathFs>();

const gateway = await startGateway({
  host: host.data.host,
  port: host.data.port,
  region: host.data.region,
  domains: [...host.data.domains],
  metaChannel: meta,
  pathfs,
  log,
  connectionsMax: connectionsMax(),
});
host.onStop(async () => {
  await gateway.close();
  await close();
});
host.ready();

/** This thread's share of the descriptors that the process may have, less those that files and other ports need. */
function connectionsMax(): number {
  const allowed = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'));
  const share = (Number(allowed?.[1] ?? DEFAULT_OPEN_FILES) - limits.reservedDescriptors) / host.data.threads;
  return Math.max(1, Math.min(limits.s3Connections, Math.floor(share)));
}

/** The file system of a volume; groups are never used again, so one that was made stays right. */
function pathfs({ group }: Volume): PathFs {
  let volume = volumes.get(group);
  if (volume === undefined) {
    volume = createPathFs({ meta, blocks, group });
    volumes.set(group, volume);
  }
  return volume;
}
