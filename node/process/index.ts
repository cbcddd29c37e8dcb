export { lockDirectory, lockPort, StartError } from './locks.js';
export { type NodeConfig, type RunningNode, startNode } from './start.js';
export type { BlockThreadData, MetaThreadData } from './thread-data.js';
