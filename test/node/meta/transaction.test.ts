import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { PendingState, type Proposal } from '../../../node/meta/transaction.js';
import type { View } from '../../../node/meta/view.js';
import { Reader, Writer } from '../../../proto/codec.js';
import { readWriteSet } from '../../../proto/meta/index.js';
import { seedOf } from './support.js';

const seed = seedOf('transaction.test');

/** Rows applied: a plain map. */
class Rows implements View {
  readonly map = new Map<string, Buffer>();

  get(key: string): Buffer | undefined {
    return this.map.get(key);
  }

  scan(start: string, end: string, visit: (key: string, value: Buffer) => boolean): void {
    for (const key of [...this.map.keys()].sort()) {
      if (key >= start && key < end && !visit(key, this.map.get(key)!)) return;
    }
  }
}

type Change = { key: string; value: string | null };
type Step =
  | { kind: 'transact'; changes: Change[]; fails: boolean }
  | { kind: 'apply'; count: number }
  | { kind: 'drop'; count: number }
  | { kind: 'scan'; start: string; end: string; limit: number };

const key = fc.stringMatching(/^[a-d]{1,3}\xff?$/);
const changes = fc.array(fc.record({ key, value: fc.option(fc.string({ maxLength: 4 })) }), { maxLength: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('transact' as const), changes, fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('apply' as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), count: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('scan' as const),
      start: key,
      end: key,
      limit: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

function scanned(view: View, start: string, end: string, limit: number): string[] {
  const found: string[] = [];
  view.scan(start, end, (at, value) => {
    found.push(`${at}=${value}`);
    return found.length < limit;
  });
  return found;
}

/** The model: the whole state after each proposal, as a plain map. */
class Model {
  readonly states: Map<string, Buffer>[] = [new Map()];

  get newest(): Rows {
    const rows = new Rows();
    for (const [at, value] of this.states[this.states.length - 1]!) rows.map.set(at, value);
    return rows;
  }

  propose(list: readonly Change[]): void {
    const next = new Map(this.states[this.states.length - 1]);
    for (const { key: at, value } of list) {
      if (value === null) next.delete(at);
      else next.set(at, Buffer.from(value));
    }
    this.states.push(next);
  }
}

class Run {
  readonly rows = new Rows();
  readonly pending = new PendingState(this.rows);
  readonly model = new Model();
  private readonly proposals: { proposal: Proposal; payload: Buffer }[] = [];
  private readonly writer = new Writer();

  take(next: Step): void {
    if (next.kind === 'transact') this.transact(next.changes, next.fails);
    else if (next.kind === 'apply') this.apply(next.count);
    else if (next.kind === 'drop') this.drop(next.count);
    else this.check(next.start, next.end, next.limit);
    this.check('', '\xff\xff', Number.POSITIVE_INFINITY);
  }

  private transact(list: readonly Change[], fails: boolean): void {
    const proposal = this.pending.begin();
    const within = this.model.newest;
    for (const { key: at, value } of list) {
      if (value === null) {
        this.pending.delete(at);
        within.map.delete(at);
      } else {
        this.pending.put(at, Buffer.from(value));
        within.map.set(at, Buffer.from(value));
      }
      assert.deepStrictEqual(this.pending.get(at), within.get(at), 'a transaction sees its own changes');
    }
    assert.deepStrictEqual(scanned(this.pending, 'a', 'e', 100), scanned(within, 'a', 'e', 100));
    if (fails) {
      this.pending.rollback();
      return;
    }
    this.writer.reset();
    this.pending.encode(proposal, this.writer);
    this.pending.keep();
    this.proposals.push({ proposal, payload: this.writer.take() });
    this.model.propose(list);
  }

  private apply(count: number): void {
    for (const { proposal, payload } of this.proposals.splice(0, count)) {
      readWriteSet(new Reader(payload), (at, value) => {
        if (value === undefined) this.rows.map.delete(at);
        else this.rows.map.set(at, value);
      });
      this.pending.applied(proposal);
      this.model.states.shift();
      assert.deepStrictEqual(this.rows.map.size, this.model.states[0]!.size, 'the write set is what was done');
    }
  }

  private drop(count: number): void {
    const lost = this.proposals.splice(Math.max(0, this.proposals.length - count));
    for (const { proposal } of lost.reverse()) {
      this.pending.dropped(proposal);
      this.model.states.pop();
    }
  }

  private check(start: string, end: string, limit: number): void {
    const expected = this.model.newest;
    assert.deepStrictEqual(scanned(this.pending, start, end, limit), scanned(expected, start, end, limit));
    for (const at of expected.map.keys()) assert.deepStrictEqual(this.pending.get(at), expected.get(at));
    if (this.proposals.length === 0) assert.strictEqual(this.pending.size, 0, 'nothing is kept that is applied');
  }
}

test('the pending state is the plain map of all that is proposed, whatever fails, is applied or is dropped', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const run = new Run();
      for (const next of steps) run.take(next);
    }),
    { seed, numRuns: 300 },
  );
});

test('keys stay in order through thousands of inserts and removals', () => {
  const rows = new Rows();
  const pending = new PendingState(rows);
  const proposals: Proposal[] = [];
  let random = seed;
  const next = (bound: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return Math.floor((random / 2 ** 32) * bound);
  };
  for (let round = 0; round < 3000; round++) {
    const proposal = pending.begin();
    for (let count = 0; count < 3; count++) pending.put(String(next(5000)).padStart(4, '0'), Buffer.from('x'));
    pending.keep();
    proposals.push(proposal);
    if (round % 3 === 2) pending.applied(proposals.shift()!);
  }
  const expected = new Set<string>();
  for (const proposal of proposals) for (const at of proposal.keys) expected.add(at);
  const found: string[] = [];
  pending.scan('', 'z', (at) => {
    found.push(at);
    return true;
  });
  assert.deepStrictEqual(found, [...expected].sort());
});
