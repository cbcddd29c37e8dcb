// Benchmark of asking another thread through a channel: requests per second, the time of one, and the processor time
// that both threads spend on it. `node dist/workers/channel.bench.js [--quick]` prints it; `channelBench` gives the
// figures to perf/.

import process, { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { limits } from '../proto/limits.js';
import type { BenchData, BenchResult } from './channel.bench.thread.js';
import { startThreads } from './host.js';

export interface ChannelFigure {
  name: string;
  requestsPerSecond: number;
  p50Us: number;
  p99Us: number;
  /** Of all threads, per request. */
  cpuUs: number;
}

const CASES: readonly Pick<BenchData, 'depth' | 'payloadBytes' | 'paced'>[] = [
  { depth: 1, payloadBytes: 0, paced: false },
  { depth: 8, payloadBytes: 0, paced: false },
  { depth: 8, payloadBytes: 0, paced: true },
  { depth: 64, payloadBytes: 0, paced: true },
  { depth: 512, payloadBytes: 0, paced: false },
  { depth: 64, payloadBytes: limits.slabMinBytes, paced: false },
];

/** Runs each case for `caseMs`. */
export async function channelBench(options: { caseMs: number }): Promise<ChannelFigure[]> {
  const figures: ChannelFigure[] = [];
  for (const one of CASES) {
    const name = `${one.depth} in flight, payload ${one.payloadBytes} bytes${one.paced ? ', a turn each' : ''}`;
    figures.push({ name, ...(await run({ role: 'ask', caseMs: options.caseMs, ...one })) });
  }
  return figures;
}

async function run(data: BenchData): Promise<Omit<ChannelFigure, 'name'>> {
  const module = new URL('./channel.bench.thread.js', import.meta.url);
  const threads = await startThreads({
    threads: [
      { name: 'answer', module, data: { ...data, role: 'answer' } },
      { name: 'ask', module, data },
    ],
    links: [['ask', 'answer']],
    slabBytes: { ask: limits.slabBytes },
  });
  const before = process.cpuUsage();
  const { requests, elapsedMs, p50Us, p99Us } = await new Promise<BenchResult>((resolve, reject) => {
    threads.onDeath((_name, error) => reject(error));
    threads.onMessage((_name, message) => resolve(message as BenchResult));
    threads.post('ask', null);
  });
  const { user, system } = process.cpuUsage(before);
  await threads.stop();
  return { requestsPerSecond: requests / (elapsedMs / 1000), p50Us, p99Us, cpuUs: (user + system) / requests };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const figure of await channelBench({ caseMs: argv.includes('--quick') ? 50 : 1000 })) {
    const rate = Math.round(figure.requestsPerSecond).toLocaleString('en');
    const times = `p50 ${figure.p50Us.toFixed(1)} us, p99 ${figure.p99Us.toFixed(1)} us, cpu ${figure.cpuUs.toFixed(2)} us`;
    stdout.write(`${figure.name.padEnd(46)} ${rate.padStart(10)} requests/s, ${times}\n`);
  }
}
