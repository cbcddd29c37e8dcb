// How a volume goes. Its group and its record are two raft groups, so a deletion is a chain of steps, each found and
// taken up again after a crash:
//
//   1  the group is marked deleted, in its own log, if it may be: from here on nothing of it is answered
//   2  the record goes and a `gone` row comes, in one transaction of group 0: from here on there is no such volume
//   3  the group's database is synced and marked clean, then its log is removed
//   4  when readers that had begun have had their time, its blobs are deleted (again, if it was begun before), then its
//      directory, then the `gone` row
//
// A start finds 1 without 2 as a marked group of a volume, and 2 without 4 as a `gone` row.

import { type ByteString, decode, encode, struct, u32, u53 } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { chunkRowCodec, keys, reclaimRowCodec, Table, volumeCodec } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { Engine } from './engine.js';
import type { GroupHome } from './home.js';
import type { DeletedBlob, MetaLogic } from './operation-table.js';
import type { MetaAnswer, Transaction, View } from './view.js';

/** A group whose volume is deleted, until nothing of it is left. */
const goneRowCodec = struct({ group: u32, partition: u32, blockBytes: u32, timeMs: u53 });
export type GoneGroup = ReturnType<typeof goneRowCodec.read>;

const GONE_PREFIX = keys.state('gone/');
const DELETED_KEY = keys.state('deleted');

export type Volume = MetaAnswer<'volumeInfo'>['volume'];

function goneKey(group: number): ByteString {
  return GONE_PREFIX + String(group).padStart(10, '0');
}

export function volumeNamed(view: View, name: string): Volume | undefined {
  const row = view.get(keys.volume(name));
  return row === undefined ? undefined : decode(volumeCodec, row);
}

export function allVolumes(view: View): Volume[] {
  return rows(view, Table.VOLUME, `${Table.VOLUME}\xff`, (value) => decode(volumeCodec, value));
}

export function goneGroups(view: View): GoneGroup[] {
  return rows(view, GONE_PREFIX, `${GONE_PREFIX}\xff`, (value) => decode(goneRowCodec, value));
}

export function forgetGone(transaction: Transaction, group: number): void {
  transaction.delete(goneKey(group));
}

/**
 * The same rules, with step 2 in one transaction: the record goes and the `gone` row comes. Whether the volume may go
 * was decided in step 1, so the record goes by force.
 */
export function withGoneRows(logic: MetaLogic): MetaLogic {
  const remove = logic.writeHandlers.volumeDelete;
  if (remove === undefined) return logic;
  const volumeDelete: typeof remove = (transaction, request, context) => {
    const volume = volumeNamed(transaction, request.name);
    const answer = remove(transaction, { ...request, force: true }, context);
    if (volume !== undefined) {
      const { group, partition, blockBytes } = volume;
      const timeMs = context.now.sec * 1000;
      transaction.put(goneKey(group), encode(goneRowCodec, { group, partition, blockBytes, timeMs }));
    }
    return answer;
  };
  return { ...logic, writeHandlers: { ...logic.writeHandlers, volumeDelete } };
}

export function isMarkedDeleted(view: View): boolean {
  return view.get(DELETED_KEY) !== undefined;
}

/** Step 1; `mayGo` says whether nothing stands against it. Throws NOTEMPTY. */
export function markDeleted(transaction: Transaction, mayGo: boolean): void {
  if (isMarkedDeleted(transaction)) return;
  if (!mayGo) throw new OfsError(Status.NOTEMPTY, 'the volume has entries: delete them, or the volume with force');
  transaction.put(DELETED_KEY, Buffer.alloc(0));
}

/** Step 4 but for the row: everything is deleted, in steps; nothing if it was done before. */
export async function purge(
  home: GroupHome,
  how: { gone: GoneGroup; bootId: string; deleteBlobs: (blobs: readonly DeletedBlob[]) => Promise<void> },
): Promise<void> {
  if (!home.exists) return;
  home.prepare(how.bootId);
  const engine = new Engine(home.data);
  try {
    for (const table of [Table.CHUNK, Table.RECLAIM] as const) {
      for (let after: ByteString = table; ; ) {
        const page = blobPage(engine, table, after, how.gone.blockBytes);
        if (page.blobs.length > 0) await how.deleteBlobs(page.blobs);
        if (page.last === undefined) break;
        after = page.last;
      }
    }
  } finally {
    await engine.close();
  }
  home.remove();
}

/** Blobs that rows behind `after` name; `last` undefined when the table ends. */
function blobPage(
  view: View,
  table: typeof Table.CHUNK | typeof Table.RECLAIM,
  after: ByteString,
  blockBytes: number,
): { blobs: DeletedBlob[]; last: ByteString | undefined } {
  const blobs = new Map<number, DeletedBlob>();
  let last: ByteString | undefined;
  view.scan(`${after}\0`, `${table}\xff`, (key, value) => {
    for (const blob of table === Table.CHUNK ? blobsOfChunk(value, blockBytes) : decode(reclaimRowCodec, value).blobs) {
      blobs.set(blob.blob, blob);
    }
    if (blobs.size < limits.reclaimBatch) return true;
    last = key;
    return false;
  });
  return { blobs: [...blobs.values()], last };
}

function blobsOfChunk(value: Buffer, blockBytes: number): DeletedBlob[] {
  const { slices } = decode(chunkRowCodec, value);
  return slices.map(({ blob, blobLength }) => ({ blob, blocks: Math.ceil(blobLength / blockBytes) }));
}

function rows<T>(view: View, start: ByteString, end: ByteString, read: (value: Buffer) => T): T[] {
  const found: T[] = [];
  view.scan(start, end, (_key, value) => {
    found.push(read(value));
    return true;
  });
  return found;
}
