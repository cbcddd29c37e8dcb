// The parts by themselves, in this process: what each costs without the others. Those that have benchmarks beside their
// code are run from there.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { benchmarkBlocks } from '../../node/block/benchmark.js';
import { benchWal } from '../../node/raft/wal.bench.js';
import { channelBench } from '../../workers/channel.bench.js';
import { type Figure, type Latency, type Limit, NO_COST } from '../figures.js';
import { copies } from '../limits.js';
import { formatSize } from '../units.js';
import { measureCase } from './case.js';
import { formatCases } from './micro-formats.js';
import { metaCases } from './micro-meta.js';
import { measureRing } from './ring.js';

const SHARE_OF_RUN = 0.1;
const BLOCKS_PER_SECOND = 1000;
const WAL_SEGMENT_BYTES = 1 << 22;

export async function measureMicro(seconds: number): Promise<Figure[]> {
  const caseSeconds = seconds * SHARE_OF_RUN;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-micro-'));
  try {
    const figures = await measureRing(seconds);
    figures.push(...(await channels(caseSeconds)), ...(await log(directory, caseSeconds)));
    figures.push(...(await blocks(directory, Math.ceil(BLOCKS_PER_SECOND * caseSeconds))));
    for (const one of formatCases()) figures.push(measureCase(one, caseSeconds));
    figures.push(...(await metaCases(path.join(directory, 'meta'), caseSeconds)));
    return figures;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

function latency(p50Us: number, p99Us: number): Latency {
  return { p50Us, p99Us };
}

async function channels(seconds: number): Promise<Figure[]> {
  const figures = await channelBench({ caseMs: seconds * 1000 });
  return figures.map(({ name, requestsPerSecond, p50Us, p99Us, cpuUs }) => ({
    name: `channel, ${name}`,
    unit: 'requests/s',
    value: requestsPerSecond,
    limits: [],
    latency: latency(p50Us, p99Us),
    cost: { ...NO_COST, cpuUs: { 'both threads': cpuUs } },
  }));
}

/** The first figure is the disk alone, and the limit of the others. */
async function log(directory: string, seconds: number): Promise<Figure[]> {
  const place = path.join(directory, 'wal');
  fs.mkdirSync(place);
  const [raw, ...figures] = await benchWal({
    directory: place,
    millisecondsEach: seconds * 1000,
    payloadBytes: 300,
    inFlight: [1, 32, 256],
    segmentBytes: WAL_SEGMENT_BYTES,
  });
  const limits: Limit[] = [{ name: 'write + fdatasync, one by one', value: raw?.perSecond ?? 0 }];
  return figures.map(({ name, perSecond, medianUs, p99Us }) => {
    return { name: `log, ${name}`, unit: 'proposals/s', value: perSecond, limits, latency: latency(medianUs, p99Us) };
  });
}

async function blocks(directory: string, count: number): Promise<Figure[]> {
  const figures = await benchmarkBlocks(directory, Math.max(count, 32));
  const raw = new Map<number, number>();
  const results: Figure[] = [];
  for (const { name, perSecond, bytesPerSecond, latencyP50Us, latencyP99Us } of figures) {
    const bytes = Math.round(bytesPerSecond / perSecond);
    if (name.startsWith('raw')) {
      raw.set(bytes, perSecond);
      continue;
    }
    const limit = name.startsWith('append')
      ? { name: 'write + fdatasync, one by one', value: raw.get(bytes) ?? 0 }
      : { name: 'memcpy', value: copies(bytes, 0.02) };
    results.push({
      name: `blocks, ${name.replace(`${bytes} bytes`, formatSize(bytes))}`,
      unit: 'blocks/s',
      value: perSecond,
      limits: [limit],
      latency: latency(latencyP50Us, latencyP99Us),
    });
  }
  return results;
}
