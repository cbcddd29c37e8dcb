// Living blocks of a volume in order, a page at a time, though its table is not ordered: one pass counts keys by range,
// so that the second takes just the page, and only the page is sorted. It yields between, since the thread has writers
// to answer; a table that is replaced meanwhile is begun again.

import { VOLUME_KEYS } from '../../proto/block/index.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { type Clock, turn } from './disk.js';
import type { IndexTable } from './index-table.js';
import type { Volume } from './volume.js';

const RANGES = 65_536;
const RANGE_KEYS = VOLUME_KEYS / RANGES;
const SLOTS_PER_TURN = 65_536;
const BLOCKS_PER_TURN = 4096;
const TRIES = 4;

export interface ListedBlocks {
  blocks: { block: number; length: number; session: number }[];
  /** Whether there are no more. */
  end: boolean;
}

/** The first `limit` living blocks with a key above `after`. Throws OfsError BUSY when the volume never rests. */
export async function listBlocks(
  volume: Volume,
  { after, limit }: { after: number; limit: number },
  clock: Clock,
): Promise<ListedBlocks> {
  const most = Math.max(1, Math.min(limit, limits.blockListEntries));
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const listed = await listOnce(volume, { after, limit: most }, clock);
    if (listed !== null) return listed;
  }
  throw new OfsError(Status.BUSY, `volume ${volume.number} is being compacted; list it again`);
}

async function listOnce(
  volume: Volume,
  { after, limit }: { after: number; limit: number },
  clock: Clock,
): Promise<ListedBlocks | null> {
  const table = volume.table;
  const walk = { volume, table, clock };
  const counts = new Uint32Array(RANGES);
  const counted = await forEachKey(walk, (key) => {
    if (key > after) counts[Math.floor(key / RANGE_KEYS)]!++;
  });
  if (!counted) return null;
  let total = 0;
  let range = 0;
  while (range < RANGES && total <= limit) total += counts[range++]!;
  const below = range * RANGE_KEYS;
  const keys = new Uint32Array(total);
  let count = 0;
  const collected = await forEachKey(walk, (key) => {
    if (key <= after || key >= below) return;
    if (count < total) keys[count] = key;
    count++;
  });
  // More than were counted: blocks were appended meanwhile, and the page might miss one in its midst.
  if (!collected || count > total) return null;
  const page = keys.subarray(0, count).sort().subarray(0, limit);
  const blocks = await describe(walk, page);
  return blocks === null ? null : { blocks, end: total <= limit && below === VOLUME_KEYS };
}

/** A pass through a table, as long as it is that of its volume. */
interface Walk {
  volume: Volume;
  table: IndexTable;
  clock: Clock;
}

async function forEachKey({ volume, table, clock }: Walk, visit: (key: number) => void): Promise<boolean> {
  for (let from = 0; from < table.capacity; from += SLOTS_PER_TURN) {
    if (volume.table !== table) return false;
    table.forEachLive(from, SLOTS_PER_TURN, (at) => visit(table.key(at)));
    await turn(clock);
  }
  return volume.table === table;
}

async function describe({ volume, table, clock }: Walk, keys: Uint32Array): Promise<ListedBlocks['blocks'] | null> {
  const blocks: ListedBlocks['blocks'] = [];
  for (const [index, key] of keys.entries()) {
    if (index % BLOCKS_PER_TURN === BLOCKS_PER_TURN - 1) {
      await turn(clock);
      if (volume.table !== table) return null;
    }
    const slot = table.find(key);
    if (slot < 0) continue;
    const block = volume.number * VOLUME_KEYS + key;
    blocks.push({ block, length: table.length(slot), session: table.session(slot) });
  }
  return blocks;
}
