// The block store of a node: blocks appended as needles to volume files, read from any thread of the process. One opens
// a service in each block thread (`openBlockService`) and a reader in each thread that reads (`openBlockReader`), all
// with the arena that main made (`createArena`).

export { createArena } from './arena.js';
export { type BlockPieces, type BlockPlace, type BlockReader, openBlockReader } from './reader.js';
export { type BlockServiceHandle, type BlockServiceOptions, openBlockService } from './service.js';
