// Raft and the log: interface.ts is the contract with state machines, driver/ what keeps it, core/ the pure protocol,
// wal/ the log on disk, lease.ts what tells other threads that they may read.

export type { Cancel, Clock } from './clock.js';
export type { Change, ChangeRefusal } from './core/index.js';
export {
  openRaftHost,
  type RaftHostOptions,
  type Timing,
  type Transport,
  type TransportReceiver,
} from './driver/index.js';
export type * from './interface.js';
export { createLeases, FOREVER, type Lease, LeaseReader, LeaseWriter, monotonicUs } from './lease.js';
export { BELIEVED_US, FilePublisher, LeaseFile, PublishedLeases } from './lease-file.js';
export { WalDamaged, type WalFile, type WalStorage } from './wal/index.js';
