// A raft host over a real directory: groups of one from proposal to state machine, over restarts.

import assert from 'node:assert';
import { test } from 'node:test';
import { openRaftHost } from '../../../node/raft/index.js';
import { TestMachine, temporaryDirectory, unexpected, until } from './machine.js';

const options = { fatal: unexpected, warn: unexpected, segmentBytes: 1 << 20 };

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
