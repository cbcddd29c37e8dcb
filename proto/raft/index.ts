// Formats of raft: log entries and messages.

export * from './entry.js';
export * from './message.js';
