// What any thread of the process may ask of blocks (reader.ts), and the form of what it is told.

/** Where a block's data lies, for a client on this machine; stands until the volume is compacted. */
export interface BlockPlace {
  volume: number;
  file: string;
  /** Of the data, in bytes. */
  offset: number;
  length: number;
  checksums: number[];
}

/** Where a block's needle is in its volume's file, and up to where needles behind it stand: written, synced, answered. */
export interface NeedleSpan {
  position: number;
  until: number;
}

/** Whole pieces of a block, as they are on the disk. */
export interface BlockPieces {
  /** Of the first piece in the block. */
  start: number;
  blockLength: number;
  checksums: number[];
  data: Buffer;
}

export interface BlockReader {
  /**
   * Copies [offset, offset + target.length) of a block into `target`, checked, if that costs no waiting: at most
   * limits.syncReadBytes, of a block written or read lately. False otherwise, and where anything is wrong: `read` says
   * what.
   */
  readSync(block: number, offset: number, target: Buffer): boolean;
  /** Null where the block is not known. What is answered stands until the next call. */
  spanOf(block: number): NeedleSpan | null;
  /** The same as readSync, waiting. Rejects with OfsError NOENT, INVAL (beyond the block's end), CORRUPT, IO. */
  read(block: number, offset: number, target: Buffer): Promise<void>;
  /** Rejects as `read` does. */
  locate(block: number): Promise<BlockPlace>;
  /** The pieces that a range touches, not checked: who consumes them does that. `allocate` gives the buffer. */
  readPieces(
    block: number,
    range: { offset: number; length: number },
    allocate: (bytes: number) => Buffer,
  ): Promise<BlockPieces>;
  close(): void;
}
