// A figure: what was done a second, how long each took, what it cost the processes that did it, and its limits, measured
// in the same run. Rounds of the same figures become one with all their samples. Absolute numbers belong to the machine;
// the ratios to the limits are what to keep.

import type { Histogram, HistogramData } from './histogram.js';

export interface Limit {
  /** What it is that could do no better: `empty uWebSockets.js`. */
  readonly name: string;
  /** In the unit of the figure. */
  readonly value: number;
}

export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
  /** These are not there where a benchmark gives p50 and p99 alone. */
  readonly p999Us?: number;
  readonly maxUs?: number;
  readonly histogram?: HistogramData;
}

/** What one operation cost the processes that were measured. */
export interface Cost {
  /** Processor time in microseconds by thread: `gateway/0`, `meta/0`, `pool`. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** Time that a thread could have run and waited for a processor. */
  readonly queuedUs: Readonly<Record<string, number>>;
  /** Time in garbage collection by thread; what of it the thread itself did is part of its `cpuUs`. */
  readonly gcUs: Readonly<Record<string, number>>;
  /** Bytes that a thread's JavaScript allocated on its heap. Buffers lie beside the heap and are not counted. */
  readonly allocatedBytes: Readonly<Record<string, number>>;
  /** Bytes that the disk below the temporary folder wrote meanwhile, for anyone; 0 where that is no disk. */
  readonly writtenBytes: number;
  /**
   * Bytes of page cache made dirty by thread; libuv's writes are the `pool`'s. A kernel with large folios counts the
   * whole folio for a write of a few bytes: this says who writes, not how much reaches the disk.
   */
  readonly dirtiedBy: Readonly<Record<string, number>>;
  /** RssAnon and RssShmem after the run, not divided. */
  readonly memoryBytes: number;
}

export interface Figure {
  /** The same in each run of the same version. */
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly limits: readonly Limit[];
  /** How many were measured, where the unit counts something else. */
  readonly operations?: number;
  readonly latency?: Latency;
  readonly cost?: Cost;
  /** How much of a core the load generators took. */
  readonly generatorCores?: number;
  readonly note?: string;
  /** Times and sizes: a smaller value is better. */
  readonly lessIsBetter?: boolean;
  readonly curve?: CurvePoint;
  /** What went on while it was measured; each is a plot. Series of one title are lines of one plot. */
  readonly series?: readonly Series[];
}

export interface Series {
  readonly title: string;
  readonly name: string;
  readonly unit: string;
  readonly over: CurvePoint['over'];
  readonly points: readonly (readonly [number, number])[];
}

/** Where a figure is a point of a curve: the curve's name, and the place on it. */
export interface CurvePoint {
  readonly name: string;
  readonly x: number;
  /** What x counts. */
  readonly over: 'clients' | 'files' | 'seconds';
}

/** A figure of several rounds: `value`, latency and cost are those of the round in the middle. */
export interface Result extends Figure {
  readonly samples: readonly number[];
  /** Of each round to its own first limit; empty where there is none. */
  readonly ratios: readonly number[];
}

export function latencyOf(histogram: Histogram): Latency {
  return {
    p50Us: histogram.percentile(0.5),
    p99Us: histogram.percentile(0.99),
    p999Us: histogram.percentile(0.999),
    maxUs: histogram.data().maxUs,
    histogram: histogram.data(),
  };
}

export const NO_COST: Cost = {
  cpuUs: {},
  queuedUs: {},
  gcUs: {},
  allocatedBytes: {},
  writtenBytes: 0,
  dirtiedBy: {},
  memoryBytes: 0,
};

/** Of all threads together. */
export function total(byThread: Readonly<Record<string, number>>): number {
  return Object.values(byThread).reduce((sum, value) => sum + value, 0);
}

export function ratio(figure: Figure, index = 0): number | undefined {
  const limit = figure.limits[index];
  return limit === undefined || limit.value === 0 ? undefined : figure.value / limit.value;
}

/** Figures of the same name become one result, in the order of the first round. */
export function combineRounds(rounds: readonly (readonly Figure[])[]): Result[] {
  const byName = new Map<string, Figure[]>();
  for (const figure of rounds.flat()) {
    const known = byName.get(figure.name);
    if (known === undefined) byName.set(figure.name, [figure]);
    else known.push(figure);
  }
  return [...byName.values()].map((figures) => {
    const sorted = figures.toSorted((left, right) => left.value - right.value);
    const middle = sorted[sorted.length >> 1]!; // every name came with a figure
    const ratios = figures.map((figure) => ratio(figure)).filter((value) => value !== undefined);
    return { ...middle, samples: figures.map((figure) => figure.value), ratios };
  });
}
