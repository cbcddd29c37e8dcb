// How a program outside the node's process reaches a node: asks one meta port where everything is, then keeps a channel
// to each meta and block thread.

import net from 'node:net';
import { type LocalMeta, openOutsideMeta } from '../../node/meta/index.js';
import { limits } from '../../proto/limits.js';
import { serverName } from '../../proto/local-socket.js';
import type { MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import { machineBootId } from '../blocks/index.js';
import { MetaClient, newSession, TcpChannel } from '../channel/index.js';

export type ClusterInfo = AnswerOf<MetaOperations['clusterInfo']>;

export interface Server {
  readonly host: string;
  readonly port: number;
}

export interface RemoteNode {
  readonly meta: MetaClient;
  /** One for each block thread; a blob's volume number modulo their count is its thread. */
  readonly blockChannels: readonly TcpChannel[];
  readonly info: ClusterInfo;
  /** Whether the node's database is read here. */
  readonly readsHere: boolean;
  close(): Promise<void>;
}

export interface ConnectOptions {
  server: Server;
  /** What the service shows of this client. */
  client: string;
  warn: (message: string) => void;
  /** Reads metadata from the node's own database where it is on this machine and may be read. */
  readsHere?: boolean;
}

/** Rejects with OfsError CLOSED, saying what to do, when no node answers there. */
export async function connectRemote(options: ConnectOptions): Promise<RemoteNode> {
  const { server } = options;
  await probe(server);
  const first = new TcpChannel({ ...server, session: 0 });
  const asking = metaClient([first], options, null);
  const info = await within(asking.call('clusterInfo', 0, {}), server);
  await asking.close();
  const isHere = info.bootId === machineBootId();
  const channel = (role: string, session: number) => (port: number, thread: number) => {
    const local = isHere ? serverName(info.node, `${role}/${thread}`) : undefined;
    return new TcpChannel({ host: server.host, port, session, local });
  };
  const metaChannels = info.metaPorts.map(channel('meta', 0));
  // A block server checks the bytes of every write that a session other than 0 sends: what came over a network.
  const session = newSession();
  const blockChannels = info.blockPorts.map(channel('block', session));
  const local = isHere && options.readsHere === true ? openLocal(info, options.warn) : null;
  const meta = metaClient(metaChannels, options, local);
  return {
    meta,
    blockChannels,
    info,
    readsHere: local !== null,
    close: async () => {
      await meta.close();
      await local?.close();
      for (const channel of blockChannels) channel.close();
    },
  };
}

/** Null: everything is asked. */
function openLocal({ directory, leases }: ClusterInfo, warn: (message: string) => void): LocalMeta | null {
  if (leases === 0) return null;
  try {
    return openOutsideMeta(directory, leases, warn);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Another container, or another user: no reason to say anything.
    if (code !== 'ENOENT' && code !== 'EACCES') warn(`the node's leases cannot be read here: ${message}`);
    return null;
  }
}

function metaClient(
  channels: readonly TcpChannel[],
  { client, warn }: ConnectOptions,
  local: LocalMeta | null,
): MetaClient {
  const onSession = (session: number): void => {
    for (const channel of channels) channel.rebind(session);
  };
  return new MetaClient({ channels, local, client, onSession, warn });
}

/** One plain connection, so that a wrong address is said at once and not after the retries of a channel. */
async function probe(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = net.connect({ ...server, timeout: limits.connectTimeoutMs });
    const refuse = (why: string): void => {
      socket.destroy();
      reject(unreachable(server, why));
    };
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => refuse('no answer'));
    socket.on('error', (error) => refuse(error.message));
  });
}

async function within<T>(answer: Promise<T>, server: Server): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const why = 'something listens there that does not speak the OrangeFS protocol, or it is still starting';
    timer = setTimeout(() => reject(unreachable(server, why)), limits.connectTimeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function unreachable({ host, port }: Server, why: string): OfsError {
  const advice = 'Start a node with `npm start`, or give its --listen address with --server HOST:PORT';
  return new OfsError(Status.CLOSED, `no node answers at ${host}:${port}: ${why}. ${advice}`);
}
