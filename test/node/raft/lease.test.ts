// Leases in shared memory, read by other threads while they are written.

import assert from 'node:assert';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createLeases, FOREVER, LeaseReader, LeaseWriter, monotonicUs } from '../../../node/raft/index.js';
import { limits } from '../../../proto/limits.js';

test('a lease allows reads until its deadline, and not at it', () => {
  const leases = createLeases();
  const writer = new LeaseWriter(leases);
  let now = 1000;
  const reader = new LeaseReader(leases, () => now);
  assert.strictEqual(reader.mayRead(3), false, 'no record');
  writer.grant(3, { term: 2, deadlineUs: 5000, appliedIndex: 7 });
  assert.strictEqual(reader.mayRead(3), true);
  now = 4999;
  assert.strictEqual(reader.mayRead(3), true);
  now = 5000;
  assert.strictEqual(reader.mayRead(3), false);
  writer.grant(3, { term: 2, deadlineUs: FOREVER, appliedIndex: 7 });
  assert.strictEqual(reader.mayRead(3), true);
  writer.acknowledging(3, 9);
  writer.applied(3, 8);
  assert.strictEqual(reader.mayRead(3), false, 'an answer has left that a snapshot does not show');
  assert.strictEqual(reader.inForce(3), true);
  writer.applied(3, 9);
  assert.strictEqual(reader.mayRead(3), true);
  writer.clear(3);
  assert.strictEqual(reader.mayRead(3), false);
  writer.clear(4);
});

test('numbers of 53 bits and as many groups as a thread may have keep their own records', () => {
  const leases = createLeases();
  const writer = new LeaseWriter(leases);
  const reader = new LeaseReader(leases);
  const groupOf = (number: number): number => (number % 2 === 0 ? number : 0xffffffff - 1 - number);
  for (let number = 0; number < limits.raftGroupsPerThread; number++) {
    const group = groupOf(number);
    writer.grant(group, { term: 2 ** 53 - 1 - number, deadlineUs: 2 ** 52 + number, appliedIndex: 2 ** 40 + number });
  }
  const lease = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };
  for (let number = 0; number < limits.raftGroupsPerThread; number++) {
    assert(reader.read(groupOf(number), lease));
    assert.deepStrictEqual(lease, {
      term: 2 ** 53 - 1 - number,
      deadlineUs: 2 ** 52 + number,
      appliedIndex: 2 ** 40 + number,
      acknowledgedIndex: 2 ** 40 + number,
    });
  }
});

const READER = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ LeaseReader, monotonicUs }) => {
    const reader = new LeaseReader(workerData.leases);
    const stop = new Int32Array(workerData.stop);
    const lease = { term: 0, deadlineUs: 0, appliedIndex: 0 };
    let torn = 0;
    let changes = 0;
    let last = 0;
    parentPort.postMessage(monotonicUs());
    while (Atomics.load(stop, 0) === 0) {
      if (!reader.read(1, lease)) continue;
      if (lease.deadlineUs !== lease.term * 3 || lease.appliedIndex !== lease.term * 5) torn++;
      if (lease.term !== last) Atomics.store(stop, 1, ++changes);
      last = lease.term;
    }
    parentPort.postMessage(torn);
  });`;

test('a reader in another thread never sees half of one record and half of another, and has the same clock', async () => {
  const leases = createLeases();
  const writer = new LeaseWriter(leases);
  const stop = new SharedArrayBuffer(8);
  const module = new URL('../../../node/raft/lease.js', import.meta.url).href;
  const worker = new Worker(READER, { eval: true, workerData: { leases, stop, module } });
  const before = monotonicUs();
  const [theirs] = (await once(worker, 'message')) as [number];
  assert(theirs >= before - 1000 && theirs <= monotonicUs() + 1000, 'one clock, to a millisecond');
  const shared = new Int32Array(stop);
  const deadline = monotonicUs() + 10_000_000;
  // High words change too: each step is more than 2^32.
  for (let term = 1; Atomics.load(shared, 1) < 1000 && monotonicUs() < deadline; term += 2 ** 33 + 1) {
    writer.grant(1, { term: term % 2 ** 50, deadlineUs: (term % 2 ** 50) * 3, appliedIndex: (term % 2 ** 50) * 5 });
    for (const pause = monotonicUs() + 3; monotonicUs() < pause; );
  }
  Atomics.store(shared, 0, 1);
  const [torn] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  assert.strictEqual(torn, 0);
  assert(Atomics.load(shared, 1) >= 1000, 'records were seen while they changed');
});
