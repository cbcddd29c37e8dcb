// The core under disorder: messages lost, doubled and late, members cut off and restarted with unfinished writes lost.
// First nothing wrong may happen, then, when all is healed, the right thing must.

import assert from 'node:assert';
import { test } from 'node:test';
import { Role } from '../../../node/raft/core/index.js';
import { limits } from '../../../proto/limits.js';
import { Cluster } from './cluster.js';
import { randomNumbers, seedOf } from './random.js';

const RUNS = 150;
const STEPS = 6000;

function disturb(cluster: Cluster, random: (bound: number) => number, size: number, counter: { next: number }): void {
  const id = 1 + random(size);
  switch (random(24)) {
    case 0:
      cluster.tick(id);
      break;
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      cluster.ready(id, 1 + random(60));
      break;
    case 6:
    case 7:
    case 8:
      cluster.store(id);
      break;
    case 9:
      cluster.propose(id, `${counter.next++}`);
      break;
    case 10:
      if (random(20) === 0) cluster.member(id).restart();
      break;
    case 11:
      if (random(20) === 0) cluster.cut.add(`${id}>${1 + random(size)}`);
      if (random(60) === 0) cluster.cut.clear();
      break;
    case 12: {
      const message = cluster.network[random(cluster.network.length)];
      if (message !== undefined && random(4) === 0) cluster.network.push(message);
      if (cluster.network.length > 200) cluster.network.splice(random(200), 50);
      break;
    }
    default:
      if (cluster.network.length > 0) cluster.deliver(random(3) === 0 ? random(cluster.network.length) : 0);
  }
}

/** After this many ticks without a fault somebody must lead and everything must be everywhere. */
function heal(cluster: Cluster): void {
  cluster.cut.clear();
  for (let ticks = 0; ticks < 12 * limits.raftElectionTicks; ticks++) {
    for (const id of cluster.members.keys()) cluster.tick(id);
    cluster.settle();
  }
  const leaders = [...cluster.members.values()].filter(({ raft }) => raft.role === Role.LEADER);
  assert.strictEqual(leaders.length, 1, 'one leader');
  const index = cluster.propose(leaders[0]!.id, 'last'); // one leader, as asserted
  assert.notStrictEqual(index, 0);
  cluster.settle();
  for (let ticks = 0; ticks < 3; ticks++) {
    for (const id of cluster.members.keys()) cluster.tick(id);
    cluster.settle();
  }
  for (const { appliedEntries } of cluster.members.values()) assert.strictEqual(appliedEntries.length, index);
}

for (const size of [1, 2, 3, 5]) {
  test(`${size} members under any disorder never disagree, and agree on everything once it ends`, (t) => {
    const seed = seedOf(t);
    let applied = 0;
    for (let run = 0; run < RUNS; run++) {
      const random = randomNumbers(seed + run);
      const cluster = new Cluster(size, random, 3 + random(4));
      const counter = { next: 0 };
      try {
        for (let count = 0; count < STEPS; count++) disturb(cluster, random, size, counter);
        applied += cluster.history.length;
        heal(cluster);
      } catch (error) {
        const { message, stack } = error as Error;
        throw new Error(`run ${run} fails, alone with SEED=${seed + run}: ${message}\n${stack}`, { cause: error });
      }
    }
    assert(applied > RUNS, `${applied} entries were committed under disorder`);
    t.diagnostic(`${applied} entries were committed under disorder in ${RUNS} runs`);
  });
}

test('a member that was cut off does not depose the leader when it comes back', () => {
  const cluster = new Cluster(3, randomNumbers(1));
  heal(cluster);
  const leader = [...cluster.members.values()].find(({ raft }) => raft.role === Role.LEADER)!; // heal asserts one
  const { term } = leader.raft;
  const other = [...cluster.members.keys()].find((id) => id !== leader.id)!; // three members
  for (const id of cluster.members.keys()) {
    cluster.cut.add(`${id}>${other}`);
    cluster.cut.add(`${other}>${id}`);
  }
  for (let ticks = 0; ticks < 100; ticks++) {
    for (const id of cluster.members.keys()) cluster.tick(id);
    cluster.settle();
  }
  heal(cluster);
  assert.strictEqual(leader.raft.role, Role.LEADER);
  assert.strictEqual(leader.raft.term, term);
});

test('a leader that reaches no quorum steps down within two election timeouts', () => {
  const cluster = new Cluster(3, randomNumbers(1));
  heal(cluster);
  const leader = [...cluster.members.values()].find(({ raft }) => raft.role === Role.LEADER)!; // heal asserts one
  for (const id of cluster.members.keys()) cluster.cut.add(`${id}>${leader.id}`);
  for (let ticks = 0; ticks < 2 * limits.raftElectionTicks; ticks++) {
    cluster.tick(leader.id);
    cluster.settle();
  }
  assert.notStrictEqual(leader.raft.role, Role.LEADER);
});
