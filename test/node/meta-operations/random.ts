// Randomness of tests: a small generator with a seed that is printed and can be given back by the environment (SEED).

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** A 32-bit word (mulberry32). */
  word(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return (value ^ (value >>> 14)) >>> 0;
  }

  /** A number in [0, below). */
  below(below: number): number {
    return this.word() % below;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

export function seedOf(diagnostic: (text: string) => void): number {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 0x1_0000_0000));
  diagnostic(`SEED=${seed}`);
  return seed;
}
