// The ring between two threads, beside copying the same bytes without another thread.

import { ringBench } from '../../workers/ring/ring.bench.js';
import type { Figure } from '../figures.js';

export async function measureRing(seconds: number): Promise<Figure[]> {
  const caseMs = Math.max(20, (seconds * 1000) / 20);
  const measured = await ringBench({ caseMs });
  const find = (name: string, unit: string): number =>
    measured.find((figure) => figure.name === name && figure.unit === unit)?.value ?? Number.NaN;
  const oneWay = find('one way, consumer sleeps', 'us').toFixed(1);
  const small = {
    name: 'ring, 64 bytes, batches of 32',
    unit: 'messages/s',
    value: find('64 bytes, batch 32', 'messages/s'),
    limits: [],
    note: `one way ${oneWay} us to a consumer that sleeps`,
  };
  const large = [4096, 65_536].map((size) => ({
    name: `ring, ${size >> 10} KiB messages, batches of 32`,
    unit: 'bytes/s',
    value: find(`${size} bytes, batch 32`, 'GB/s') * 1e9,
    limits: [{ name: 'copy alone', value: find(`${size} bytes, copy alone`, 'GB/s') * 1e9 }],
  }));
  return [small, ...large];
}
