// Quorums against their definition: every possible set of voters that agrees.

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { isVoter, memberIds, quorumReached, voteResult, voterIds } from '../../../node/raft/core/quorum.js';
import { Inflights, Progress } from '../../../node/raft/core/tracker.js';

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
const configuration = fc.record({
  voters: ids,
  outgoing: fc.oneof(fc.constant<number[]>([]), ids),
  learners: fc.constant<number[]>([]),
  learnersNext: fc.constant<number[]>([]),
});

function agree(voters: readonly number[], agrees: (id: number) => boolean): boolean {
  return voters.length === 0 || voters.filter(agrees).length * 2 > voters.length;
}

test('the committed index is the highest that a majority of each half has', () => {
  fc.assert(
    fc.property(configuration, fc.array(fc.nat({ max: 9 }), { minLength: 8, maxLength: 8 }), (group, matches) => {
      const matchOf = (id: number): number => matches[id] ?? 0;
      let expected = 0;
      for (let index = 1; index <= 9; index++) {
        const has = (id: number): boolean => matchOf(id) >= index;
        if (agree(group.voters, has) && agree(group.outgoing, has)) expected = index;
      }
      assert.strictEqual(quorumReached(group, matchOf), expected);
    }),
    { numRuns: 3000 },
  );
});

test('a vote is won when both halves grant it, lost when one cannot any more', () => {
  fc.assert(
    fc.property(configuration, fc.array(fc.option(fc.boolean()), { minLength: 8, maxLength: 8 }), (group, cast) => {
      const votes = new Map<number, boolean>();
      for (const [id, vote] of cast.entries()) if (vote !== null) votes.set(id, vote);
      const result = voteResult(group, votes);
      const granted = (id: number): boolean => votes.get(id) === true;
      const possible = (id: number): boolean => votes.get(id) !== false;
      const won = agree(group.voters, granted) && agree(group.outgoing, granted);
      const lost = !(agree(group.voters, possible) && agree(group.outgoing, possible));
      assert.strictEqual(result, won ? 'won' : lost ? 'lost' : 'pending');
    }),
    { numRuns: 3000 },
  );
});

test('a voter of either half is a voter, and listed once', () => {
  const group = { voters: [1, 2, 3], outgoing: [3, 4, 5], learners: [6], learnersNext: [] };
  assert.deepStrictEqual(voterIds(group), [1, 2, 3, 4, 5]);
  assert.deepStrictEqual(memberIds(group), [1, 2, 3, 4, 5, 6]);
  assert.deepStrictEqual(
    [1, 5, 6].map((id) => isVoter(group, id)),
    [true, true, false],
  );
});

test('in-flight messages are freed in order up to what was answered, around the ring', () => {
  const inflights = new Inflights(3, 100);
  let next = 1;
  for (let round = 0; round < 10; round++) {
    while (!inflights.full) inflights.add(next++, 1);
    assert.strictEqual(inflights.count, 3);
    inflights.freeTo(next - 4);
    assert.strictEqual(inflights.count, 3, 'an old answer frees nothing');
    inflights.freeTo(next - 2);
    assert.strictEqual(inflights.count, 1);
  }
  inflights.freeFirst();
  assert.strictEqual(inflights.count, 0);
});

test('a member that matches is sent entries until its window is full, one that may not is probed one at a time', () => {
  const progress = new Progress(5);
  progress.sent(9, 100);
  assert.strictEqual(progress.paused, true, 'a probe is out');
  assert.strictEqual(progress.next, 5);
  assert.strictEqual(progress.refused(7, 2), false, 'an answer to another probe');
  assert.strictEqual(progress.refused(4, 2), true);
  assert.deepStrictEqual([progress.next, progress.paused], [3, false]);
  assert.strictEqual(progress.update(2), true);
  progress.replicate();
  let last = 2;
  while (!progress.paused) progress.sent(++last, 100);
  assert.strictEqual(progress.next, last + 1);
  assert.strictEqual(progress.update(last), true);
  progress.inflights.freeTo(last);
  assert.strictEqual(progress.paused, false);
});
