// A volume as a directory of this machine: the kernel's FUSE protocol spoken on /dev/fuse, over any Vfs.

export type { Log } from './context.js';
export { type Mount, type MountOptions, mountVolume, type UnmountOptions } from './mount.js';
export { unmountDirectory } from './mountpoint.js';
