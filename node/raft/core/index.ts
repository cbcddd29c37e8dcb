// The pure core of raft. Read raft.ts first (state and roles), then steps.ts (messages in), leader.ts, follower.ts and
// candidate.ts (what they do); log.ts, tracker.ts and quorum.ts keep what the roles stand on.

export { entryBytes, type LogStorage } from './log.js';
export { type Configuration, single } from './quorum.js';
export { type HardState, Raft, type RaftOptions, type Ready, Role } from './raft.js';
export { ready, step, tick } from './steps.js';
