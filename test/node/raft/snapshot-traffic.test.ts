// What a group's snapshots take of what all groups of a host share.

import assert from 'node:assert';
import { test } from 'node:test';
import type { Raft } from '../../../node/raft/core/index.js';
import { SnapshotTraffic, type Surroundings } from '../../../node/raft/driver/snapshot-traffic.js';
import type { SnapshotStore } from '../../../node/raft/index.js';
import { type Message, MessageKind } from '../../../proto/raft/index.js';
import { NOBODY } from './members.js';

const message = (fields: Partial<Message>): Message =>
  ({ kind: MessageKind.SNAPSHOT, from: 1, to: 2, term: 1, index: 5, logTerm: 1, ...fields }) as Message;

function traffic(surroundings: Surroundings) {
  const progress = new Map([[2, { state: 'snapshot', snapshotIndex: 5 }]]);
  const raft = { id: 1, term: 1, leading: true, tracker: { progress }, message: () => message({}) };
  const readers = { open: 0 };
  const store = {
    newest: { index: 5, term: 1, configuration: NOBODY, bytes: 100 },
    open: () => {
      readers.open++;
      return { read: () => undefined, close: () => void readers.open-- };
    },
  };
  const made = new SnapshotTraffic(
    1,
    raft as unknown as Raft,
    store as unknown as SnapshotStore,
    surroundings,
    () => {},
  );
  return { made, progress, raft, readers };
}

const nobodyWaits: readonly [string, (of: ReturnType<typeof traffic>) => unknown][] = [
  ['the member was removed', ({ progress }) => progress.delete(2)],
  ['it was found to need none', ({ progress }) => progress.set(2, { state: 'replicate', snapshotIndex: 0 })],
  ['it is to have a newer one', ({ progress }) => progress.set(2, { state: 'snapshot', snapshotIndex: 6 })],
  ['another leads', ({ raft }) => Object.assign(raft, { leading: false })],
];

test('a snapshot that nobody waits for any more is not sent on, though the group has no ticks', () => {
  for (const [why, change] of nobodyWaits) {
    const surroundings = { sending: 0, transport: {} } as Surroundings;
    const of = traffic(surroundings);
    of.made.send(message({}));
    of.made.follow();
    assert.strictEqual(surroundings.sending, 1, 'it is waited for');
    change(of);
    of.made.follow();
    assert.deepStrictEqual([surroundings.sending, of.readers.open], [0, 0], why);
  }
});
