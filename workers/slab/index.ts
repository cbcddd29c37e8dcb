// Shared memory for payloads: one thread allocates, others read the spans where they lie.

export { createSlab, Slab, viewSlab } from './slab.js';
