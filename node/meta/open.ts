// The metadata service and the local reader of a real node: the rules of node/meta/operations over the log of
// node/raft.

import path from 'node:path';
import { LeaseReader, openRaftHost, PublishedLeases } from '../raft/index.js';
import { type LocalMeta, LocalReader } from './local.js';
import type { MetaLogic } from './operation-table.js';
import * as operations from './operations/index.js';
import { MetaService, type MetaServiceOptions } from './service.js';

export const logic: MetaLogic = operations;

export type OpenMetaOptions = Omit<MetaServiceOptions, 'logic' | 'openRaft' | 'holdsLease'> & {
  /** Memory of `createLeases`, shared by the threads of the process. */
  readonly leases: SharedArrayBuffer;
  /** Path of the node's LeaseFile (`leasePath`), if other processes of the machine may read. */
  readonly leaseFile?: string;
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
  const { leases, leaseFile, warn, fatal } = options;
  const lease = new LeaseReader(leases);
  const service = new MetaService({
    ...options,
    logic,
    holdsLease: (group) => lease.inForce(group),
    openRaft: (directory) => openRaftHost({ directory, leases, leaseFile, warn, fatal }),
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
  return new LocalReader(options.dataDirectory, operations.readHandlers, {
    mayRead: (group) => lease.mayRead(group),
    instance: 0,
  });
}

/** Where a node's LeaseFile is. */
export function leasePath(dataDirectory: string): string {
  return path.join(dataDirectory, 'meta', 'leases');
}

/**
 * For another process of the node's machine; `instance` is what the node says of itself (clusterInfo.leases). Null: what is
 * in the directory is another node's. Throws what the file system says where the directory may not be read.
 */
export function openOutsideMeta(
  dataDirectory: string,
  instance: number,
  warn: (message: string) => void,
): LocalMeta | null {
  const leases = new PublishedLeases(leasePath(dataDirectory));
  if (!leases.isOf(instance)) {
    leases.close();
    return null;
  }
  return new LocalReader(dataDirectory, operations.readHandlers, leases, { warn, onClosed: () => leases.close() });
}
