// The committed slices of one open file, by chunk, as of one content version. What another version brings replaces all;
// a commit of this client's own that is the next version is added. Bounded; what is missing is asked for by page.

import { limits } from '../../proto/limits.js';
import type { Chunk, Slice } from '../../proto/meta/index.js';

const NOTHING: readonly Slice[] = [];
/** A list that has grown this much here is asked for again: the service drops what later slices cover. */
const GROWTH = 64;

export class ChunkCache {
  private version = -1;
  private readonly chunks = new Map<number, readonly Slice[]>();
  /** How long a chunk's list was when the service gave it. */
  private readonly answered = new Map<number, number>();

  /** The slices of a chunk, or undefined when they are to be asked for. */
  get(chunk: number): readonly Slice[] | undefined {
    return this.chunks.get(chunk);
  }

  clear(): void {
    this.chunks.clear();
    this.answered.clear();
  }

  /** Content of another version than the one held is forgotten. */
  setVersion(version: number): void {
    if (version === this.version) return;
    this.version = version;
    this.clear();
  }

  /** What the service said of the chunks [first, first + count); chunks not named are holes. */
  setPage(first: number, count: number, answered: readonly Chunk[]): void {
    if (this.chunks.size + count > limits.chunksCachedPerFile) this.clear();
    for (let chunk = first; chunk < first + count; chunk++) this.chunks.set(chunk, NOTHING);
    for (const { chunk, slices } of answered) {
      if (chunk < first || chunk >= first + count) continue;
      this.chunks.set(chunk, slices);
      if (slices.length > GROWTH / 2) this.answered.set(chunk, slices.length);
    }
  }

  /** The version after this one, which is this one and these slices on top. `emptyFrom`: chunks from there on were holes. */
  append(version: number, added: readonly Chunk[], emptyFrom: number): void {
    this.version = version;
    for (const { chunk, slices } of added) {
      const before = this.chunks.get(chunk) ?? (chunk >= emptyFrom ? NOTHING : undefined);
      if (before === undefined) continue;
      if (before.length >= GROWTH && before.length >= 2 * (this.answered.get(chunk) ?? 0)) this.chunks.delete(chunk);
      else this.chunks.set(chunk, [...before, ...slices]);
    }
    if (this.chunks.size > limits.chunksCachedPerFile) this.clear();
  }
}
