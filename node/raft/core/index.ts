// The pure core of raft (node/raft/README.md explains it). Read raft.ts first (state and roles), then steps.ts (messages
// in), leader.ts, follower.ts and candidate.ts (what they do); log.ts, tracker.ts, membership.ts and quorum.ts keep what
// the roles stand on; changes.ts, snapshots.ts, reads.ts, lease.ts, transfer.ts and quiescence.ts are a matter each.

export type { Configuration } from '../../../proto/raft/index.js';
export { type ChangeRefusal, changeMembers, changeRefusal } from './changes.js';
export { type LeaseTimes, leaseRound, leaseUs } from './lease.js';
export { entryBytes, type LogStorage, type Snapshot } from './log.js';
export type { Change } from './membership.js';
export { wake } from './quiescence.js';
export { single, unknown } from './quorum.js';
export { type HardState, Raft, type RaftOptions, type Ready, type Refusal, Role } from './raft.js';
export { read } from './reads.js';
export { cutLimit } from './snapshots.js';
export { ready, step, tick } from './steps.js';
export type { ReadGrant } from './tickets.js';
