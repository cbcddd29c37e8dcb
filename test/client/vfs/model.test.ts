// Two clients and a plain array of bytes: random writes, truncations, reads, flushes and reopens, near the bounds of
// blocks and chunks, with answers lost and blobs sealed on the way. A client always reads its own writes; another sees
// at open what was closed before. SEED=number repeats a run.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { type TestContext, test } from 'node:test';
import type { FileHandle } from '../../../client/vfs/index.js';
import { limits } from '../../../proto/limits.js';
import { SetAttr } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type Client, client, closeFile, create, openByName } from './fixture.js';
import { MemoryMetaService } from './memory-meta.js';

const MIB = 1024 * 1024;
const { blockBytes, chunkBytes } = limits;
const NO_TIME = { sec: 0, nsec: 0 };

/** Mulberry32, by Tommy Ettinger; public domain. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** A sparse file as a model: bytes in windows around the places of interest, zeros elsewhere. */
class Model {
  size = 0;
  private readonly windows: { start: number; data: Buffer }[];

  constructor(places: readonly number[]) {
    this.windows = places.map((place) => ({ start: Math.max(0, place - MIB), data: Buffer.alloc(3 * MIB) }));
  }

  write(offset: number, data: Buffer): void {
    for (const window of this.windows) {
      const from = Math.max(offset, window.start);
      const to = Math.min(offset + data.length, window.start + window.data.length);
      if (from < to) data.copy(window.data, from - window.start, from - offset, to - offset);
    }
    this.size = Math.max(this.size, offset + data.length);
  }

  truncate(size: number): void {
    for (const window of this.windows) {
      const from = Math.max(size, window.start);
      if (from < window.start + window.data.length) window.data.fill(0, from - window.start);
    }
    this.size = size;
  }

  read(offset: number, length: number): Buffer {
    const bytes = Math.max(0, Math.min(length, this.size - offset));
    const window = this.windows.find(({ start, data }) => offset >= start && offset + bytes <= start + data.length);
    assert(window !== undefined, 'the test reads only where the model looks');
    return window.data.subarray(offset - window.start, offset - window.start + bytes);
  }
}

const PLACES = [0, blockBytes, chunkBytes, chunkBytes + 2 * blockBytes];

class Walk {
  readonly model = new Model(PLACES);
  private readonly clients: Client[];
  private writer = 0;
  private handle!: FileHandle;

  constructor(
    private readonly random: (below: number) => number,
    mishaps: boolean,
  ) {
    const service = new MemoryMetaService();
    const failWrite = (): OfsError | null =>
      mishaps && random(10) === 0 ? new OfsError(Status.SEALED, 'volume is full') : null;
    const first = client(service, { failWrite });
    this.clients = [first, client(service, { failWrite }, first)];
    if (!mishaps) return;
    for (const { meta } of this.clients) {
      meta.mishap = (name) => {
        if (name !== 'chunkCommit' || random(8) > 0) return null;
        const error = new OfsError(Status.TIMEOUT, 'no answer came in time');
        return random(2) === 0 ? { before: error } : { after: error };
      };
    }
  }

  private get client(): Client {
    return this.clients[this.writer]!;
  }

  async run(steps: number): Promise<void> {
    this.handle = await create(this.client.vfs, 'file');
    for (let step = 0; step < steps; step++) await this.step();
    await this.reopen();
    for (const place of PLACES) await this.check(Math.max(0, place - MIB), 3 * MIB);
    await this.close(this.handle);
    for (const { vfs } of this.clients) await vfs.close();
  }

  private async step(): Promise<void> {
    const { vfs } = this.client;
    const dice = this.random(100);
    if (dice < 50) await this.write();
    else if (dice < 80) await this.check(this.place(), this.length());
    else if (dice < 87) await this.truncate();
    else if (dice < 94) await this.flush(this.handle);
    else if (dice < 97) await this.reopen();
    else assert.strictEqual((await vfs.getattr(this.handle.inode)).size, this.model.size);
  }

  /** Somewhere around a bound, mostly. */
  private place(): number {
    const place = PLACES[this.random(PLACES.length)]!;
    const reach = [10, 5000, 100_000, MIB][this.random(4)]!;
    return Math.max(0, place + this.random(2 * reach) - reach);
  }

  private length(): number {
    return 1 + this.random([16, 4096, 70_000, MIB][this.random(4)]!);
  }

  private async write(): Promise<void> {
    const offset = this.random(3) === 0 && this.isNear(this.model.size) ? this.model.size : this.place();
    const data = Buffer.alloc(this.length(), 1 + this.random(255));
    for (let at = 0; at < data.length; at += 997) data[at] = this.random(256);
    this.model.write(offset, data);
    await this.client.vfs.write(this.handle, offset, data);
  }

  private isNear(offset: number): boolean {
    return PLACES.some((place) => Math.abs(place - offset) < MIB / 2);
  }

  private async truncate(): Promise<void> {
    const size = this.random(10) === 0 ? 0 : this.place();
    const request = { valid: SetAttr.SIZE, mode: 0, uid: 0, gid: 0, size, atime: NO_TIME, mtime: NO_TIME };
    await this.patiently(() => this.client.vfs.setattr(this.handle.inode, request));
    this.model.truncate(size);
  }

  private async check(offset: number, length: number): Promise<void> {
    const expected = Buffer.from(this.model.read(offset, length));
    const target = Buffer.alloc(length, 0xee);
    const bytes = await this.client.vfs.read(this.handle, offset, target);
    assert.strictEqual(bytes, expected.length, `bytes read at ${offset} of ${this.model.size}`);
    const different = expected.findIndex((byte, at) => byte !== target[at]);
    assert.strictEqual(different, -1, `byte ${offset + different} differs`);
  }

  /** Closes here and opens at the other client, or at the same. */
  private async reopen(): Promise<void> {
    await this.close(this.handle);
    this.writer = this.random(2);
    this.handle = await openByName(this.client.vfs, 'file');
  }

  private async flush(handle: FileHandle): Promise<void> {
    await this.patiently(() => this.client.vfs.flush(handle));
  }

  private async close(handle: FileHandle): Promise<void> {
    await this.flush(handle);
    await closeFile(this.client.vfs, handle);
  }

  /** An answer that is lost loses nothing: the same call, again, must succeed in the end. */
  private async patiently<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof OfsError) || error.status !== Status.TIMEOUT || attempt === 20) throw error;
      }
    }
  }
}

async function walks(context: TestContext, mishaps: boolean): Promise<void> {
  const given = process.env.SEED;
  const seeds = given === undefined ? Array.from({ length: 6 }, () => Math.floor(Math.random() * 2 ** 31)) : [+given];
  for (const seed of seeds) {
    context.diagnostic(`SEED=${seed}`);
    await new Walk(randomFrom(seed), mishaps).run(150);
  }
}

test('a file is the array of bytes that was written to it, for two clients in turn', (context) =>
  walks(context, false));

test('the same with answers lost and volumes sealed on the way', (context) => walks(context, true));
