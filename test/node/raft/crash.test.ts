// What a crash leaves: by simulation on a disk in memory that keeps any part of the write under way, and by killing
// real processes on a real disk. Every acknowledged entry must be there afterwards.

import assert from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openRaftHost, type RaftGroup } from '../../../node/raft/index.js';
import { TestMachine, temporaryDirectory, unexpected, until } from './machine.js';
import { MemoryStorage } from './memory-storage.js';
import { randomNumbers, seedOf } from './random.js';

const GROUPS = 3;
const LIVES = 150;

/** What a group's state machine had when a checkpoint of it was taken. */
interface Checkpoint {
  index: number;
  term: number;
  payloads: readonly string[];
}

interface Member {
  machine: TestMachine;
  group: RaftGroup;
  checkpoint: Checkpoint;
  proposed: number;
}

class Life {
  constructor(
    private readonly random: (bound: number) => number,
    readonly members: Member[],
  ) {}

  /** Does one thing, as a thread would in a turn of its loop. */
  act(): void {
    const member = this.members[this.random(GROUPS)]!;
    if (!member.machine.leading) return;
    if (this.random(12) === 0) {
      const { machine } = member;
      member.checkpoint = { index: machine.appliedIndex, term: machine.appliedTerm, payloads: [...machine.payloads] };
      member.group.compact(machine.appliedIndex);
      return;
    }
    for (let count = this.random(6); count > 0; count--) {
      const payload = `${member.proposed}:`.padEnd(this.random(4) === 0 ? 3000 : 30, 'x');
      if (member.group.propose(Buffer.from(payload)) !== 0) member.proposed++;
    }
  }
}

function restored(checkpoint: Checkpoint): TestMachine {
  const machine = new TestMachine(checkpoint.index, checkpoint.term);
  machine.payloads.push(...checkpoint.payloads);
  return machine;
}

test('whatever part of the write under way a crash leaves, no acknowledged entry is lost and none is made up', async (t) => {
  const seed = seedOf(t);
  const random = randomNumbers(seed);
  let storage = new MemoryStorage();
  const checkpoints = Array.from({ length: GROUPS }, (): Checkpoint => ({ index: 0, term: 0, payloads: [] }));
  const acknowledged = Array.from({ length: GROUPS }, (): readonly string[] => []);
  for (let life = 0; life < LIVES; life++) {
    const host = await openRaftHost({
      directory: 'memory',
      storage,
      segmentBytes: 1 << 16,
      fatal: unexpected,
      warn: () => undefined,
      random,
    });
    const members = checkpoints.map((checkpoint, group): Member => {
      const machine = restored(checkpoint);
      return { machine, group: host.addGroup(group, machine), checkpoint, proposed: 0 };
    });
    if (random(10) !== 0) {
      await until(() => members.every(({ machine }) => machine.leading), 'all lead');
      members.forEach((member, group) => {
        const before = acknowledged[group]!;
        const { payloads } = member.machine;
        assert.deepStrictEqual(
          payloads.slice(0, before.length),
          before,
          `group ${group} in life ${life}, SEED=${seed}`,
        );
        for (const [at, payload] of payloads.entries()) assert.strictEqual(Number.parseInt(payload, 10), at);
        member.proposed = payloads.length;
      });
      const doing = new Life(random, members);
      for (let turns = random(60); turns > 0; turns--) {
        doing.act();
        if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const share = random(5);
    storage = storage.crash(() => random(4) < share);
    members.forEach((member, group) => {
      checkpoints[group] = member.checkpoint;
      if (member.machine.payloads.length >= acknowledged[group]!.length) acknowledged[group] = member.machine.payloads;
    });
  }
  assert(acknowledged.every((payloads) => payloads.length > LIVES));
});

const CHILD = path.join(path.dirname(fileURLToPath(import.meta.url)), 'crash-child.js');

/** Reads what a child says until it is killed, a line each: how many entries it has acknowledged. */
async function runAndKill(
  directory: string,
  afterEntries: number,
): Promise<{ replayed: number; acknowledged: number }> {
  const child: ChildProcess = spawn(process.execPath, [CHILD, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let killed = false;
  child.stdout?.on('data', (data: Buffer) => {
    text += data.toString();
    const [first, ...rest] = text.split('\n');
    const last = Number(rest.at(-2) ?? 0);
    if (killed || rest.length < 2 || last < Number(first) + afterEntries) return;
    killed = true;
    child.kill('SIGKILL');
  });
  await once(child, 'close');
  assert.strictEqual(child.signalCode, 'SIGKILL', `the child ended by itself: ${text.slice(0, 200)}`);
  const lines = text.split('\n').slice(0, -1).map(Number);
  return { replayed: lines[0] ?? 0, acknowledged: lines.at(-1) ?? 0 };
}

test('a process that is killed while it writes has every acknowledged entry when it comes back', async (t) => {
  using place = temporaryDirectory();
  const random = randomNumbers(seedOf(t));
  let acknowledged = 0;
  for (let round = 0; round < 8; round++) {
    const found = await runAndKill(place.directory, 1000 + random(5000));
    assert(found.replayed >= acknowledged, `round ${round}: ${found.replayed} of ${acknowledged} acknowledged entries`);
    assert(found.acknowledged > found.replayed);
    acknowledged = found.acknowledged;
  }
});
