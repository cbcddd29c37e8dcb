// The face of workers/: threads that own state, the channels between them, shared memory for payloads, and the pool
// for tasks without state.

export type { Channel, OnAnswer, Request, Service } from './channel.js';
export { type OnDeath, type OnThreadMessage, startThreads, type Threads } from './host.js';
export { closeLinkEnd, createLink, Hub, type LinkEnd, type LinkParty, openLink } from './link/index.js';
export { type DigestInput, type Digests, type GzipInput, type Range, TaskPool } from './pool/index.js';
export { createDoorbell, createRing, Doorbell, RingConsumer, RingProducer } from './ring/index.js';
export { createSlab, Slab, viewSlab } from './slab/index.js';
export { FrameSender } from './stream/index.js';
export { joinHost, type ThreadHost } from './thread.js';
export type { ThreadSpec, Topology } from './topology.js';
