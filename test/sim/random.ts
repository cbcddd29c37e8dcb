// The one source of chance in a run (xorshift128, seeded through splitmix32). Streams that are split off do not disturb
// each other: with the network's faults switched off, the disks still do what they did, as far as they are asked.

/** A 32-bit mixing step, for seeds and hashes. */
export function mix(value: number): number {
  let mixed = (value + 0x9e3779b9) | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(seed: number) {
    this.a = mix(seed);
    this.b = mix(this.a ^ seed);
    this.c = mix(this.b + 1);
    this.d = mix(this.c + 2) | 1;
  }

  /** A whole number of 32 bits. */
  word(): number {
    let mixed = this.d;
    const first = this.a;
    this.d = this.c;
    this.c = this.b;
    this.b = first;
    mixed ^= mixed << 11;
    mixed ^= mixed >>> 8;
    this.a = mixed ^ first ^ (first >>> 19);
    return this.a >>> 0;
  }

  /** From 0 to below `bound`. */
  readonly below = (bound: number): number => Math.floor((this.word() / 0x1_0000_0000) * bound);

  /** From `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return probability > 0 && this.word() < probability * 0x1_0000_0000;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!; // callers have something to pick from
  }

  /** Mostly short, now and then many times as long: delays. The mean is about `mean`. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.word() / 0x1_0000_0001);
  }

  split(stream: number): Random {
    return new Random(mix(this.word() ^ mix(stream)));
  }
}
