// Formats of raft: configurations, log entries and messages.

export * from './configuration.js';
export * from './entry.js';
export * from './member.js';
export * from './message.js';
export * from './peer.js';
