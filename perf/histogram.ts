// Latencies of a run, in buckets that grow by 2.2 %: bounded memory, percentiles right to that much, and sums of several
// processes' histograms are histograms. The largest is kept exactly.

const STEPS_PER_OCTAVE = 32;
/** The first bucket ends at 2^-4 microseconds, the last at 2^36, which is 19 hours. */
const OCTAVES_BELOW_ONE = 4;
const BUCKETS = STEPS_PER_OCTAVE * 40;

export interface HistogramData {
  readonly count: number;
  readonly sumUs: number;
  readonly maxUs: number;
  /** Pairs of bucket and count, where there is any. */
  readonly buckets: readonly (readonly [number, number])[];
}

export class Histogram {
  count = 0;
  private sumUs = 0;
  private maxUs = 0;
  private readonly counts = new Uint32Array(BUCKETS);

  static of(...all: readonly HistogramData[]): Histogram {
    const histogram = new Histogram();
    for (const data of all) histogram.add(data);
    return histogram;
  }

  record(us: number): void {
    this.count++;
    this.sumUs += us;
    if (us > this.maxUs) this.maxUs = us;
    this.counts[bucketOf(us)]!++;
  }

  add(data: HistogramData): void {
    this.count += data.count;
    this.sumUs += data.sumUs;
    this.maxUs = Math.max(this.maxUs, data.maxUs);
    for (const [bucket, count] of data.buckets) this.counts[bucket]! += count;
  }

  /** The latency that this share of all stayed below; 0 when there was none. */
  percentile(share: number): number {
    let rank = Math.ceil(this.count * share);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      rank -= this.counts[bucket]!;
      if (rank <= 0 && this.count > 0) return Math.min(this.maxUs, bucketEndUs(bucket));
    }
    return this.maxUs;
  }

  data(): HistogramData {
    const buckets: [number, number][] = [];
    this.counts.forEach((count, bucket) => {
      if (count > 0) buckets.push([bucket, count]);
    });
    return { count: this.count, sumUs: this.sumUs, maxUs: this.maxUs, buckets };
  }
}

function bucketOf(us: number): number {
  const step = Math.floor((Math.log2(us) + OCTAVES_BELOW_ONE) * STEPS_PER_OCTAVE);
  return step > 0 ? Math.min(step, BUCKETS - 1) : 0;
}

export function bucketEndUs(bucket: number): number {
  return 2 ** ((bucket + 1) / STEPS_PER_OCTAVE - OCTAVES_BELOW_ONE);
}
