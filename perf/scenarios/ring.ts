// The ring between two threads, beside copying the same bytes without another thread.

import { ringBench } from '../../workers/ring/ring.bench.js';
import type { Figure } from '../figures.js';

export async function measureRing(seconds: number): Promise<Figure[]> {
  const caseMs = Math.max(50, (seconds * 1000) / 20);
  const measured = await ringBench({ caseMs });
  const find = (name: string, unit: string): number =>
    measured.find((figure) => figure.name === name && figure.unit === unit)?.value ?? Number.NaN;
  const latency = `one way ${find('one way, consumer sleeps', 'us').toFixed(1)} us to a consumer that sleeps`;
  return [4096, 65_536].map((size) => ({
    name: `ring, ${size >> 10} KiB messages, batches of 32`,
    unit: 'GB/s',
    value: find(`${size} bytes, batch 32`, 'GB/s'),
    limit: find(`${size} bytes, copy alone`, 'GB/s'),
    limitName: 'copy alone',
    note: latency,
  }));
}
