// A case: something that is done again and again on one thread, and its figure.

import { type Figure, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { copies } from '../limits.js';

export interface Case {
  readonly name: string;
  /** Bytes of one operation, where it is about bytes: its limit is then copying as many. */
  readonly bytes?: number;
  run(): unknown;
}

/** Calls between two looks at the clock, so that looking costs little: latencies are means of as many. */
const BATCH = 32;

export function measureCase({ name, bytes, run }: Case, seconds: number): Figure {
  const begun = performance.now();
  const histogram = new Histogram();
  let before = begun;
  while (before - begun < seconds * 1000) {
    for (let call = 0; call < BATCH; call++) run();
    const now = performance.now();
    histogram.record(((now - before) * 1000) / BATCH);
    before = now;
  }
  const value = (histogram.count * BATCH * 1000) / (before - begun);
  const limits = bytes === undefined ? [] : [{ name: 'memcpy', value: copies(bytes, seconds / 2) }];
  return { name, unit: 'operations/s', value, limits, latency: latencyOf(histogram) };
}
