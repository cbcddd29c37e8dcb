// Random numbers that a seed replays (mulberry32). Tests print the seed that they ran with, and take it from SEED.

export function seedOf(): number {
  const given = process.env.SEED;
  return given === undefined ? Math.trunc(Math.random() * 0x7fffffff) : Number(given);
}

/** A generator of integers in [0, below). */
export function generator(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  };
}
