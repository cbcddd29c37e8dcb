// The namespace by inode and name, for mounts. Read interface.ts first.

export type {
  Credentials,
  DirectoryEntry,
  DirectoryPage,
  FileHandle,
  SetAttributes,
  Vfs,
} from './interface.js';
export { createVfs, type VfsOptions } from './vfs.js';
