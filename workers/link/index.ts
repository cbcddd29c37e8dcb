// Channels between the threads of a process: frames in rings, one hub per thread.

export { Hub } from './hub.js';
export { closeLinkEnd, createLink, type LinkEnd, type LinkParty, openLink } from './link.js';
export type { RingAnswerer } from './ring-answerer.js';
export type { RingChannel } from './ring-channel.js';
