// What the windows of a load say: its rate over time, its first and last part, when it was itself again.

import { Histogram, type HistogramData } from './histogram.js';

/** Windows that a rate is taken over, so that one that was short of answers by chance decides nothing. */
const SMOOTH_WINDOWS = 4;

/** Of the windows from `from` to below `to`; those that are not there had no answers. */
export function histogramOf(windows: readonly HistogramData[], from: number, to: number): Histogram {
  return Histogram.of(...windows.slice(from, to));
}

/** Answers a second between two times. */
export function rateBetween(
  windows: readonly HistogramData[],
  windowMs: number,
  times: { readonly fromMs: number; readonly toMs: number },
): number {
  const from = Math.ceil(times.fromMs / windowMs);
  const to = Math.max(from + 1, Math.floor(times.toMs / windowMs));
  return (histogramOf(windows, from, to).count * 1000) / ((to - from) * windowMs);
}

/**
 * How long after `endMs` the rate was at `wanted` answers a second again, in steps of a window; Infinity if it never
 * was.
 */
export function recoveryMs(windows: readonly HistogramData[], windowMs: number, endMs: number, wanted: number): number {
  const first = Math.floor(endMs / windowMs);
  for (let at = first; at + SMOOTH_WINDOWS <= windows.length; at++) {
    const rate = (histogramOf(windows, at, at + SMOOTH_WINDOWS).count * 1000) / (SMOOTH_WINDOWS * windowMs);
    if (rate >= wanted) return Math.max(0, at * windowMs - endMs);
  }
  return Number.POSITIVE_INFINITY;
}
