// What the block store costs, measured beside what the disk and the system calls cost alone: run by perf/, and small in
// the tests. Appends through the service as a ring brings them; reads through the reader of a thread.

import fs from 'node:fs';
import path from 'node:path';
import { blockOperations, pieceChecksums } from '../../proto/block/index.js';
import { decode, encode, Reader } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import type { Service } from '../../workers/channel.js';
import { createArena } from './arena.js';
import { openBlockReader } from './reader.js';
import { openBlockService } from './service.js';

export interface BlockFigure {
  name: string;
  perSecond: number;
  bytesPerSecond: number;
  latencyP50Us: number;
  latencyP99Us: number;
}

/** Measures in a directory below `directory`, each figure with that many operations; `count` of 4 KiB ones. */
export async function benchmarkBlocks(directory: string, count: number): Promise<BlockFigure[]> {
  const place = fs.mkdtempSync(path.join(directory, 'block-benchmark-'));
  try {
    const large = Math.max(2, Math.ceil(count / 100));
    const figures = [rawAppend(place, 4096, count), rawAppend(place, limits.blockBytes, large)];
    const arena = createArena();
    const fatal = (error: Error): void => {
      throw error;
    };
    const handle = await openBlockService({ directory: place, thread: 0, threads: 1, arena, warn: fail, fatal });
    let blobs: number[] = [];
    for (const inFlight of [1, 32, 128]) {
      const result = await append(handle.service, { bytes: 4096, count, inFlight });
      figures.push(result.figure);
      blobs = result.blobs;
    }
    for (const inFlight of [1, 4]) {
      figures.push((await append(handle.service, { bytes: limits.blockBytes, count: large, inFlight })).figure);
    }
    figures.push(readSync(place, arena, blobs), await readAsync(place, arena, blobs));
    await handle.close();
    return figures;
  } finally {
    fs.rmSync(place, { recursive: true, force: true });
  }
}

function fail(message: string): void {
  throw new Error(message);
}

function figure(name: string, bytes: number, latenciesUs: number[], seconds: number): BlockFigure {
  const sorted = latenciesUs.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const perSecond = sorted.length / seconds;
  return { name, perSecond, bytesPerSecond: perSecond * bytes, latencyP50Us: at(0.5), latencyP99Us: at(0.99) };
}

/**
 * write + fdatasync one after the other, as well as the disk can do it: small ones over zeros, large ones into a hole
 * (a large write needs fresh memory for the page cache, which is most of its time).
 */
function rawAppend(directory: string, bytes: number, count: number): BlockFigure {
  const fd = fs.openSync(path.join(directory, `raw-${bytes}`), 'w+');
  const data = Buffer.alloc(bytes, 7);
  if (bytes <= limits.appendZeroedBytes) fs.writeSync(fd, Buffer.alloc(bytes * count));
  else fs.ftruncateSync(fd, bytes * count);
  fs.fsyncSync(fd);
  const latencies: number[] = [];
  const started = performance.now();
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    fs.writeSync(fd, data, 0, bytes, index * bytes);
    fs.fdatasyncSync(fd);
    latencies.push((performance.now() - begun) * 1000);
  }
  const seconds = (performance.now() - started) / 1000;
  fs.closeSync(fd);
  return figure(`raw write + fdatasync of ${bytes} bytes`, bytes, latencies, seconds);
}

/** Blocks of `bytes`, `inFlight` at a time. */
async function append(
  service: Service,
  load: { bytes: number; count: number; inFlight: number },
): Promise<{ figure: BlockFigure; blobs: number[] }> {
  const data = Buffer.alloc(load.bytes, 9);
  const body = encode(blockOperations.blockWrite.request, {
    session: 1,
    blob: 0,
    index: 0,
    checksums: pieceChecksums(data),
  });
  const latencies: number[] = [];
  const blobs: number[] = [];
  let sent = 0;
  const started = performance.now();
  await new Promise<void>((resolve, reject) => {
    const send = (): void => {
      const begun = performance.now();
      sent++;
      service({
        kind: blockOperations.blockWrite.code,
        group: 0,
        session: 0,
        number: sent,
        window: 0,
        body: new Reader(body),
        payload: data,
        answer: (status, answerBody) => {
          latencies.push((performance.now() - begun) * 1000);
          if (status !== Status.OK) return reject(new Error(`an append failed with status ${status}`));
          blobs.push(decode(blockOperations.blockWrite.answer, Buffer.from(answerBody!)).blob);
          if (sent < load.count) send();
          else if (latencies.length === load.count) resolve();
        },
      });
    };
    for (let index = 0; index < Math.min(load.inFlight, load.count); index++) send();
  });
  const seconds = (performance.now() - started) / 1000;
  const name = `append of ${load.bytes} bytes, ${load.inFlight} in flight`;
  return { figure: figure(name, load.bytes, latencies, seconds), blobs };
}

/** Reads of blocks just written, all of them ten times over. */
function readSync(directory: string, arena: SharedArrayBuffer, blobs: readonly number[]): BlockFigure {
  const reader = openBlockReader({ directory, arena });
  const target = Buffer.alloc(4096);
  const latencies: number[] = [];
  const started = performance.now();
  for (let round = 0; round < 10; round++) {
    for (const blob of blobs) {
      const begun = performance.now();
      if (!reader.readSync(blob, 0, target)) throw new Error(`block ${blob} was not read at once`);
      latencies.push((performance.now() - begun) * 1000);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  reader.close();
  return figure('readSync of 4096 bytes, warm', 4096, latencies, seconds);
}

async function readAsync(directory: string, arena: SharedArrayBuffer, blobs: readonly number[]): Promise<BlockFigure> {
  const reader = openBlockReader({ directory, arena });
  const latencies: number[] = [];
  const started = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    const target = Buffer.alloc(4096);
    while (next < blobs.length) {
      const begun = performance.now();
      await reader.read(blobs[next++]!, 0, target);
      latencies.push((performance.now() - begun) * 1000);
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  const seconds = (performance.now() - started) / 1000;
  reader.close();
  return figure('read of 4096 bytes, warm, 64 in flight', 4096, latencies, seconds);
}
