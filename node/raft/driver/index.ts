// Drives the cores of a thread's groups: host.ts turns proposals into batches of the log, group.ts ties a core to its
// state machine.

export { Host, openRaftHost, type RaftHostOptions } from './host.js';
export type { Clock } from './ticker.js';
