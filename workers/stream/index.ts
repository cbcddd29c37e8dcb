// Frames over a stream socket: what both ends of a connection between processes share.

export { FrameSender } from './frame-sender.js';
