// Sizes and numbers as people write them.

const UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `4KiB`, `1MiB`, `512`; throws RangeError on anything else. */
export function parseSize(text: string): number {
  const match = /^(\d+)\s*(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) throw new RangeError(`"${text}" is no size: give bytes, or 4KiB, 1MiB`);
  return Number(match[1]) * UNITS[(match[2] ?? 'B') as keyof typeof UNITS];
}

export function formatSize(bytes: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((name) => bytes >= UNITS[name]);
  return unit === undefined ? `${bytes} B` : `${Number((bytes / UNITS[unit]).toFixed(1))} ${unit}`;
}

export function formatNumber(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 1 || value === 0 ? value.toFixed(1) : value.toPrecision(2);
}

export function formatUs(us: number): string {
  return us >= 1000 ? `${(us / 1000).toFixed(us >= 100_000 ? 0 : 2)} ms` : `${us.toFixed(us >= 10 ? 0 : 2)} us`;
}
