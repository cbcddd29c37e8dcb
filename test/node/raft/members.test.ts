// A group of several members, through the driver's face: hosts with the real log and core, in real time.

import assert from 'node:assert';
import { test } from 'node:test';
import { FOREVER } from '../../../node/raft/index.js';
import { MessageKind } from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { until } from './machine.js';
import { GROUP, Members, NOBODY } from './members.js';

async function three(): Promise<Members> {
  const members = new Members();
  const configuration = { ...NOBODY, voters: [1, 2, 3] };
  for (const node of [1, 2, 3]) await members.start(node, configuration);
  await until(() => members.leader !== 0, 'a leader');
  return members;
}

function propose(members: Members, payload: string): number {
  return members.group(members.leader).propose(Buffer.from(payload));
}

async function everywhere(members: Members, payload: string, nodes: readonly number[]): Promise<void> {
  await until(() => nodes.every((node) => members.machine(node).payloads.at(-1) === payload), `${payload} everywhere`);
}

test('what the leader proposes is applied by all, in one order, and only the leader may propose', async () => {
  await using members = await three();
  for (let count = 0; count < 100; count++) assert.notStrictEqual(propose(members, `p${count}`), 0);
  await everywhere(members, 'p99', [1, 2, 3]);
  for (const node of [1, 2, 3]) {
    assert.deepStrictEqual(members.machine(node).payloads, members.machine(1).payloads);
    if (node !== members.leader) assert.strictEqual(members.group(node).propose(Buffer.from('x')), 0);
    assert.strictEqual(members.group(node).leader, members.leader);
  }
});

test("a read at any member sees what was acknowledged before; a lease is the leader's alone", async () => {
  await using members = await three();
  await until(() => members.leases.get(members.leader)!.mayRead(GROUP), 'the lease');
  const index = propose(members, 'x');
  await until(() => members.machine(members.leader).appliedIndex >= index, 'acknowledged');
  for (const node of [1, 2, 3]) {
    const read = await new Promise<number>((resolve) => {
      assert.strictEqual(members.group(node).readIndex(resolve), true);
    });
    assert(read >= index && members.machine(node).payloads.includes('x'));
    assert.strictEqual(members.leases.get(node)!.mayRead(GROUP), node === members.leader);
  }
});

test('a leader that is cut off loses its lease and its leadership, and what it proposed alone is dropped', async () => {
  await using members = await three();
  const old = members.leader;
  await until(() => members.leases.get(old)!.mayRead(GROUP), 'the lease');
  members.cut.add(old);
  members.group(old).propose(Buffer.from('lost'));
  await until(() => members.leader !== 0, 'another leader');
  assert.strictEqual(members.leases.get(old)!.mayRead(GROUP), false);
  propose(members, 'kept');
  const next = members.leader;
  await everywhere(
    members,
    'kept',
    [1, 2, 3].filter((node) => node !== old),
  );
  await until(() => !members.machine(old).leading, 'the old leader knows');
  members.cut.delete(old);
  await everywhere(members, 'kept', [1, 2, 3]);
  assert(!members.machine(old).payloads.includes('lost'));
  assert.strictEqual(members.leader, next);
});

test('leadership is handed over on request', async () => {
  await using members = await three();
  const target = (members.leader % 3) + 1;
  members.group(members.leader).transfer(target);
  await until(() => members.machine(target).leading, 'the target leads');
  propose(members, 'y');
  await everywhere(members, 'y', [1, 2, 3]);
});

test('a node joins by a snapshot, becomes a voter, and the one that leaves is told no more', async () => {
  await using members = await three();
  await members.start(4, NOBODY);
  for (let count = 0; count < 50; count++) propose(members, `p${count}`);
  await everywhere(members, 'p49', [1, 2, 3]);
  for (const node of [1, 2, 3]) members.group(node).compact(members.machine(node).takeCheckpoint());
  await until(() => members.group(members.leader).status.firstIndex > 50, 'the log is cut');
  const leader = () => members.group(members.leader);
  assert.match(leader().changeRefusal([{ id: 4, to: 'voter' }]) ?? '', /learner/);
  assert.notStrictEqual(leader().change([{ id: 4, to: 'learner' }]), 0);
  await until(() => members.machine(4).payloads.length === 50, 'the learner has it all');
  assert.strictEqual(members.machine(4).installed, 1);
  const leaving = (members.leader % 3) + 1;
  await until(() => leader().changeRefusal([{ id: 4, to: 'voter' }]) === null, 'the learner may vote');
  leader().change([
    { id: 4, to: 'voter' },
    { id: leaving, to: 'gone' },
  ]);
  const staying = [1, 2, 3, 4].filter((node) => node !== leaving);
  await until(
    () => leader().members.outgoing.length === 0 && leader().members.voters.includes(4),
    'the change is through',
  );
  propose(members, 'z');
  await everywhere(members, 'z', staying);
  assert.deepStrictEqual([...members.machine(4).configuration.voters].sort(), staying);
  assert(!members.machine(leaving).payloads.includes('z'));
});

test('the log is not cut beyond what a member needs that recovers', async () => {
  await using members = await three();
  const slow = (members.leader % 3) + 1;
  propose(members, 'a');
  await everywhere(members, 'a', [1, 2, 3]);
  members.cut.add(slow);
  const applied = members.machine(slow).appliedIndex;
  for (let count = 0; count < 20; count++) propose(members, `b${count}`);
  await everywhere(
    members,
    'b19',
    [1, 2, 3].filter((node) => node !== slow),
  );
  const group = members.group(members.leader);
  group.compact(members.machine(members.leader).takeCheckpoint());
  propose(members, 'c');
  await until(() => members.machine(members.leader).payloads.at(-1) === 'c', 'c is applied');
  assert(group.status.firstIndex <= applied + 1, 'entries that the slow member lacks are kept');
  members.cut.delete(slow);
  await everywhere(members, 'c', [1, 2, 3]);
  await until(() => group.status.firstIndex > applied + 1, 'the log is cut when nobody needs it');
  assert.strictEqual(members.machine(slow).installed, 0);
});

test('what a node may not say to another is refused', async () => {
  await using members = await three();
  const { core } = members.group(1);
  const malformed = (error: Error): boolean => error instanceof OfsError && error.status === Status.MALFORMED;
  const say = (message: Parameters<typeof core.message>, from: number): void => {
    members.receiver(1).receive(2, [{ group: GROUP, message: { ...core.message(...message), from } }]);
  };
  assert.throws(() => say([MessageKind.HEARTBEAT, 1], 3), malformed, 'in the name of another');
  assert.throws(() => say([MessageKind.HEARTBEAT, 2], 2), malformed, 'what is for another');
  assert.throws(() => say([MessageKind.STORED, 1], 2), malformed, 'what only its own surroundings may say');
  members.receiver(1).receive(2, [{ group: 99, message: { ...core.message(MessageKind.HEARTBEAT, 1), from: 2 } }]);
});

test('a lease that had no end gets one when a group of one gets another member', async () => {
  await using members = new Members();
  await members.start(1, { ...NOBODY, voters: [1] });
  const lease = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };
  const reader = members.leases.get(1)!; // started
  await until(() => reader.read(GROUP, lease), 'the lease');
  assert.strictEqual(lease.deadlineUs, FOREVER);
  await members.start(2, NOBODY);
  const group = members.group(1);
  assert.notStrictEqual(group.change([{ id: 2, to: 'learner' }]), 0);
  assert(!reader.read(GROUP, lease) || lease.deadlineUs !== FOREVER, 'in the same turn');
  await until(() => group.changeRefusal([{ id: 2, to: 'voter' }]) === null, 'the learner may vote');
  group.change([{ id: 2, to: 'voter' }]);
  await until(() => group.members.outgoing.length === 0 && group.members.voters.length === 2, 'two voters');
  await until(() => reader.mayRead(GROUP), 'a lease by rounds');
  members.cut.add(2);
  await until(() => !reader.mayRead(GROUP), 'the lease is over');
});
