// Which blobs the metadata of all groups names, held against the living blocks of the block stores. Memory: a record for
// each blob that is named.

import { blobOf, blobSequence, blockIndex, blockVolume } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import type { Findings } from './findings.js';

interface Entry {
  /** Length of the blob as the slice that knows most of it says. */
  length: number;
  /** Bit by block: found alive. */
  alive: number;
  /** Given up, and perhaps deleted already: nothing can be said about its blocks. */
  pending: boolean;
  /** Where it is named, to say so. */
  by: string;
}

/** A blob as findings name it. */
export function blobName(blob: number): string {
  return `blob ${blob} (volume ${blockVolume(blob)}, number ${blobSequence(blob)})`;
}

export class BlobLedger {
  private readonly blobs = new Map<number, Entry>();

  constructor(private readonly findings: Findings) {}

  /** A slice names a blob of (at least) this length. */
  name(blob: number, length: number, by: string): void {
    const entry = this.blobs.get(blob);
    if (entry === undefined) this.blobs.set(blob, { length, alive: 0, pending: false, by });
    else if (length > entry.length) entry.length = length;
  }

  /** A reclaim row holds the blob. */
  pending(blob: number): void {
    const entry = this.blobs.get(blob);
    if (entry === undefined) this.blobs.set(blob, { length: 0, alive: 0, pending: true, by: 'reclaim' });
    else entry.pending = true;
  }

  /** A block lives in a block store. To be called when every group has been read. */
  block(block: number, length: number): void {
    const entry = this.blobs.get(blobOf(block));
    const index = blockIndex(block);
    if (entry === undefined) {
      this.findings.add('garbage', `block ${index} of ${blobName(blobOf(block))}, ${length} bytes: nothing names it`);
      return;
    }
    entry.alive |= 1 << index;
    if (entry.pending && entry.length === 0) return;
    const expected = Math.min(limits.blockBytes, entry.length - index * limits.blockBytes);
    if (expected <= 0) {
      if (!entry.pending)
        this.findings.add('garbage', `block ${index} of ${blobName(blobOf(block))}: nothing names so much of it`);
    } else if (length !== expected) {
      this.findings.add(
        'error',
        `block ${index} of ${blobName(blobOf(block))} has ${length} bytes, ${entry.by} needs ${expected}`,
      );
    }
  }

  /** To be called when every block has been told. */
  finish(): void {
    for (const [blob, entry] of this.blobs) {
      for (let index = 0; index * limits.blockBytes < entry.length; index++) {
        if ((entry.alive & (1 << index)) === 0)
          this.findings.add('error', `block ${index} of ${blobName(blob)} is gone, ${entry.by} needs it`);
      }
    }
  }
}
