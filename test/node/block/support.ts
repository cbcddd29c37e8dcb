// A block service and its callers for tests: requests as a channel would bring them, answers as values.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type BlockReader,
  type BlockServiceHandle,
  type BlockServiceOptions,
  createArena,
  openBlockReader,
  openBlockService,
} from '../../../node/block/index.js';
import { type BlockOperations, blockOperations, pieceChecksums } from '../../../proto/block/index.js';
import { decode, encode, Reader } from '../../../proto/codec.js';
import type { AnswerOf, Operation, RequestOf } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { Service } from '../../../workers/channel.js';
import { seededRandom } from '../../support/random.js';

export type Name = keyof BlockOperations;

export interface Answer<A> {
  value: A;
  payload: Buffer;
}

/** Sends one request to a service; rejects with OfsError for any status but OK. `session` 0 is a ring's. */
export function call<K extends Name>(
  service: Service,
  name: K,
  request: RequestOf<BlockOperations[K]>,
  payload: Buffer = Buffer.alloc(0),
  session = 0,
): Promise<Answer<AnswerOf<BlockOperations[K]>>> {
  const operation = blockOperations[name] as unknown as Operation<unknown, AnswerOf<BlockOperations[K]>>;
  return send(service, operation.code, encode(operation.request, request), payload, session).then(
    ({ status, body, data }) => {
      if (status !== Status.OK) throw new OfsError(status as Status, body.toString());
      return { value: decode(operation.answer, body), payload: data };
    },
  );
}

/** Sends raw bytes. */
export function send(
  service: Service,
  kind: number,
  body: Buffer,
  payload: Buffer = Buffer.alloc(0),
  session = 0,
): Promise<{ status: number; body: Buffer; data: Buffer }> {
  return new Promise((resolve) => {
    let answered = false;
    service({
      kind,
      group: 0,
      session,
      number: 1,
      window: 0,
      body: new Reader(body),
      payload,
      answer: (status, answerBody = Buffer.alloc(0), pieces = []) => {
        assert(!answered, 'a request is answered once');
        answered = true;
        resolve({ status, body: Buffer.from(answerBody), data: Buffer.concat(pieces) });
      },
    });
  });
}

/** A node's block threads with one thread, or several, in a directory of its own. */
export class BlockNode {
  arena = createArena(1024 * 1024 * 1024);
  warnings: string[] = [];
  failures: Error[] = [];
  reader!: BlockReader;
  private handle!: BlockServiceHandle;

  private constructor(
    readonly directory: string,
    private readonly options: Partial<BlockServiceOptions>,
  ) {}

  static async open(directory = temporaryDirectory(), options: Partial<BlockServiceOptions> = {}): Promise<BlockNode> {
    const node = new BlockNode(directory, options);
    await node.start();
    return node;
  }

  get service(): Service {
    return this.handle.service;
  }

  private async start(): Promise<void> {
    this.arena = createArena(1024 * 1024 * 1024);
    this.handle = await openBlockService({
      directory: this.directory,
      thread: 0,
      threads: 1,
      arena: this.arena,
      warn: (message) => this.warnings.push(message),
      fatal: (error) => this.failures.push(error),
      compactBytesPerSecond: Number.POSITIVE_INFINITY,
      ...this.options,
    });
    this.reader = openBlockReader({ directory: this.directory, arena: this.arena });
  }

  async reopen(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    this.reader.close();
    await this.handle.close();
  }

  async close(): Promise<void> {
    await this.stop();
    fs.rmSync(this.directory, { recursive: true, force: true });
    assert.deepStrictEqual(this.failures, []);
  }

  /** Writes a block and answers its blob. */
  async write(data: Buffer, blob = 0, index = 0, session = 0): Promise<number> {
    const request = { session: 7, blob, index, checksums: pieceChecksums(data) };
    return (await call(this.service, 'blockWrite', request, data, session)).value.blob;
  }

  async delete(...blobs: number[]): Promise<void> {
    await call(this.service, 'blockDelete', { blobs: blobs.map((blob) => ({ blob, blocks: 16 })) });
  }

  /** The bytes of a block; null when it is not there. */
  async read(block: number): Promise<Buffer | null> {
    try {
      const { length } = await this.reader.locate(block);
      const target = Buffer.alloc(length);
      await this.reader.read(block, 0, target);
      return target;
    } catch (error) {
      if (error instanceof OfsError && error.status === Status.NOENT) return null;
      throw error;
    }
  }

  async compact(holePercent = 0): Promise<number> {
    return (await call(this.service, 'volumeCompact', { holePercent })).value.freedBytes;
  }

  file(volume: number, kind: 'needles' | 'index'): string {
    return path.join(this.directory, 'blocks', `${volume.toString(16).padStart(8, '0')}.${kind}`);
  }
}

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-block-'));
}

/** Rejects with the status that an operation fails with. */
export async function statusOf(work: Promise<unknown>): Promise<number> {
  try {
    await work;
    return Status.OK;
  } catch (error) {
    if (error instanceof OfsError) return error.status;
    throw error;
  }
}

/** Bytes that follow from a number. */
export function patternBytes(length: number, seed: number): Buffer {
  const data = Buffer.allocUnsafe(length);
  let state = (seed * 0x9e3779b1) >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

/** Integers below a bound, from a seed that is printed and taken back (SEED). */
export function seededBelow(title: string): (below: number) => number {
  const { random, seed } = seededRandom();
  process.stdout.write(`# ${title}: SEED=${seed}\n`);
  return (below) => Math.floor(random() * below);
}
