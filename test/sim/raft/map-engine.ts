// An engine for the metadata's state machine without a disk under it: rows in an ordered map, with the promises of
// node/meta/engine.ts. What it holds has a hash that is kept up with each row. A snapshot is a copy.

import assert from 'node:assert';
import { crc32 } from 'node:zlib';
import type { AppliedState, GroupEngine } from '../../../node/meta/engine.js';
import { SortedKeys } from '../../../node/meta/sorted-keys.js';
import type { View } from '../../../node/meta/view.js';
import type { CommittedEntry } from '../../../node/raft/index.js';
import { type ByteString, Reader, Writer } from '../../../proto/codec.js';
import { readWriteSet } from '../../../proto/meta/index.js';
import { type Configuration, configurationCodec } from '../../../proto/raft/index.js';
import { mix } from '../random.js';
import type { SimState } from './state.js';

const HEADER_BYTES = 4;

export class MapEngine implements GroupEngine, SimState {
  index = 0;
  term = 0;
  hash = 0;
  private logHash = 0;
  private rows = new Map<ByteString, Buffer>();
  private sorted = new SortedKeys();
  private readonly reader = new Reader();

  constructor(public configuration: Configuration) {}

  get(key: ByteString): Buffer | undefined {
    return this.rows.get(key);
  }

  scan(start: ByteString, end: ByteString, visit: (key: ByteString, value: Buffer) => boolean): void {
    for (const at = this.sorted.from(start); at.key !== undefined && at.key < end; at.advance()) {
      if (!visit(at.key, this.rows.get(at.key)!)) return; // `sorted` holds the keys of `rows`
    }
  }

  applied(): AppliedState {
    const { index, term, logHash } = this;
    return { index, term, logHash };
  }

  apply(entries: readonly CommittedEntry[], from: AppliedState): AppliedState {
    assert.strictEqual(from.index, this.index, 'who applies knows where it stands');
    for (const entry of entries) {
      assert.strictEqual(entry.index, this.index + 1, 'entries are applied one after another');
      this.index = entry.index;
      this.term = entry.term;
      if (entry.payload.length === 0) continue;
      this.logHash = crc32(entry.payload, this.logHash);
      readWriteSet(this.reader.reset(entry.payload), (key, value) => this.change(key, value));
    }
    return this.applied();
  }

  snapshot(): View & { release(): void } {
    const copy = new MapEngine(this.configuration);
    copy.become(this);
    return Object.assign(copy, { release: () => undefined });
  }

  /** Takes over all that another one holds. */
  become(other: MapEngine): void {
    const { index, term, hash, logHash, configuration } = other;
    Object.assign(this, { index, term, hash, logHash, configuration });
    this.rows = new Map(other.rows);
    this.sorted = new SortedKeys();
    for (const key of this.rows.keys()) this.sorted.insert(key);
  }

  computedHash(): number {
    let hash = 0;
    for (const [key, value] of this.rows) hash ^= rowHash(key, value);
    return hash;
  }

  encode(): Buffer {
    const writer = new Writer(4096);
    writer.ensure(HEADER_BYTES);
    writer.position = HEADER_BYTES;
    for (const number of [this.index, this.term, this.logHash, this.hash >>> 0, this.rows.size]) writer.varint(number);
    configurationCodec.write(writer, this.configuration);
    for (const [key, value] of this.rows) {
      writer.bytes(Buffer.from(key, 'latin1'));
      writer.bytes(value);
    }
    const bytes = writer.take();
    bytes.writeUInt32LE(crc32(bytes.subarray(HEADER_BYTES)), 0);
    return bytes;
  }

  static decode(bytes: Buffer): MapEngine | undefined {
    if (bytes.length < HEADER_BYTES || crc32(bytes.subarray(HEADER_BYTES)) !== bytes.readUInt32LE(0)) return undefined;
    const reader = new Reader().reset(bytes, HEADER_BYTES);
    const [index, term, logHash, hash, count] = [0, 0, 0, 0, 0].map(() => reader.varint()) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const engine = new MapEngine(configurationCodec.read(reader));
    Object.assign(engine, { index, term, logHash, hash: hash | 0 });
    for (let at = 0; at < count; at++) {
      const key = reader.bytes(bytes.length).toString('latin1');
      engine.rows.set(key, Buffer.from(reader.bytes(bytes.length)));
      engine.sorted.insert(key);
    }
    return engine;
  }

  private change(key: ByteString, value: Buffer | undefined): void {
    const before = this.rows.get(key);
    if (before !== undefined) this.hash ^= rowHash(key, before);
    if (value === undefined) {
      if (this.rows.delete(key)) this.sorted.remove(key);
      return;
    }
    // The entry's bytes are not the engine's.
    const kept = Buffer.from(value);
    if (before === undefined) this.sorted.insert(key);
    this.rows.set(key, kept);
    this.hash ^= rowHash(key, kept);
  }
}

function rowHash(key: ByteString, value: Buffer): number {
  return mix(crc32(value, crc32(Buffer.from(key, 'latin1'))) ^ value.length);
}
