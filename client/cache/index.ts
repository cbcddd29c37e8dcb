// What a client remembers: slices of open files, pieces of blocks.

export { BlockCache } from './block-cache.js';
export { ChunkCache } from './chunk-cache.js';
