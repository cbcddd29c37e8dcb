// Run by crash.test.ts, to be killed: opens the log in the directory given, checks that the entries are numbered without
// a gap, says how many there are, then proposes on and says, a line each time, how many are acknowledged.

import assert from 'node:assert';
import fs from 'node:fs';
import { openRaftHost, type RaftGroup } from '../../../node/raft/index.js';
import { TestMachine, until } from './machine.js';

const GROUPS = 2;
const IN_FLIGHT = 32;
const STDOUT = 1;

const host = await openRaftHost({ directory: process.argv[2] ?? '', segmentBytes: 1 << 20, warn: () => undefined });
const machines = Array.from({ length: GROUPS }, () => new TestMachine());
const groups = machines.map((machine, group): RaftGroup => host.addGroup(group, machine));
await until(() => machines.every((machine) => machine.leading), 'leadership');

/** How many entries are there in all; each group's are numbered from 0. */
function count(): number {
  let total = 0;
  for (const { payloads } of machines) {
    const last = payloads.at(-1);
    if (last !== undefined) assert.strictEqual(Number(last), payloads.length - 1);
    total += payloads.length;
  }
  return total;
}

for (const { payloads } of machines) {
  for (const [at, payload] of payloads.entries()) assert.strictEqual(Number(payload), at);
}
fs.writeSync(STDOUT, `${count()}\n`);

machines.forEach((machine, at) => {
  let proposed = machine.payloads.length;
  const propose = (): void => {
    const index = groups[at]?.propose(Buffer.from(`${proposed}`)) ?? 0;
    if (index !== 0) proposed++;
    else setImmediate(propose);
  };
  machine.onApply = (entries) => {
    for (const _ of entries) propose();
    fs.writeSync(STDOUT, `${count()}\n`);
  };
  for (let start = 0; start < IN_FLIGHT; start++) propose();
});
// The log's writes keep the process alive until it is killed.
setInterval(() => undefined, 1000);
