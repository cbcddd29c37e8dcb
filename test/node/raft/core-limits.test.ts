// What bounds the core: windows to a member that does not answer, bytes that are not committed, sizes of groups; and
// that none of it makes the others wait.

import assert from 'node:assert';
import { test } from 'node:test';
import { type Change, changeRefusal, step } from '../../../node/raft/core/index.js';
import { entryBytes } from '../../../node/raft/core/log.js';
import { limits } from '../../../proto/limits.js';
import { MessageKind } from '../../../proto/raft/index.js';
import { Cluster } from './cluster.js';

const ALL = 1 << 30;

/** A group that member 1 leads. */
function led(voters: number): Cluster {
  const cluster = new Cluster({ voters, random: (bound) => bound - 1 });
  for (let ticks = 0; ticks < 10; ticks++) cluster.tickAll();
  cluster.tell(1, MessageKind.CAMPAIGN);
  cluster.settle();
  assert(cluster.member(1).raft.leading);
  return cluster;
}

/** Lets members 1 and 2 work while nothing reaches member 3; returns the entries that left for it, and their messages. */
function withoutThird(
  cluster: Cluster,
  act: (round: number) => void,
  rounds: number,
): { bytes: number; messages: number } {
  const sent = { bytes: 0, messages: 0 };
  for (let round = 0; round < rounds; round++) {
    act(round);
    for (let turns = 0; turns < 4; turns++) {
      for (const id of [1, 2]) {
        cluster.ready(id, ALL);
        while (cluster.store(id));
      }
      for (const { to, entries } of cluster.network.filter(({ to }) => to === 3)) {
        assert.strictEqual(to, 3);
        if (entries.length === 0) continue;
        sent.messages++;
        for (const entry of entries) sent.bytes += entryBytes(entry);
      }
      cluster.network = cluster.network.filter(({ to }) => to !== 3);
      while (cluster.network.length > 0) cluster.deliver();
    }
  }
  return sent;
}

function healed(cluster: Cluster): void {
  for (let ticks = 0; ticks < 10; ticks++) {
    cluster.tickAll();
    cluster.settle();
  }
  for (const { disk } of cluster.members.values()) assert.strictEqual(disk.state.index, cluster.history.length);
}

test('a member that does not answer is sent no more messages than its window holds, and holds up nobody', () => {
  const cluster = led(3);
  const rounds = limits.raftInflightMessages + 50;
  const { messages } = withoutThird(cluster, () => assert.notStrictEqual(cluster.propose(1, 'x'), 0), rounds);
  assert.strictEqual(messages, limits.raftInflightMessages);
  assert.strictEqual(cluster.history.length, 1 + rounds, 'the two others committed everything');
  healed(cluster);
});

test('a member that does not answer is sent no more bytes than its window holds and one message', () => {
  const cluster = led(3);
  const payload = 'x'.repeat(limits.raftMessageBytes - 100);
  const { bytes } = withoutThird(cluster, () => assert.notStrictEqual(cluster.propose(1, payload), 0), 24);
  assert(bytes >= limits.raftInflightBytes && bytes <= limits.raftInflightBytes + limits.raftMessageBytes, `${bytes}`);
  assert.strictEqual(cluster.history.length, 25, 'the two others committed everything');
  healed(cluster);
});

test('what a member lacks and memory has forgotten is read for it one message an answer', () => {
  const cluster = led(3);
  const payload = 'x'.repeat(limits.raftMessageBytes - 100);
  withoutThird(cluster, () => cluster.propose(1, payload), 24);
  cluster.tell(1, MessageKind.UNREACHABLE, { about: 3 });
  const progress = cluster.member(1).raft.progressOf(3);
  assert(!cluster.member(1).raft.log.remembers(progress.next), 'it is behind the window in memory');
  cluster.ready(1, ALL);
  for (let answers = 0; answers < 5; answers++) {
    const appends = cluster.network.filter(({ to, entries }) => to === 3 && entries.length > 0);
    assert(appends.length <= 1, `${appends.length} messages at once`);
    while (cluster.network.length > 0) cluster.deliver();
    cluster.ready(3, ALL);
    while (cluster.store(3));
    while (cluster.network.length > 0) cluster.deliver();
    cluster.ready(1, ALL);
  }
  healed(cluster);
});

test('proposals are refused while too many bytes are uncommitted, say so, and are taken again afterwards', () => {
  const cluster = led(2);
  const { raft } = cluster.member(1);
  const payload = 'x'.repeat(limits.raftEntryBytes);
  let taken = 0;
  while (cluster.propose(1, payload) !== 0) taken++;
  assert.strictEqual(taken, Math.floor(limits.raftUncommittedBytes / limits.raftEntryBytes));
  assert.strictEqual(raft.refusal(payload.length), 'too many bytes uncommitted');
  cluster.settle();
  assert.strictEqual(raft.uncommittedBytes, 0);
  assert.strictEqual(raft.refusal(payload.length), null);
});

test('a group has no more members than its limit', () => {
  const cluster = led(1);
  const changes: Change[] = Array.from({ length: limits.raftLearners }, (_, at) => ({ id: 2 + at, to: 'learner' }));
  assert.strictEqual(changeRefusal(cluster.member(1).raft, changes), 'too many members');
  assert.strictEqual(changeRefusal(cluster.member(1).raft, changes.slice(1)), null);
});

test('a leader that hears from another leader of its term stops', () => {
  const { raft } = led(3).member(1);
  for (const kind of [MessageKind.APPEND, MessageKind.HEARTBEAT, MessageKind.QUIESCE, MessageKind.SNAPSHOT]) {
    assert.throws(() => step(raft, { ...raft.message(kind, 1), from: 2 }), /claims to lead term 1/);
  }
});
