// Living keys of a table in order, a page at a time, though the table is not ordered: one pass counts keys by range, so
// that the second takes just the page, and only the page is sorted (a table of a million: 20 ms for any page).

import { VOLUME_KEYS } from '../../proto/block/index.js';
import type { IndexTable } from './index-table.js';

/** The most blocks of a page of blockList. */
export const LIST_BLOCKS = 65_536;
const RANGES = 65_536;
const RANGE_KEYS = VOLUME_KEYS / RANGES;

/** The first `limit` living keys above `after`; `end` when there are no more. */
export function listKeys(table: IndexTable, after: number, limit: number): { keys: Uint32Array; end: boolean } {
  const counts = new Uint32Array(RANGES);
  for (const at of table.slots()) {
    const key = table.key(at);
    if (key > after && table.isLive(at)) counts[Math.floor(key / RANGE_KEYS)]!++;
  }
  let total = 0;
  let range = 0;
  while (range < RANGES && total <= limit) total += counts[range++]!;
  const below = range * RANGE_KEYS;
  const keys = new Uint32Array(total);
  let count = 0;
  for (const at of table.slots()) {
    const key = table.key(at);
    if (key > after && key < below && table.isLive(at)) keys[count++] = key;
  }
  keys.subarray(0, count).sort();
  return { keys: keys.subarray(0, Math.min(count, limit)), end: count <= limit && below === VOLUME_KEYS };
}
