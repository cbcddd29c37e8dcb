// The log on a disk in memory: what replays, what is cut, what is refused.

import assert from 'node:assert';
import { test } from 'node:test';
import { type GroupLog, Wal, WalDamaged } from '../../../node/raft/wal/index.js';
import { Writer } from '../../../proto/codec.js';
import { entryCodec } from '../../../proto/raft/index.js';
import {
  BATCH_HEADER_BYTES,
  emptyBatchHeader,
  RecordKind,
  readBatch,
  sealBatch,
  writeRecord,
} from '../../../proto/wal.js';
import { unexpected, until } from './machine.js';
import { MemoryStorage } from './memory-storage.js';

const SEGMENT_BYTES = 64 * 1024;

interface Opened {
  readonly wal: Wal;
  readonly warnings: string[];
}

async function open(storage: MemoryStorage): Promise<Opened> {
  const warnings: string[] = [];
  const wal = await Wal.open({
    directory: 'memory',
    storage,
    segmentBytes: SEGMENT_BYTES,
    retryMs: 1,
    fatal: unexpected,
    warn: (message) => warnings.push(message),
  });
  return { wal, warnings };
}

function groupOf(wal: Wal, group: number): GroupLog {
  return wal.group(group) ?? wal.addGroup(group);
}

function commit(wal: Wal): Promise<void> {
  return new Promise((resolve) => wal.commit(resolve));
}

/** Appends one entry to each group given and waits until it is on disk. */
async function append(wal: Wal, groups: readonly number[], bytes = 100): Promise<void> {
  for (const group of groups) {
    const log = groupOf(wal, group);
    const index = log.lastIndex + 1;
    wal.stageEntry(log, { index, term: 1, kind: 0, payload: Buffer.alloc(bytes, index) });
  }
  await commit(wal);
}

/** A log of group 1 with so many batches of an entry each, as a crash leaves it: not closed. */
async function written(batches: number): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  for (let count = 0; count < batches; count++) await append(wal, [1]);
  return storage.copy();
}

/** Where the batches of a segment begin, and where the last ends. */
function batchOffsets(storage: MemoryStorage, segment = 1): number[] {
  const header = emptyBatchHeader();
  const offsets = [0];
  const source = storage.segment(segment);
  while (readBatch(source, segment, offsets.at(-1) ?? 0, header)) offsets.push(header.offset + header.length);
  return offsets;
}

function assertEntries(wal: Wal, last: number, group = 1): void {
  const log = groupOf(wal, group);
  assert.strictEqual(log.lastIndex, last);
  if (last < log.firstIndex) return;
  const entries = [];
  while (entries.length < last - log.firstIndex + 1) {
    entries.push(...wal.read(log, log.firstIndex + entries.length, last, 1000));
  }
  entries.forEach((entry, at) => {
    assert.strictEqual(entry.index, log.firstIndex + at);
    assert(entry.payload.every((byte) => byte === entry.index % 256));
  });
}

test('a log cut at any byte of its last batch replays all before it, says what it cut and goes on from there', async () => {
  const storage = await written(5);
  const offsets = batchOffsets(storage);
  assert.strictEqual(offsets.length, 6);
  const start = offsets[4]!;
  const end = offsets[5]!;
  for (let cut = start; cut < end; cut++) {
    const copy = storage.copy();
    copy.segment(1).fill(0, cut, end);
    const { wal, warnings } = await open(copy);
    assertEntries(wal, 4);
    if (cut >= start + BATCH_HEADER_BYTES) {
      assert.deepStrictEqual(warnings, [
        `log ends in a torn batch in segment 1 at offset ${start}, which was never acknowledged: cut`,
      ]);
    }
    await append(wal, [1]);
    await wal.close();
    const again = await open(copy);
    assertEntries(again.wal, 5);
    assert.deepStrictEqual(again.warnings, []);
    await again.wal.close();
  }
});

test('a flipped bit in synced data refuses the start and says segment, offset and groups', async () => {
  const storage = await written(6);
  const offsets = batchOffsets(storage);
  for (let at = offsets[2]!; at < offsets[3]!; at += 7) {
    const copy = storage.copy();
    copy.segment(1)[at]! ^= 1 << (at % 8);
    await assert.rejects(open(copy), (error) => {
      assert(error instanceof WalDamaged);
      assert.strictEqual(
        error.message,
        `log is damaged in segment 1 at offset ${offsets[2]}: a later batch proves that it was on disk up to segment 1 ` +
          `offset ${offsets[5]}; group 1 has entries to 2 before it and from 4 behind it. Not started. ` +
          'Restore this node from a replica or a backup',
      );
      assert.deepStrictEqual([error.segment, error.offset, error.groups], [1, offsets[2], [1]]);
      return true;
    });
    await assert.rejects(open(copy), WalDamaged, 'refused again: nothing was changed by the first refusal');
  }
});

test('a flipped bit in the last batch is a torn tail after a crash, damage after a clean end', async () => {
  const storage = await written(3);
  const offsets = batchOffsets(storage);
  const crashed = storage.copy();
  crashed.segment(1)[offsets[3]! - 1]! ^= 1;
  const { wal } = await open(crashed);
  assertEntries(wal, 2);
  const ended = storage.copy();
  await (await open(ended)).wal.close();
  ended.segment(1)[offsets[3]! - 1]! ^= 1;
  await assert.rejects(open(ended), WalDamaged);
});

test('an intact batch behind a lost one that was never synced goes with it, for good', async () => {
  const storage = await written(2);
  const offsets = batchOffsets(storage);
  const header = emptyBatchHeader();
  const segment = storage.segment(1);
  assert(readBatch(segment, 1, offsets[1]!, header));
  const synced = { segment: 1, offset: offsets[2]! };
  let at = synced.offset;
  for (const index of [3, 4]) {
    const writer = new Writer();
    writer.ensure(BATCH_HEADER_BYTES);
    writer.position = BATCH_HEADER_BYTES;
    writeRecord(writer, 1, RecordKind.ENTRY, entryCodec, { index, term: 1, kind: 0, payload: Buffer.alloc(9, index) });
    const batch = writer.take();
    header.previousCrc = header.crc;
    header.offset = at;
    header.syncedSegment = synced.segment;
    header.syncedOffset = synced.offset;
    sealBatch(batch, header);
    batch.copy(segment, at);
    at += batch.length;
  }
  const whole = storage.copy();
  assertEntries((await open(whole)).wal, 4);
  segment.fill(0, synced.offset, synced.offset + 20);
  const { wal, warnings } = await open(storage);
  assert.strictEqual(warnings.length, 1);
  assertEntries(wal, 2);
  assert(
    segment.subarray(synced.offset).every((byte) => byte === 0),
    'zeroed before anything is written',
  );
});

test('segments are recycled under new numbers and nothing of an earlier use replays', async () => {
  const storage = new MemoryStorage();
  let opened = await open(storage);
  const seen = new Set<string>();
  for (let round = 0; round < 40; round++) {
    for (let count = 0; count < 40; count++) await append(opened.wal, [1, 2], 400);
    for (const group of [1, 2]) {
      const log = groupOf(opened.wal, group);
      log.keepFrom(log.lastIndex - 3, log.entryTerm(log.lastIndex - 4));
      opened.wal.stageState(log);
    }
    await commit(opened.wal);
    for (const name of storage.files.keys()) seen.add(name);
    assert(storage.files.size <= 8, `${storage.files.size} files`);
    if (round % 8 !== 7) continue;
    const before = [1, 2].map((group) => groupOf(opened.wal, group).lastIndex);
    await opened.wal.close();
    opened = await open(storage);
    assert.deepStrictEqual(opened.warnings, []);
    for (const group of [1, 2]) assertEntries(opened.wal, before[group - 1]!, group);
  }
  assert(seen.size > 20, `the log went through ${seen.size} segments`);
  await opened.wal.close();
});

test('a group that stands still pins the segments that it needs, and a removed one no longer does', async () => {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  await append(wal, [1]);
  const busy = groupOf(wal, 2);
  const run = async (): Promise<void> => {
    for (let count = 0; count < 300; count++) await append(wal, [2], 2000);
    busy.keepFrom(busy.lastIndex + 1, 1);
    wal.stageState(busy);
    await commit(wal);
  };
  await run();
  assert(storage.files.size > 10);
  assertEntries(wal, 1);
  wal.stageRemoval(1);
  await commit(wal);
  await until(() => storage.files.size <= 8, 'the segments are given up');
  await wal.close();
  const again = await open(storage);
  assert.strictEqual(again.wal.group(1), undefined);
  assertEntries(again.wal, busy.lastIndex, 2);
  await again.wal.close();
});

/** Writes through so many segments that the oldest are given up, if nothing but the last entries is needed of them. */
async function turnOver(wal: Wal, group: number, cut: readonly number[]): Promise<void> {
  for (let count = 0; count < 300; count++) await append(wal, [group], 2000);
  for (const each of cut) {
    const log = groupOf(wal, each);
    log.keepFrom(log.lastIndex + 1, log.entryTerm(log.lastIndex));
    wal.stageState(log);
  }
  await commit(wal);
}

test('a removed group pins nothing, also when a new group of its number writes, and after a restart', async () => {
  for (const restarted of [false, true]) {
    const storage = new MemoryStorage();
    let { wal } = await open(storage);
    for (let count = 0; count < 300; count++) await append(wal, [1], 2000);
    wal.stageRemoval(1);
    await commit(wal);
    await append(wal, [1]);
    if (restarted) {
      await wal.close();
      ({ wal } = await open(storage));
    }
    assertEntries(wal, 1);
    await turnOver(wal, 2, [1, 2]);
    await until(() => storage.files.size <= 8, 'the segments are given up');
    await wal.close();
    ({ wal } = await open(storage));
    assertEntries(wal, 1);
    await wal.close();
  }
});

test('term and vote of a group that stands still outlive the segments that they were written to', async () => {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  await append(wal, [1]);
  await append(wal, [1]);
  const log = groupOf(wal, 1);
  log.term = 7;
  log.vote = 3;
  log.keepFrom(3, 1);
  wal.stageState(log);
  await commit(wal);
  await turnOver(wal, 2, [2]);
  await until(() => storage.files.size <= 8, 'the segments are given up');
  const found = groupOf((await open(storage.copy())).wal, 1);
  assert.deepStrictEqual([found.term, found.vote, found.firstIndex, found.previousTerm], [7, 3, 3, 1]);
  await wal.close();
});

test('an intact batch behind one that it was not written behind is not of the log', async () => {
  const storage = await written(4);
  const offsets = batchOffsets(storage);
  const segment = storage.segment(1);
  const header = emptyBatchHeader();
  const [third, fourth] = [offsets[2]!, offsets[3]!]; // four batches
  assert(readBatch(segment, 1, third, header));
  const other = Buffer.from(segment.subarray(third, fourth));
  other[other.length - 1]! ^= 1;
  sealBatch(other, header);
  other.copy(segment, third);
  const { wal, warnings } = await open(storage);
  assert.strictEqual(groupOf(wal, 1).lastIndex, 3);
  assert.strictEqual(warnings.length, 1);
  await wal.close();
});

test('every file whose end was accepted is synced before the log is open', async () => {
  const storage = await written(700);
  const { wal } = await open(storage);
  const used = [...storage.files.values()].filter((file) => file.bytes.some((byte) => byte !== 0));
  assert(used.length >= 2);
  for (const file of used) assert(file.syncs > 0);
  await wal.close();
});

test('a log that lacks its oldest or a middle segment is refused', async () => {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  for (let count = 0; count < 100; count++) await append(wal, [1], 2000);
  const numbers = [...storage.files.keys()].sort();
  assert(numbers.length >= 5);
  for (const missing of [0, 1]) {
    const copy = storage.copy();
    copy.files.delete(numbers[missing]!);
    await assert.rejects(open(copy), WalDamaged);
  }
});

test('a failed write is fatal, once, and nothing is reported afterwards', async () => {
  const storage = new MemoryStorage();
  const failures: string[] = [];
  const wal = await Wal.open({
    directory: 'memory',
    storage,
    segmentBytes: SEGMENT_BYTES,
    fatal: (error) => failures.push(error.message),
    warn: unexpected,
  });
  await append(wal, [1]);
  storage.failWrite = new Error('EIO: i/o error, write');
  wal.stageEntry(groupOf(wal, 1), { index: 2, term: 1, kind: 0, payload: Buffer.alloc(1) });
  wal.commit(() => assert.fail('reported what is not on disk'));
  await until(() => failures.length > 0, 'the failure');
  storage.failWrite = undefined;
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  assert.deepStrictEqual(failures, ['EIO: i/o error, write']);
});

test('an entry that a new leader replaces is replaced in the log, with all behind it', async () => {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  for (let count = 0; count < 5; count++) await append(wal, [1]);
  const log = groupOf(wal, 1);
  wal.stageEntry(log, { index: 3, term: 2, kind: 0, payload: Buffer.alloc(10, 3) });
  await commit(wal);
  for (const { wal: reader } of [{ wal }, await open(storage.copy())]) {
    assertEntries(reader, 3);
    assert.deepStrictEqual(
      [1, 2, 3].map((index) => groupOf(reader, 1).entryTerm(index)),
      [1, 1, 2],
    );
  }
});

test('a batch that rots after it was read at the start is not believed when it is read again', async () => {
  const storage = await written(3);
  const { wal } = await open(storage);
  const offsets = batchOffsets(storage);
  storage.segment(1)[offsets[2]! - 1]! ^= 1;
  assert.throws(
    () => wal.read(groupOf(wal, 1), 2, 2, 1000),
    /segment 1 at offset \d+ no longer reads as it was written/,
  );
});

test('without room for a segment the log warns once, waits, and goes on when there is room', async () => {
  const storage = new MemoryStorage();
  storage.capacityBytes = 3 * SEGMENT_BYTES;
  const { wal, warnings } = await open(storage);
  let index = 0;
  while (wal.hasRoom(2000) || !wal.full) {
    if (wal.hasRoom(2000)) {
      await append(wal, [1], 1000);
      index++;
    } else {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert(index > 100 && index < 200, `${index} entries of 1000 bytes in three segments of 64 KiB`);
  const log = groupOf(wal, 1);
  wal.stageEntry(log, { index: index + 1, term: 1, kind: 0, payload: Buffer.alloc(20_000, index + 1) });
  let reported = false;
  wal.commit(() => {
    reported = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.strictEqual(reported, false);
  assert.strictEqual(wal.stalled, true);
  storage.capacityBytes = 10 * SEGMENT_BYTES;
  await until(() => reported, 'the batch that waited');
  assert.strictEqual(wal.full, false);
  assert.deepStrictEqual(warnings, [
    'no space for a new log segment: ENOSPC: no space left on device, write; trying again',
  ]);
  await wal.close();
  assertEntries((await open(storage)).wal, index + 1);
});

test('a snapshot that takes the place of a log leaves nothing of it, over restarts and segments', async () => {
  const storage = new MemoryStorage();
  const { wal } = await open(storage);
  for (let count = 0; count < 10; count++) await append(wal, [1]);
  const log = groupOf(wal, 1);
  log.term = 3;
  log.reset(8, 3);
  wal.stageReset(log);
  wal.stageEntry(log, { index: 8, term: 3, kind: 0, payload: Buffer.alloc(10, 8) });
  await commit(wal);
  const check = (reader: Wal): void => {
    const found = groupOf(reader, 1);
    assert.deepStrictEqual([found.term, found.firstIndex, found.lastIndex], [3, 8, 8]);
    assert.deepStrictEqual([found.entryTerm(7), found.entryTerm(8)], [3, 3]);
    assert.strictEqual(reader.read(found, 8, 8, 1000)[0]?.payload.equals(Buffer.alloc(10, 8)), true);
  };
  check(wal);
  check((await open(storage.copy())).wal);
  // The old entries pin no segment, the new one does.
  for (let count = 0; count < 200; count++) await append(wal, [2], 1000);
  const other = groupOf(wal, 2);
  other.keepFrom(other.lastIndex, 1);
  wal.stageState(other);
  await commit(wal);
  check((await open(storage.copy())).wal);
});

test('a removal that waits for room frees no segment before it is written', async () => {
  const storage = new MemoryStorage();
  storage.capacityBytes = 3 * SEGMENT_BYTES;
  const { wal } = await open(storage);
  for (let count = 0; count < 3; count++) await append(wal, [2]);
  while (storage.segment(1).length > 0 && wal.prepared > 1) await append(wal, [1], 1000);
  await append(wal, [2]);
  while (wal.hasRoom(2000) || !wal.full) {
    if (wal.hasRoom(2000)) await append(wal, [1], 1000);
    else await new Promise((resolve) => setImmediate(resolve));
  }
  const log = groupOf(wal, 1);
  let reported = false;
  wal.stageRemoval(2);
  wal.stageEntry(log, { index: log.lastIndex + 1, term: 1, kind: 0, payload: Buffer.alloc(20_000) });
  wal.commit(() => {
    reported = true;
  });
  assert.strictEqual(wal.stalled, true);
  log.keepFrom(log.lastIndex, 1);
  const copies: MemoryStorage[] = [];
  wal.relieve([log]);
  for (let turns = 0; turns < 40; turns++) {
    copies.push(storage.copy());
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.strictEqual(reported, false, 'group 2 needs the oldest segment until its removal is written');
  for (const copy of copies) assert.strictEqual((await open(copy)).wal.group(2)?.lastIndex, 4);
  storage.capacityBytes = 10 * SEGMENT_BYTES;
  await until(() => reported, 'the batch that waited');
  assert.strictEqual((await open(storage.copy())).wal.group(2), undefined);
});

test('what the last batch does not prove to be on disk is written again at the start', async () => {
  const storage = await written(5);
  const offsets = batchOffsets(storage);
  const writes: number[] = [];
  const write = storage.write.bind(storage);
  storage.write = (pending, onWritten) => {
    writes.push(pending.position);
    write(pending, onWritten);
  };
  const { wal } = await open(storage);
  assert.strictEqual(writes[0], offsets.at(-2));
  assertEntries(wal, 5);
});

test('each start of a log has a number above those before it, once something was written in it', async () => {
  const storage = new MemoryStorage();
  for (const start of [1, 2, 3]) {
    const { wal } = await open(storage);
    assert.deepStrictEqual([wal.starts, wal.startStored], [start, false]);
    await append(wal, [1], 30_000);
    assert.strictEqual(wal.startStored, true);
    await wal.close();
  }
});
