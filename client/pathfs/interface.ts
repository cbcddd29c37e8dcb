// PathFS: the namespace of one volume by absolute path, several operations as one (R1.2), as S3 and HDFS use it.
// Paths are byte strings without a leading slash. Methods reject (or, where they are synchronous, throw) OfsError.

import type { ByteString } from '../../proto/codec.js';
import type { Attr, Chunk, MetaOperations } from '../../proto/meta/index.js';
import type { RequestOf } from '../../proto/operation.js';

/** A file opened for reading: what metadata said when it was opened, which stays readable until `close`. */
export interface OpenObject {
  readonly attr: Attr;
  readonly chunks: readonly Chunk[];
}

export type PutRequest = Pick<RequestOf<MetaOperations['objectPut']>, 'object' | 'condition' | 'uid' | 'gid'>;

/** The content of one upload on its way into blocks. */
export interface ObjectWriter {
  /** Bytes taken so far. */
  readonly size: number;
  /**
   * Takes all of `piece` over (copied). False: the bound is reached, give nothing more until `onDrain` calls. An
   * error while writing is thrown by `finish`.
   */
  write(piece: Uint8Array): boolean;
  onDrain(callback: () => void): void;
  /** Resolves when every byte is on disk. */
  finish(): Promise<Chunk[]>;
  /** Drops what was written; safe at any time, also after `finish` when nothing was committed. */
  abort(): void;
}

export interface PathFs {
  readonly group: number;
  /** Opens for reading as S3 GET sees the key. Synchronous where metadata is local, else undefined: use `open`. */
  openSync(path: ByteString): OpenObject | undefined;
  open(path: ByteString): Promise<OpenObject>;
  headSync(path: ByteString): Attr | undefined;
  head(path: ByteString): Promise<Attr>;
  /** Copies [offset, offset + target.length) if all of it is at hand without waiting; false otherwise. */
  readSync(object: OpenObject, offset: number, target: Buffer): boolean;
  read(object: OpenObject, offset: number, target: Buffer): Promise<void>;
  /** Must be called for every object opened whose reading goes on after the turn it was opened in. */
  hold(object: OpenObject): void;
  unhold(object: OpenObject): void;
  /** `sizeHint`: the length if it is known, else -1; only to choose buffers. */
  createWriter(sizeHint: number): ObjectWriter;
  put(path: ByteString, writer: ObjectWriter, etag: ByteString, request: PutRequest): Promise<Attr>;
  putPart(
    upload: ByteString,
    path: ByteString,
    part: number,
    writer: ObjectWriter,
    etag: ByteString,
    checksum: Uint8Array,
  ): Promise<void>;
}
