// A map from numbers to values that nobody changes: `with` makes another that shares nearly all of it. Its hash is kept
// from step to step.

const BUCKETS = 128;

export interface Hashed {
  readonly hash: number;
}

export class Table<V extends Hashed> {
  private constructor(
    private readonly buckets: readonly ReadonlyMap<number, V>[],
    readonly hash: number,
  ) {}

  static empty<V extends Hashed>(): Table<V> {
    return new Table<V>(new Array<ReadonlyMap<number, V>>(BUCKETS).fill(new Map()), 0);
  }

  get(key: number): V | undefined {
    return this.buckets[slot(key)]!.get(key);
  }

  with(key: number, value: V): Table<V> {
    return this.changed(key, value);
  }

  without(key: number): Table<V> {
    return this.changed(key, undefined);
  }

  *entries(): Generator<[number, V]> {
    for (const bucket of this.buckets) yield* bucket;
  }

  equals(other: Table<V>, equal: (left: V, right: V) => boolean): boolean {
    if (this.hash !== other.hash) return false;
    return this.buckets.every((bucket, at) => {
      const twin = other.buckets[at]!;
      if (bucket === twin) return true;
      if (bucket.size !== twin.size) return false;
      for (const [key, value] of bucket) {
        const found = twin.get(key);
        if (found === undefined || !(found === value || equal(found, value))) return false;
      }
      return true;
    });
  }

  private changed(key: number, value: V | undefined): Table<V> {
    const at = slot(key);
    const bucket = new Map(this.buckets[at]!);
    const before = bucket.get(key);
    if (value === undefined) bucket.delete(key);
    else bucket.set(key, value);
    const buckets = this.buckets.slice();
    buckets[at] = bucket;
    let { hash } = this;
    if (before !== undefined) hash ^= mix(key, before.hash);
    if (value !== undefined) hash ^= mix(key, value.hash);
    return new Table(buckets, hash);
  }
}

/** One number from two. */
export function mix(left: number, right: number): number {
  // Ids are above 32 bits: both halves count.
  let hash = Math.imul((left | 0) ^ Math.imul(Math.floor(left / 2 ** 32) | 0, 0x85ebca6b), 0x9e3779b1) ^ (right | 0);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

export function hashText(text: string): number {
  let hash = text.length;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash, 0x01000193) ^ text.charCodeAt(at);
  return hash;
}

function slot(key: number): number {
  return Math.abs(key) % BUCKETS;
}
