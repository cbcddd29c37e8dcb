// The write-ahead log: wal.ts writes and reads it, replay.ts opens it, segments.ts keeps its files, group-log.ts knows
// where the entries of a group lie, storage.ts is the disk. The format is in proto/wal.ts.

export { GroupLog } from './group-log.js';
export { WalDamaged } from './replay.js';
export { openDisk, type WalFile, type WalStorage } from './storage.js';
export { Wal, type WalOptions } from './wal.js';
