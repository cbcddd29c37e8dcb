// A raft host over a real directory: groups of one from proposal to state machine, over restarts.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  createLeases,
  FOREVER,
  LeaseReader,
  LeaseWriter,
  openRaftHost,
  type RaftHostOptions,
} from '../../../node/raft/index.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { TestMachine, temporaryDirectory, unexpected, until } from './machine.js';
import { MemoryStorage } from './memory-storage.js';

const options = { fatal: unexpected, warn: unexpected, segmentBytes: 1 << 20 };

function inMemory(storage: MemoryStorage, more: Partial<RaftHostOptions> = {}) {
  return openRaftHost({ ...options, directory: 'memory', storage, segmentBytes: 1 << 16, ...more });
}

test('what is proposed is applied in order, and again from the log after a restart', async () => {
  using place = temporaryDirectory();
  const { directory } = place;
  const host = await openRaftHost({ ...options, directory });
  const machine = new TestMachine();
  const group = host.addGroup(7, machine);
  assert.strictEqual(group.propose(Buffer.from('early')), 0, 'refused before the group leads');
  await until(() => machine.leading, 'leadership');
  assert.strictEqual(group.status.leading, true);
  const wanted: string[] = [];
  for (let number = 0; number < 1000; number++) {
    wanted.push(`entry ${number}`);
    assert.strictEqual(group.propose(Buffer.from(`entry ${number}`)), number + 2);
  }
  await host.close();
  assert.deepStrictEqual(machine.payloads, wanted);
  assert.strictEqual(group.propose(Buffer.from('late')), 0);

  const again = await openRaftHost({ ...options, directory });
  const replayed = new TestMachine();
  again.addGroup(7, replayed);
  await until(() => replayed.leading, 'leadership');
  assert.deepStrictEqual(replayed.payloads, wanted);
  assert.strictEqual(replayed.term, machine.term + 1);
  await again.close();
});

test('all that a hundred groups propose in one turn is one write', async () => {
  const host = await inMemory(new MemoryStorage());
  const machines = Array.from({ length: 100 }, () => new TestMachine());
  const groups = machines.map((machine, group) => host.addGroup(group, machine));
  await until(() => machines.every((machine) => machine.leading), 'all lead');
  assert.strictEqual(host.figures.syncs, 2, 'votes of all groups in one, first entries of all in another');
  for (let turn = 1; turn <= 5; turn++) {
    for (const group of groups) for (let count = 0; count < 3; count++) group.propose(Buffer.from('x'));
    await until(() => machines.every((machine) => machine.payloads.length === 3 * turn), 'all applied');
    assert.strictEqual(host.figures.syncs, 2 + turn);
  }
  await host.close();
});

test('nothing is applied before the write that holds it is reported', async () => {
  const storage = new MemoryStorage();
  const host = await inMemory(storage, { fatal: () => undefined });
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  storage.failWrite = new Error('EIO: i/o error, write');
  assert.notStrictEqual(group.propose(Buffer.from('lost')), 0);
  await until(() => group.propose(Buffer.from('refused')) === 0, 'the host has failed');
  assert.deepStrictEqual(machine.payloads, []);
});

test('a state machine that throws is fatal and takes the lease away', async () => {
  const errors: Error[] = [];
  const leases = createLeases();
  const reader = new LeaseReader(leases);
  const host = await inMemory(new MemoryStorage(), { leases, fatal: (error) => errors.push(error) });
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => reader.mayRead(1), 'the lease');
  machine.onApply = () => {
    throw new Error('the engine failed');
  };
  group.propose(Buffer.from('x'));
  await until(() => errors.length > 0, 'the failure');
  assert.deepStrictEqual([errors.length, errors[0]?.message], [1, 'the engine failed']);
  assert.strictEqual(reader.mayRead(1), false);
  await host.close();
});

test('a host that failed while a write was under way closes', async () => {
  const host = await inMemory(new MemoryStorage(), { fatal: () => undefined });
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  machine.onApply = () => {
    group.propose(Buffer.from('y'));
    throw new Error('the engine failed');
  };
  for (let count = 0; count < 10; count++) {
    group.propose(Buffer.from('x'));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await host.close();
});

/**
 * A host with group 1, and group 2 that needs the oldest segment. It took proposals while a segment was being made, for
 * which there turned out to be no space: they wait.
 */
async function filled(storage: MemoryStorage) {
  const host = await inMemory(storage, { warn: () => undefined });
  const pinned = new TestMachine();
  const other = host.addGroup(2, pinned);
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading && pinned.leading && storage.files.size === 3, 'leadership, and segments prepared');
  let proposed = 0;
  let open = (): void => undefined;
  storage.gate = new Promise((resolve) => {
    open = resolve;
  });
  while (host.figures.prepared > 0 || proposed === machine.payloads.length) {
    while (group.propose(Buffer.alloc(100, 'x')) !== 0) proposed++;
    await pause();
  }
  storage.capacityBytes = storage.usedBytes;
  open();
  await until(() => group.status.full === true, 'the log is full');
  assert.strictEqual(group.propose(Buffer.alloc(100, 'x')), 0);
  assert(machine.payloads.length < proposed);
  return { host, machine, group, pinned, other, proposed };
}

/** Lets what is under way on a disk in memory come to its end. */
async function pause(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
}

test('a log that waits for room gets it from a checkpoint', async () => {
  const storage = new MemoryStorage();
  const { host, machine, group, pinned, other, proposed } = await filled(storage);
  group.compact(machine.appliedIndex);
  await pause();
  assert(machine.payloads.length < proposed, 'group 2 needs the oldest segment');
  other.compact(pinned.appliedIndex);
  await until(() => machine.payloads.length === proposed, 'what waited is applied');
  assert.notStrictEqual(group.propose(Buffer.from('x')), 0);
  await host.close();
  const again = await inMemory(storage);
  const replayed = new TestMachine(group.status.firstIndex - 1, 1);
  again.addGroup(1, replayed);
  await until(() => replayed.leading, 'leadership');
  assert.deepStrictEqual(replayed.payloads, [...machine.payloads.slice(group.status.firstIndex - 2)]);
  await again.close();
});

test('a host whose log waits for room closes, and what was applied is there', async () => {
  const storage = new MemoryStorage();
  const { host, machine, group, proposed } = await filled(storage);
  // What cannot be refused has room of its own; when that is used up, too, it waits.
  for (let index = 1; index < machine.appliedIndex; index++) {
    group.compact(index);
    await pause();
  }
  await host.close();
  assert(machine.payloads.length < proposed);
  storage.capacityBytes = Number.POSITIVE_INFINITY;
  const again = await inMemory(storage, { warn: () => undefined });
  const replayed = new TestMachine(machine.appliedIndex, 1);
  again.addGroup(1, replayed);
  await until(() => replayed.leading, 'leadership');
  await again.close();
});

test('a group of one has a lease from its first applied entry until it is removed or closed', async () => {
  const leases = createLeases();
  const reader = new LeaseReader(leases);
  const lease = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };
  const storage = new MemoryStorage();
  new LeaseWriter(leases).grant(1, { term: 1, deadlineUs: FOREVER, appliedIndex: 1 });
  const host = await inMemory(storage, { leases });
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  const other = new TestMachine();
  host.addGroup(2, other);
  assert.strictEqual(reader.mayRead(1), false);
  await until(() => machine.leading && other.leading, 'leadership');
  assert.strictEqual(reader.mayRead(1), true);
  group.propose(Buffer.from('x'));
  await until(() => machine.payloads.length === 1, 'applied');
  assert.strictEqual(machine.heardOf, 2);
  assert(reader.read(1, lease));
  assert.deepStrictEqual(lease, { term: 1, deadlineUs: FOREVER, appliedIndex: 2, acknowledgedIndex: 1 });
  host.removeGroup(2);
  assert.strictEqual(reader.mayRead(2), false);
  await host.close();
  assert.strictEqual(reader.mayRead(1), false);
});

test('a state machine continues behind what it has applied', async () => {
  const storage = new MemoryStorage();
  const host = await inMemory(storage);
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  for (let count = 0; count < 50; count++) group.propose(Buffer.from(`${count}`));
  await host.close();
  const again = await inMemory(storage);
  const later = new TestMachine(20, 1);
  again.addGroup(1, later);
  await until(() => later.leading, 'leadership');
  assert.deepStrictEqual(later.payloads, machine.payloads.slice(19));
  await again.close();
});

test('a log and a state machine that are not of one history are refused', async () => {
  const storage = new MemoryStorage();
  const host = await inMemory(storage);
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  for (let count = 0; count < 10; count++) group.propose(Buffer.from('x'));
  await until(() => machine.payloads.length === 10, 'applied');
  group.compact(5);
  await host.close();
  const again = await inMemory(storage);
  const refused = (index: number, term: number, message: RegExp): void => {
    assert.throws(
      () => again.addGroup(1, new TestMachine(index, term)),
      (error) => error instanceof OfsError && error.status === Status.CORRUPT && message.test(error.message),
    );
  };
  refused(12, 1, /stands at entry 12 of term 1, the log ends at 11/);
  refused(4, 1, /stands at entry 4 of term 1, the log begins at 6/);
  refused(7, 3, /stands at entry 7 of term 3, in the log it is of term 1/);
  again.addGroup(1, new TestMachine(5, 1));
  await again.close();
});

test('a log that is cut stays small, and says how many bytes it keeps', async () => {
  const storage = new MemoryStorage();
  let host = await inMemory(storage);
  let machine = new TestMachine();
  let group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  for (let round = 1; round <= 30; round++) {
    for (let count = 0; count < 100; count++) group.propose(Buffer.alloc(200, 'x'));
    const last = group.status.lastIndex;
    await until(() => machine.appliedIndex === last, 'applied');
    assert(host.logBytes(1) >= 100 * 200);
    group.compact(last - 10);
    await until(() => group.status.firstIndex === last - 9, 'cut');
    assert(host.logBytes(1) < 20 * 240);
    await until(() => storage.files.size <= 8, 'few segments');
    if (round % 10 !== 0) continue;
    await host.close();
    host = await inMemory(storage);
    machine = new TestMachine(last - 5, machine.appliedTerm);
    group = host.addGroup(1, machine);
    await until(() => machine.leading, 'leadership');
  }
  await host.close();
});

test('a removed group leaves the log, and its number can be used again', async () => {
  const storage = new MemoryStorage();
  const host = await inMemory(storage);
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  group.propose(Buffer.from('x'));
  host.removeGroup(1);
  assert.strictEqual(group.propose(Buffer.from('y')), 0);
  await until(() => host.figures.records > 0 && host.logBytes(1) === 0, 'removed');
  const successor = new TestMachine();
  await until(() => {
    try {
      host.addGroup(1, successor);
      return true;
    } catch (error) {
      assert(error instanceof OfsError && error.status === Status.BUSY);
      return false;
    }
  }, 'the number is free');
  await until(() => successor.leading, 'leadership');
  assert.strictEqual(successor.appliedIndex, 1);
  assert.deepStrictEqual(machine.payloads, []);
  await host.close();
  const again = await inMemory(storage);
  again.addGroup(1, new TestMachine(1, 1));
  await again.close();
});

test('a host whose groups lead alone does not tick, and writes nothing at rest but one proof', async () => {
  const host = await inMemory(new MemoryStorage());
  const machine = new TestMachine();
  host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  assert.strictEqual(host.ticking, false);
  await until(() => host.figures.syncs === 3, 'the proof that the last batch was synced');
  const deadline = Date.now() + 2 * limits.walProofMs;
  await until(() => Date.now() > deadline, 'twice the time of a proof');
  assert.strictEqual(host.figures.syncs, 3);
  await host.close();
});

test('proposals are refused while as much is uncommitted as may be, and taken again afterwards', async () => {
  const host = await openRaftHost({
    ...options,
    directory: 'memory',
    storage: new MemoryStorage(),
    segmentBytes: 1 << 26,
  });
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  const payload = Buffer.alloc(limits.raftEntryBytes, 'x');
  let taken = 0;
  while (group.propose(payload) !== 0) taken++;
  assert(taken >= 3 && taken * payload.length <= limits.raftUncommittedBytes, `${taken} entries of 8 MiB`);
  await until(() => group.propose(payload) !== 0, 'room again');
  await host.close();
  assert.strictEqual(machine.payloads.length, taken + 1);
  assert(
    machine.batches.every((count) => count <= 1),
    'applied in bounded batches',
  );
});

test('what a state machine proposes while it applies is taken', async () => {
  const host = await inMemory(new MemoryStorage());
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  machine.onApply = (entries) => {
    for (const entry of entries) {
      const number = Number(entry.payload.toString());
      if (machine.leading && number < 20) assert.notStrictEqual(group.propose(Buffer.from(`${number + 1}`)), 0);
    }
  };
  await until(() => machine.leading, 'leadership');
  group.propose(Buffer.from('0'));
  await until(() => machine.payloads.length === 21, 'the chain of proposals');
  await host.close();
});

test('the directory is made, and files that are not of the log are left alone', async () => {
  using place = temporaryDirectory();
  const directory = path.join(place.directory, 'a', 'b');
  await (await openRaftHost({ ...options, directory })).close();
  fs.writeFileSync(path.join(directory, 'note.txt'), 'x');
  fs.writeFileSync(path.join(directory, 'new.tmp'), 'x');
  await (await openRaftHost({ ...options, directory })).close();
  assert.strictEqual(fs.existsSync(path.join(directory, 'note.txt')), true);
  assert.strictEqual(fs.existsSync(path.join(directory, 'new.tmp')), false);
});
