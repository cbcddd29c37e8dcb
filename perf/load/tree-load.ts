// A reader of a tree that stands on a mount: files at random, opened, read whole and closed, or only looked up. It goes on
// for a time, or until it is told to end.

import fs from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Histogram, type HistogramData } from '../histogram.js';
import { giveResult, isFinished, readyToGo, taskOf } from './parent.js';
import { keyName } from './s3-task.js';

export interface TreeTask {
  readonly directory: string;
  readonly op: 'read' | 'stat';
  /** Of the tree's keys, those below are there. */
  readonly files: number;
  readonly fileBytes: number;
  /** 0: until it is told to end. */
  readonly seconds: number;
}

export interface TreeResult {
  readonly operations: number;
  readonly seconds: number;
  readonly latency: HistogramData;
  readonly cpuSeconds: number;
}

/** Operations between two turns of the event loop, in which the end is heard. */
const OPERATIONS_PER_TURN = 16;

async function run({ directory, op, files, fileBytes, seconds }: TreeTask): Promise<TreeResult> {
  const data = Buffer.alloc(fileBytes);
  const latency = new Histogram();
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const endMs = seconds === 0 ? Number.POSITIVE_INFINITY : begun + seconds * 1000;
  let before = begun;
  while (before < endMs && !isFinished()) {
    for (let count = 0; count < OPERATIONS_PER_TURN; count++) {
      const file = path.join(directory, keyName('tree', Math.floor(Math.random() * files)));
      if (op === 'stat') fs.statSync(file);
      else readWhole(file, data);
      const now = performance.now();
      latency.record((now - before) * 1000);
      before = now;
    }
    await turn();
    before = performance.now();
  }
  const { user, system } = process.cpuUsage(cpu);
  const took = (performance.now() - begun) / 1000;
  return { operations: latency.count, seconds: took, latency: latency.data(), cpuSeconds: (user + system) / 1e6 };
}

function readWhole(file: string, data: Buffer): void {
  const fd = fs.openSync(file, 'r');
  const count = fs.readSync(fd, data);
  // What the generators of S3 send are rows of this letter.
  if (count !== data.length || data[0] !== 120 || data.at(-1) !== 120)
    throw new Error(`${file} reads as something else`);
  fs.closeSync(fd);
}

const task = taskOf<TreeTask>();
await readyToGo();
giveResult(await run(task));
