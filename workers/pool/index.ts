// The pool for processor work without state.

export { TaskPool, type TaskPoolOptions } from './pool.js';
export type { DigestInput, Digests, GzipInput, Range } from './tasks.js';
