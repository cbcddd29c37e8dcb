// One life of a process with the block store in it: its services, a reader, the memory they share, and what it is asked.
// What it has not answered when it ends is lost to whoever asked.

import assert from 'node:assert';
import { Arena } from '../../../node/block/arena.js';
import {
  type BlockReader,
  type BlockServiceHandle,
  createArena,
  openBlockReader,
  openBlockService,
} from '../../../node/block/index.js';
import { IndexTable } from '../../../node/block/index-table.js';
import { type BlockOperations, blockOperations, VOLUME_KEYS } from '../../../proto/block/index.js';
import { decode, encode, Reader } from '../../../proto/codec.js';
import { blockVolume } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import type { AnswerOf, Operation, RequestOf } from '../../../proto/operation.js';
import { Status } from '../../../proto/status.js';
import { MachineClock, Process } from '../process.js';
import type { Random } from '../random.js';
import type { World } from '../world.js';
import type { FileSystem } from './file-system.js';
import { BOUNDS, type Invariants } from './invariants.js';
import type { BlockOptions } from './options.js';
import { ProcessDisk } from './process-disk.js';
import { DIRECTORY } from './volume-files.js';

/** In place of an answer when the process has ended. */
export const LOST = Symbol('lost');

export type Result<A> = { status: number; message: string; value: A | undefined; payload: Buffer } | typeof LOST;

const ARENA_BYTES = 1;
const TIMES = { turnUs: 5, earlyUs: 0, lateUs: 50 };

/** The machine on which it runs, and who watches it. */
export interface LifeOwner {
  readonly world: World;
  readonly options: BlockOptions;
  readonly fileSystem: FileSystem;
  readonly invariants: Invariants;
  readonly calm: boolean;
  die(life: Life, why: string): void;
  warned(life: Life, message: string): void;
  fatal(life: Life, error: Error): void;
  step(life: Life, name: string): void;
  wrote(name: string, buffers: number, bytes: number): void;
  opened(files: number): void;
}

export class Life {
  readonly process: Process;
  readonly disk: ProcessDisk;
  readonly reader: BlockReader;
  readonly threads: number;
  private readonly arena: SharedArrayBuffer;
  private readonly directory: Arena;
  closing = false;
  /** It was closed cleanly. */
  stopped = false;
  private services: BlockServiceHandle[] = [];
  private readonly waiting = new Set<() => void>();
  private writes: number[] = [];

  constructor(
    private readonly universe: LifeOwner,
    private readonly random: Random,
    readonly number: number,
  ) {
    const { world, options, fileSystem } = universe;
    this.process = new Process(world, new MachineClock(world, 0), random, TIMES, () => world.promisesSettled());
    this.disk = new ProcessDisk(fileSystem, world, this.process, random.split(1), options, {
      die: (why) => universe.die(this, why),
      wrote: (name, buffers, bytes) => universe.wrote(name, buffers, bytes),
      opened: (files) => universe.opened(files),
    });
    this.disk.calm = universe.calm;
    this.threads = options.faults.has('threads') && random.chance(0.5) ? 2 : 1;
    this.arena = createArena(ARENA_BYTES);
    this.directory = new Arena(this.arena);
    this.reader = openBlockReader({ directory: DIRECTORY, arena: this.arena, disk: this.disk, clock: this.process });
  }

  get alive(): boolean {
    return this.process.alive;
  }

  get world(): World {
    return this.universe.world;
  }

  /** Recovers what is on the disk. Rejects with what that throws. */
  async open(): Promise<void> {
    const { universe, process, random } = this;
    const { options } = universe;
    for (let thread = 0; thread < this.threads; thread++) {
      const handle = await openBlockService({
        directory: DIRECTORY,
        thread,
        threads: this.threads,
        arena: this.arena,
        warn: (message) => universe.warned(this, message),
        fatal: (error) => universe.fatal(this, error),
        disk: this.disk,
        clock: process,
        newCookie: () => random.word(),
        volumeBytes: options.volumeBytes,
        volumeNeedles: options.volumeNeedles,
        compactBytesPerSecond: options.compactBytesPerSecond,
        step: (name) => universe.step(this, name),
      });
      this.services.push(handle);
      this.writes.push(0);
    }
  }

  threadOf(volume: number): number {
    return volume % this.threads;
  }

  /** What a promise of this process comes to; LOST when the process ends before. */
  outcome<T>(work: Promise<T>): Promise<T | typeof LOST> {
    return new Promise((resolve, reject) => {
      if (!this.alive) resolve(LOST);
      const lost = (): void => resolve(LOST);
      this.waiting.add(lost);
      const end = (): boolean => this.waiting.delete(lost);
      work.then(
        (value) => end() && resolve(value),
        (error: Error) => end() && reject(error),
      );
    });
  }

  request<K extends keyof BlockOperations>(
    thread: number,
    name: K,
    request: RequestOf<BlockOperations[K]>,
    payload: Buffer = Buffer.alloc(0),
  ): Promise<Result<AnswerOf<BlockOperations[K]>>> {
    const operation = blockOperations[name] as unknown as Operation<unknown, AnswerOf<BlockOperations[K]>>;
    const write = name === 'blockWrite';
    // As memory that is used again when the answer has come.
    const lent = Buffer.from(payload);
    const work = new Promise<Result<AnswerOf<BlockOperations[K]>>>((resolve) => {
      let answered = false;
      if (write) this.writes[thread]!++;
      this.services[thread]!.service({
        kind: operation.code,
        group: 0,
        session: 0,
        number: 1,
        window: 0,
        body: new Reader(encode(operation.request, request)),
        payload: lent,
        answer: (status, body = Buffer.alloc(0), pieces = []) => {
          if (!this.alive) return;
          assert(!answered, 'a request is answered once');
          answered = true;
          lent.fill(0xee);
          if (write) this.writes[thread]!--;
          const ok = status === Status.OK;
          const message = ok ? '' : Buffer.from(body).toString();
          const value = ok ? decode(operation.answer, Buffer.from(body)) : undefined;
          resolve({ status, message, value, payload: Buffer.concat(pieces) });
        },
      });
      const most = limits.queueRequests;
      if (this.alive && this.writes[thread]! > most)
        this.universe.invariants.report(BOUNDS, `more than ${most} writes wait`);
    });
    return this.outcome(work);
  }

  /** Where the needle of a block lies, as the shared index has it. */
  offsetOf(block: number): number | undefined {
    const entry = this.directory.find(blockVolume(block));
    if (entry < 0) return undefined;
    const place = this.directory.place(entry);
    if (place.capacity === 0) return undefined;
    const table = new IndexTable(this.directory, place);
    const slot = table.find(block % VOLUME_KEYS);
    return slot < 0 ? undefined : table.offset(slot);
  }

  /** A clean stop. */
  async close(): Promise<void> {
    this.reader.close();
    for (const service of this.services) await service.close();
  }

  /** At once; the disk is told by whoever ends it. */
  end(): void {
    this.process.end();
    this.disk.end();
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const lost of waiting) lost();
    this.world.promisesSettled();
  }
}
