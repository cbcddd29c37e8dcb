// The block store of a node: blocks appended as needles to volume files, read from any thread of the process. One opens
// a service in each block thread (`openBlockService`) and a reader in each thread that reads (`openBlockReader`), all
// with the arena that main made (`createArena`).

export { createArena } from './arena.js';
export { dataPath } from './files.js';
export { openBlockReader } from './reader.js';
export type { BlockPieces, BlockPlace, BlockReader, NeedleSpan } from './reading.js';
export { type BlockServiceHandle, type BlockServiceOptions, openBlockService } from './service.js';
