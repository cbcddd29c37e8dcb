// The core under disorder: messages lost, doubled and late, members cut off, paused and restarted with unfinished writes
// lost, clocks wrong, while configurations change, logs are cut, leadership is handed over and reads are asked for.
// First nothing wrong may happen, then, when all is healed, the right thing must.

import assert from 'node:assert';
import { test } from 'node:test';
import { type Change, Role } from '../../../node/raft/core/index.js';
import { limits } from '../../../proto/limits.js';
import { EntryKind, type Message, MessageKind } from '../../../proto/raft/index.js';
import { Cluster } from './cluster.js';
import { randomNumbers, seedOf } from './random.js';

const RUNS = 150;
const STEPS = 10_000;
const STORMS = 3000;

interface Disorder {
  readonly cluster: Cluster;
  readonly random: (bound: number) => number;
  /** How many members there are, voters or not. */
  readonly size: number;
  /** How rarely a member is restarted, cut off, and the like. */
  readonly calm: number;
  readonly changing: boolean;
  /** Microseconds that pass in a step, at most, when time passes. */
  readonly paceUs: number;
  /** Messages that were held back. */
  readonly late: Message[];
  proposed: number;
  paused: number;
}

type Act = (disorder: Disorder, id: number) => void;

function deliver({ cluster, random }: Disorder): void {
  const { network } = cluster;
  if (network.length === 0) return;
  const at = random(3) === 0 ? random(network.length) : 0;
  const message = network[at]!; // within its length
  if (message.kind === MessageKind.SNAPSHOT) shipSnapshot(cluster, random, at);
  else cluster.deliver(at);
}

/** The bytes of a snapshot arrive, or do not, and the leader hears of it, or does not. */
function shipSnapshot(cluster: Cluster, random: (bound: number) => number, at: number): void {
  const { index, from, to } = cluster.network[at]!; // the caller's
  const context = random(4) === 0 ? 7 : 0;
  const reject = context === 0 && random(3) === 0;
  if (reject) cluster.network.splice(at, 1);
  else if (context === 0) cluster.deliver(at);
  if (random(3) !== 0) cluster.tell(from, MessageKind.SNAPSHOT_STATUS, { about: to, index, reject, context });
}

function change({ cluster, random, size }: Disorder, id: number): void {
  const changes: Change[] = [];
  for (let count = 1 + random(2); count > 0; count--) {
    const to = (['voter', 'voter', 'learner', 'gone'] as const)[random(4)]!; // four
    changes.push({ id: 1 + random(size), to });
  }
  cluster.change(id, changes);
}

const often: readonly Act[] = [
  ({ cluster, random, paused, paceUs }) => cluster.advance(random(paceUs), paused),
  ({ cluster, random }, id) => cluster.ready(id, 1 + random(60)),
  ({ cluster, random }, id) => cluster.ready(id, 1 + random(60)),
  ({ cluster, random }, id) => cluster.ready(id, 1 + random(60)),
  ({ cluster, random }, id) => cluster.ready(id, 1 + random(60)),
  ({ cluster, random }, id) => cluster.ready(id, 1 + random(60)),
  ({ cluster }, id) => cluster.store(id),
  ({ cluster }, id) => cluster.store(id),
  ({ cluster }, id) => cluster.store(id),
  (disorder, id) => disorder.cluster.propose(id, `${disorder.proposed++}`),
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  deliver,
  (disorder, id) => seldom(disorder, id),
];

/** Much happens within little time, while the network changes between ways of being broken, and time passes. */
function storm(disorder: Disorder): void {
  const { cluster, random, size, paceUs, paused } = disorder;
  if (random(12) === 0) regime(disorder);
  for (const id of cluster.members.keys()) if (random(5) > 0 && id !== paused) workOff(cluster, id);
  for (let count = random(4 * size); count > 0; count--) deliver(disorder);
  if (random(3) === 0) delay(disorder);
  if (random(2) === 0) cluster.advance(random(paceUs), paused);
  const id = 1 + random(size);
  if (random(4) === 0) cluster.propose(id, `${disorder.proposed++}`);
  if (random(4) === 0) seldom(disorder, id);
}

function workOff(cluster: Cluster, id: number): void {
  cluster.ready(id);
  while (cluster.store(id));
  cluster.ready(id);
}

function regime(disorder: Disorder): void {
  const { cluster, random, size } = disorder;
  cluster.cut.clear();
  const kind = random(4);
  if (kind === 0) return;
  const leader = cluster.leadersNow[random(cluster.leadersNow.length)]?.id ?? 1 + random(size);
  isolate(disorder, kind === 1 ? 1 + random(size) : leader);
}

/** Messages that come very late, or all at once. */
function delay({ cluster, random, late }: Disorder): void {
  const { network } = cluster;
  if (random(4) === 0) network.push(...late.splice(random(late.length + 1)));
  if (network.length > 0) late.push(...network.splice(random(network.length), 1 + random(2)));
  if (late.length > 50) late.splice(random(50), 10);
  if (network.length > 60) network.splice(0, 30);
}

/** From some of the others, in one direction or both. */
function isolate({ cluster, random, size }: Disorder, id: number): void {
  const directions = random(3);
  const spared = random(2 * size);
  for (let other = 1; other <= size; other++) {
    if (other === id || other === spared) continue;
    if (directions !== 0) cluster.cut.add(`${id}>${other}`);
    if (directions !== 1) cluster.cut.add(`${other}>${id}`);
  }
}

function seldom(disorder: Disorder, id: number): void {
  const { cluster, random, size, calm, changing } = disorder;
  const { network } = cluster;
  const doubled = network[random(network.length)];
  if (doubled !== undefined && random(4) === 0) network.push(doubled);
  if (network.length > 200) network.splice(random(200), 50);
  cluster.read(1 + random(size));
  if (random(8) === 0) cluster.checkpoint(id);
  if (random(20) === 0) cluster.tell(id, MessageKind.WAKE);
  if (random(calm) === 0) cluster.member(id).restart(random(3) === 0);
  if (random(calm) === 0) cluster.cut.add(`${id}>${1 + random(size)}`);
  if (random(calm) === 0) isolate(disorder, id);
  if (random(2 * calm) === 0) cluster.cut.clear();
  if (random(calm) === 0) disorder.paused = random(2) * id;
  if (random(calm) === 0) cluster.setClocks();
  if (random(calm) === 0) cluster.tell(id, MessageKind.TRANSFER, { about: 1 + random(size) });
  if (random(calm) === 0) cluster.tell(id, MessageKind.UNREACHABLE, { about: 1 + random(size) });
  if (changing && random(2) === 0) change(disorder, id);
}

function tickAll(cluster: Cluster): void {
  cluster.tickAll();
  cluster.settle();
}

/** After this many ticks without a fault somebody must lead and everything must be everywhere. */
function heal(cluster: Cluster): void {
  cluster.cut.clear();
  cluster.wakeAll();
  for (let ticks = 0; ticks < 12 * limits.raftElectionTicks; ticks++) {
    tickAll(cluster);
    // Snapshots whose fate was never told, and members that were asleep, are found out by ticks.
    if (ticks === 6 * limits.raftElectionTicks) cluster.wakeAll();
  }
  for (let ticks = 0; ticks < limits.raftSnapshotTicks; ticks++) tickAll(cluster);
  cluster.wakeAll();
  tickAll(cluster);
  assert.strictEqual(cluster.leadersNow.length, 1, 'one leader');
  const leader = cluster.leadersNow[0]!; // one, as asserted
  assert.deepStrictEqual(leader.raft.configuration.outgoing, [], 'every joint configuration was left');
  const index = cluster.propose(leader.id, 'last');
  assert.notStrictEqual(index, 0);
  for (let ticks = 0; ticks < 3; ticks++) tickAll(cluster);
  const { voters, learners } = leader.raft.configuration;
  for (const id of [...voters, ...learners]) {
    const { disk, asks } = cluster.member(id);
    assert.deepStrictEqual(disk.state, leader.disk.state, `member ${id} has everything`);
    assert.strictEqual(disk.state.index, index);
    assert.deepStrictEqual(asks, [], `reads of member ${id} are answered`);
    assert(disk.state.configuration.voters.length > 0);
  }
}

function runOnce(seed: number, voters: number, spares: number): Cluster {
  const random = randomNumbers(seed);
  const quiesceTicks = random(3) * (4 + random(10));
  const cluster = new Cluster({ voters, spares, random, electionTicks: 3 + random(4), quiesceTicks });
  cluster.setClocks();
  for (const { raft } of cluster.members.values())
    raft.priority = random(2) === 0 ? raft.priority : random(raft.priority);
  const size = voters + spares;
  const changing = spares > 0 && random(3) !== 0;
  const calm = 6 + random(60);
  const paceUs = [20_000, 60_000, 120_000][random(3)]!; // three
  const disorder: Disorder = { cluster, random, size, calm, changing, paceUs, late: [], proposed: 0, paused: 0 };
  if (random(3) === 0) {
    for (let count = 0; count < STEPS; count++) often[random(often.length)]!(disorder, 1 + random(size)); // in its length
  } else {
    for (let count = 0; count < STORMS; count++) storm(disorder);
  }
  return cluster;
}

for (const [voters, spares] of [
  [1, 0],
  [1, 2],
  [2, 0],
  [3, 0],
  [3, 2],
  [5, 1],
] as const) {
  test(`${voters} members, ${spares} to join, never disagree under any disorder, and agree on everything when it ends`, (t) => {
    const seed = seedOf(t);
    const done = { applied: 0, reads: 0, leased: 0, snapshots: 0, configurations: 0 };
    for (let run = 0; run < RUNS; run++) {
      try {
        const cluster = runOnce(seed + run, voters, spares);
        done.applied += cluster.history.length;
        done.reads += cluster.reads;
        done.leased += cluster.leasedSteps;
        done.snapshots += cluster.snapshots;
        done.configurations += cluster.entries.filter(({ kind }) => kind === EntryKind.CONFIGURATION).length;
        heal(cluster);
      } catch (error) {
        const { message, stack } = error as Error;
        throw new Error(`run ${run} fails, alone with SEED=${seed + run}: ${message}\n${stack}`, { cause: error });
      }
    }
    t.diagnostic(`under disorder, in ${RUNS} runs: ${JSON.stringify(done)}`);
    assert(done.applied > RUNS && done.reads > RUNS && (done.leased > RUNS || voters + spares === 1));
    if (spares > 0) assert(done.snapshots > RUNS / 10 && done.configurations > RUNS / 2);
  });
}

function healthy(): Cluster {
  const cluster = new Cluster({ voters: 3, random: randomNumbers(1) });
  heal(cluster);
  return cluster;
}

test('a member that was cut off does not depose the leader when it comes back', () => {
  const cluster = healthy();
  const leader = cluster.leadersNow[0]!; // heal asserts one
  const { term } = leader.raft;
  const other = [...cluster.members.keys()].find((id) => id !== leader.id)!; // three members
  for (const id of cluster.members.keys()) {
    cluster.cut.add(`${id}>${other}`);
    cluster.cut.add(`${other}>${id}`);
  }
  for (let ticks = 0; ticks < 100; ticks++) tickAll(cluster);
  heal(cluster);
  assert.strictEqual(leader.raft.role, Role.LEADER);
  assert.strictEqual(leader.raft.term, term);
});

test('a leader that reaches no quorum steps down within two election timeouts', () => {
  const cluster = healthy();
  const leader = cluster.leadersNow[0]!; // heal asserts one
  for (const id of cluster.members.keys()) cluster.cut.add(`${id}>${leader.id}`);
  for (let ticks = 0; ticks < 2 * limits.raftElectionTicks; ticks++) {
    cluster.tick(leader.id);
    cluster.settle();
  }
  assert.notStrictEqual(leader.raft.role, Role.LEADER);
});
