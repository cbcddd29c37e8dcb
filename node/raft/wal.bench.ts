// Measures proposals through a raft host against what the disk gives in the same run: a write with its sync, the same
// bytes, one after the other. Importable by perf/; takes as long as it is told.

import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { limits } from '../../proto/limits.js';
import { openRaftHost } from './driver/index.js';
import type { CommittedEntry, RaftGroup, StateMachine } from './interface.js';
import { openDisk } from './wal/index.js';

export interface Figure {
  readonly name: string;
  readonly perSecond: number;
  readonly medianUs: number;
  readonly p99Us: number;
  /** Syncs of the log a second, where it is not the same as `perSecond`. */
  readonly syncsPerSecond?: number;
}

export interface BenchOptions {
  /** An empty directory on the disk to measure. */
  readonly directory: string;
  readonly millisecondsEach: number;
  readonly payloadBytes: number;
  readonly inFlight: readonly number[];
  /** Smaller segments, for a run that only shows that it runs. */
  readonly segmentBytes?: number;
}

const RAW_FILE_BYTES = 16 << 20;

export async function benchWal(options: BenchOptions): Promise<Figure[]> {
  const figures = [await benchSyncCalls(options), await benchRawWrites(options)];
  for (const inFlight of options.inFlight) figures.push(await benchProposals(options, inFlight));
  return figures;
}

function figureOf(name: string, latencies: number[], elapsedMs: number, syncs?: number): Figure {
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => Math.round(latencies[Math.floor(latencies.length * share)]! * 1000);
  return {
    name,
    perSecond: Math.round((latencies.length / elapsedMs) * 1000),
    medianUs: at(0.5),
    p99Us: at(0.99),
    ...(syncs !== undefined && { syncsPerSecond: Math.round((syncs / elapsedMs) * 1000) }),
  };
}

/** What the log's own kind of write costs when one follows the other. */
async function benchRawWrites({ directory, millisecondsEach, payloadBytes }: BenchOptions): Promise<Figure> {
  const storage = await openDisk(path.join(directory, 'raw'));
  const file = await storage.create('raw');
  const write = (buffer: Buffer, position: number): Promise<void> =>
    new Promise((resolve, reject) =>
      file.write(buffer, position, (error) => (error === null ? resolve() : reject(error))),
    );
  await write(Buffer.alloc(RAW_FILE_BYTES), 0);
  const buffer = Buffer.alloc(payloadBytes, 1);
  const latencies: number[] = [];
  const start = performance.now();
  let position = 0;
  for (let now = start; now < start + millisecondsEach; ) {
    await write(buffer, position);
    const done = performance.now();
    latencies.push(done - now);
    now = done;
    position = position + 2 * payloadBytes > RAW_FILE_BYTES ? 0 : position + payloadBytes;
  }
  const elapsed = performance.now() - start;
  await file.close();
  return figureOf(`write on disk, ${payloadBytes} bytes, one thread-pool hop`, latencies, elapsed);
}

/** The same by system calls that block the thread: what the disk itself takes. */
async function benchSyncCalls({ directory, millisecondsEach, payloadBytes }: BenchOptions): Promise<Figure> {
  const fd = fs.openSync(path.join(directory, 'sync'), 'w+');
  fs.writeSync(fd, Buffer.alloc(RAW_FILE_BYTES));
  fs.fsyncSync(fd);
  const buffer = Buffer.alloc(payloadBytes, 1);
  const latencies: number[] = [];
  const start = performance.now();
  let position = 0;
  for (let now = start; now < start + millisecondsEach; ) {
    fs.writeSync(fd, buffer, 0, payloadBytes, position);
    fs.fdatasyncSync(fd);
    const done = performance.now();
    latencies.push(done - now);
    now = done;
    position = position + 2 * payloadBytes > RAW_FILE_BYTES ? 0 : position + payloadBytes;
  }
  const elapsed = performance.now() - start;
  fs.closeSync(fd);
  return figureOf(`write and fdatasync, ${payloadBytes} bytes, blocking`, latencies, elapsed);
}

/** Keeps proposals in flight: each one that is applied is followed by another. */
class Loop implements StateMachine {
  appliedIndex = 0;
  appliedTerm = 0;
  group: RaftGroup | undefined;
  readonly latencies: number[] = [];
  private readonly sent = new Map<number, number>();
  private readonly payload: Buffer;
  onLeading: (() => void) | undefined;
  onDrained: (() => void) | undefined;
  until = 0;

  constructor(payloadBytes: number) {
    this.payload = Buffer.alloc(payloadBytes, 2);
  }

  apply(entries: readonly CommittedEntry[]): void {
    const now = performance.now();
    for (const entry of entries) {
      this.appliedIndex = entry.index;
      this.appliedTerm = entry.term;
      const sent = this.sent.get(entry.index);
      if (sent === undefined) continue;
      this.sent.delete(entry.index);
      this.latencies.push(now - sent);
      if (now < this.until) this.propose();
    }
    if (this.sent.size === 0) this.onDrained?.();
  }

  leadership(leading: boolean): void {
    if (leading) this.onLeading?.();
  }

  dropped(): void {}

  committed(): void {}

  propose(): void {
    const index = this.group!.propose(this.payload); // set before leadership comes
    this.sent.set(index, performance.now());
  }
}

async function benchProposals(options: BenchOptions, inFlight: number): Promise<Figure> {
  const { payloadBytes, millisecondsEach } = options;
  const host = await openRaftHost({
    directory: path.join(options.directory, `log-${inFlight}`),
    ...(options.segmentBytes && { segmentBytes: options.segmentBytes }),
  });
  const loop = new Loop(payloadBytes);
  await new Promise<void>((resolve) => {
    loop.onLeading = resolve;
    loop.group = host.addGroup(1, loop);
  });
  // Making segments is work of the first seconds of a log's life, and disturbs what is to be measured.
  while (host.figures.prepared < limits.walPreparedSegments) await setTimeout(10);
  const syncsBefore = host.figures.syncs;
  const start = performance.now();
  loop.until = start + millisecondsEach;
  await new Promise<void>((resolve) => {
    loop.onDrained = resolve;
    for (let count = 0; count < inFlight; count++) loop.propose();
  });
  const elapsed = performance.now() - start;
  const syncs = host.figures.syncs - syncsBefore;
  loop.group!.compact(loop.appliedIndex); // set above
  await host.close();
  return figureOf(`proposals of ${payloadBytes} bytes, ${inFlight} in flight`, loop.latencies, elapsed, syncs);
}
