// The two identities of the system, both JavaScript numbers below 2^53 that name their home.
//
//   inode: partition (15 bits) · number in the partition (38 bits)
//   block: volume (24 bits)    · blob in the volume (25 bits) · index of the block in its blob (4 bits)
//
// A partition has a raft group of its own; when its numbers run out its group is given another partition. A blob is
// named by its block 0. All blocks of a blob lie in one volume, so a blob's id is all that metadata keeps.

import assert from 'node:assert';

const INODE_SPAN = 2 ** 38;
export const PARTITION_MAX = 2 ** 15 - 1;
/** The number, in every partition, of the directory that the partition begins with. */
export const ROOT_NUMBER = 1;

export const BLOB_BLOCKS = 16;
const BLOB_SPAN = 2 ** 25;
export const VOLUME_MAX = 2 ** 24 - 1;
export const BLOB_SEQUENCE_MAX = BLOB_SPAN - 1;

export function makeInode(partition: number, number: number): number {
  assert(partition >= 0 && partition <= PARTITION_MAX && number > 0 && number < INODE_SPAN);
  return partition * INODE_SPAN + number;
}

export function inodePartition(inode: number): number {
  return Math.floor(inode / INODE_SPAN);
}

export function inodeNumber(inode: number): number {
  return inode % INODE_SPAN;
}

export function rootInode(partition: number): number {
  return makeInode(partition, ROOT_NUMBER);
}

/** The id of a blob, which is that of its block 0. */
export function makeBlob(volume: number, sequence: number): number {
  assert(volume > 0 && volume <= VOLUME_MAX && sequence >= 0 && sequence < BLOB_SPAN);
  return (volume * BLOB_SPAN + sequence) * BLOB_BLOCKS;
}

export function blockOf(blob: number, index: number): number {
  assert(index >= 0 && index < BLOB_BLOCKS && blob % BLOB_BLOCKS === 0);
  return blob + index;
}

export function blobOf(block: number): number {
  return block - (block % BLOB_BLOCKS);
}

export function blockIndex(block: number): number {
  return block % BLOB_BLOCKS;
}

export function blockVolume(block: number): number {
  return Math.floor(block / (BLOB_SPAN * BLOB_BLOCKS));
}

export function blobSequence(block: number): number {
  return Math.floor(block / BLOB_BLOCKS) % BLOB_SPAN;
}
