// The limit of cold reads: random reads of a file past the page cache, a fixed number of them under way. Started with as
// many threads in libuv's pool as that.

import fs from 'node:fs';
import { Histogram, type HistogramData } from '../histogram.js';
import { pageAligned } from './mount-steps.js';
import { giveResult, readyToGo, taskOf } from './parent.js';

export interface DiskReadsTask {
  readonly file: string;
  readonly blockBytes: number;
  readonly depth: number;
  readonly seconds: number;
}

export interface DiskReadsResult {
  readonly reads: number;
  readonly seconds: number;
  readonly latency: HistogramData;
}

async function run({ file, blockBytes, depth, seconds }: DiskReadsTask): Promise<DiskReadsResult> {
  const handle = await fs.promises.open(file, fs.constants.O_RDONLY | fs.constants.O_DIRECT);
  const blocks = Math.floor((await handle.stat()).size / blockBytes);
  if (blocks === 0) throw new Error(`${file} is shorter than ${blockBytes} bytes`);
  const latency = new Histogram();
  const begun = performance.now();
  const reader = async (): Promise<void> => {
    const data = pageAligned(blockBytes);
    for (let before = begun; before - begun < seconds * 1000; ) {
      await handle.read(data, 0, blockBytes, Math.floor(Math.random() * blocks) * blockBytes);
      const now = performance.now();
      latency.record((now - before) * 1000);
      before = now;
    }
  };
  await Promise.all(Array.from({ length: depth }, reader));
  await handle.close();
  return { reads: latency.count, seconds: (performance.now() - begun) / 1000, latency: latency.data() };
}

const task = taskOf<DiskReadsTask>();
await readyToGo();
giveResult(await run(task));
