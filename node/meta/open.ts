// The metadata service and the local reader of a real node: the rules of node/meta/operations over the log of
// node/raft.

import { LeaseReader, openRaftHost } from '../raft/index.js';
import { type LocalMeta, LocalReader } from './local.js';
import type { MetaLogic } from './operation-table.js';
import * as operations from './operations/index.js';
import { MetaService, type MetaServiceOptions } from './service.js';

export const logic: MetaLogic = operations;

export type OpenMetaOptions = Omit<MetaServiceOptions, 'logic' | 'openRaft' | 'holdsLease'> & {
  /** Memory of `createLeases`, shared by the threads of the process. */
  readonly leases: SharedArrayBuffer;
};

export interface OpenedMeta {
  readonly service: MetaService['service'];
  /** Resolves when every group of the thread leads. */
  readonly ready: Promise<void>;
  /** Takes a checkpoint of a group now. */
  checkpoint(group: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens the groups' log and begins to open the groups; `ready` says when they lead. */
export async function openMetaService(options: OpenMetaOptions): Promise<OpenedMeta> {
  const { leases, warn, fatal } = options;
  const lease = new LeaseReader(leases);
  const service = new MetaService({
    ...options,
    logic,
    holdsLease: (group) => lease.inForce(group),
    openRaft: (directory) => openRaftHost({ directory, leases, warn, fatal }),
  });
  const ready = service.start();
  return {
    service: service.service,
    ready,
    checkpoint: (group) => service.checkpoint(group),
    close: () => service.close(),
  };
}

/** For any thread of the node's process. */
export function openLocalMeta(options: { dataDirectory: string; leases: SharedArrayBuffer }): LocalMeta {
  const lease = new LeaseReader(options.leases);
  return new LocalReader(options.dataDirectory, operations.readHandlers, (group) => lease.mayRead(group));
}
