// Drives the cores of a thread's groups: host.ts turns proposals into batches of the log and messages into batches of
// the transport, group.ts ties a core to its state machine; reads.ts, lease-keeper.ts, snapshots.ts and peers.ts are a
// matter each.

export { GroupHandle } from './group-handle.js';
export { Host, openRaftHost, type RaftHostOptions } from './host.js';
export { type Timing, timing } from './timing.js';
export type { Transport, TransportReceiver } from './transport.js';
