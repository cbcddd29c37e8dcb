// A block thread: the volumes whose numbers fall to it, for the rings of this process and for TCP.

import { serverName } from '../../proto/local-socket.js';
import { joinHost } from '../../workers/index.js';
import { openBlockService } from '../block/index.js';
import { serveTcp } from '../rpc/index.js';
import type { BlockThreadData } from './thread-data.js';
import { endProcess, threadLog } from './thread-log.js';

const STOP_GRACE_MS = 5_000;

const host = joinHost<BlockThreadData>();
const { node, directory, thread, threads, host: address, port } = host.data;
const log = threadLog(host.name);
const warn = (message: string): void => log.warn(message);

const blocks = await openBlockService({
  directory,
  thread,
  threads,
  arena: host.shared.arena!, // given to every thread by start.ts
  warn,
  fatal: endProcess(log),
});
host.serve(blocks.service);
const tcp = await serveTcp({
  host: address,
  port,
  service: blocks.service,
  name: serverName(node, host.name),
  local: true,
  warn,
});
host.onStop(async () => {
  await tcp.close(STOP_GRACE_MS);
  await blocks.close();
});
host.ready();
