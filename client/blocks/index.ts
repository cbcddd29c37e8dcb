// Blocks: stores of them, and how content becomes blobs (Run) within bounded memory (Space). Read interface.ts first.

export { PieceChecksums, piecesMatch } from './checksums.js';
export type { BlockStore } from './interface.js';
export { type BlockReads, createLocalBlockStore, type LocalBlockStoreOptions, type SlabSpace } from './local.js';
export { createRemoteBlockStore, machineBootId, type RemoteBlockStoreOptions } from './remote.js';
export { Run } from './run.js';
export { type BlockPart, partsOf, partsOfBlob, readParts } from './segments.js';
export { type Holder, Space, type SpaceRequest, spaceOf } from './space.js';
