import assert from 'node:assert';
import fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { PendingState } from '../../../node/meta/transaction.js';
import type { Transaction, View } from '../../../node/meta/view.js';
import { Reader } from '../../../proto/codec.js';
import { readWriteSet } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type HeldGroup, heldGroup, seedOf, temporaryDirectory, turn } from './support.js';

const seed = seedOf('long-transaction.test');

function fresh(t: TestContext): HeldGroup {
  const directory = temporaryDirectory();
  const held = heldGroup(directory);
  t.after(async () => {
    await held.engine.close();
    fs.rmSync(directory, { recursive: true });
  });
  return held;
}

function count(view: View): number {
  let rows = 0;
  view.scan('z', 'z\xff', () => ++rows > 0);
  return rows;
}

const row = Buffer.from('row');

async function put(held: HeldGroup, key: string): Promise<void> {
  const done = held.group.run((transaction) => transaction.put(key, row));
  held.log.commit();
  await done;
}

/** Commits whatever is proposed, every turn, until `work` has ended. */
async function committing<T>(held: HeldGroup, work: Promise<T>): Promise<T> {
  let ended = false;
  const settled = work.finally(() => {
    ended = true;
  });
  while (!ended) {
    held.log.commit();
    await Promise.race([settled.catch(() => undefined), turn()]);
  }
  return settled;
}

for (const applied of [true, false]) {
  test(`a row that came into a scanned range, ${applied ? 'applied' : 'only proposed'}, runs it again`, async (t) => {
    const held = fresh(t);
    await put(held, 'z1');
    const seen: number[] = [];
    const long = held.group.runLong(async (transaction) => {
      seen.push(count(transaction));
      transaction.put('sum', Buffer.from(String(count(transaction))));
      await turn();
      return seen.length;
    });
    const other = held.group.run((transaction) => transaction.put('z2', row));
    if (applied) held.log.commit();
    else await turn();
    await committing(held, Promise.all([long, other]));
    assert.deepStrictEqual(seen, [1, 2]);
    assert.strictEqual(held.engine.get('sum')!.toString(), '2');
  });
}

test('rows that it did not read run beside it', async (t) => {
  const held = fresh(t);
  await put(held, 'z1');
  let runs = 0;
  const long = held.group.runLong(async (transaction) => {
    runs++;
    assert.strictEqual(count(transaction), 1);
    transaction.put('sum', row);
    await turn();
  });
  const other = held.group.run((transaction) => transaction.put('y', row));
  await committing(held, Promise.all([long, other]));
  assert.strictEqual(runs, 1);
});

test('one that is overtaken every time gives up, and one that fails changes nothing', async (t) => {
  const held = fresh(t);
  const overtaken = held.group.runLong(async (transaction) => {
    transaction.get('z1');
    transaction.put('sum', row);
    await put(held, 'z1');
  });
  await assert.rejects(committing(held, overtaken), (error: OfsError) => error.status === Status.BUSY);
  const failing = held.group.runLong(async (transaction) => {
    transaction.put('sum', row);
    throw new OfsError(Status.PERM, 'no');
  });
  await assert.rejects(failing, (error: OfsError) => error.status === Status.PERM);
  assert.strictEqual(held.engine.get('sum'), undefined);
  assert.strictEqual(held.log.entries.length, 0);
});

interface Step {
  id: string;
  read: string;
  width: number;
  write: string;
  long: boolean;
}

/** Writes what it read, so that whoever read something else would be found out; and its name, for the order. */
function take(transaction: Transaction, { id, read, width, write }: Step): void {
  let found = '';
  transaction.scan(`z${read}`, `z${String.fromCharCode(read.charCodeAt(0) + width)}`, (key, value) => {
    found += `${key}=${value.toString().length},`;
    return true;
  });
  const before = transaction.get(`z${write}`)?.toString() ?? '';
  if (before.length % 3 === 2) transaction.delete(`z${write}`);
  else transaction.put(`z${write}`, Buffer.from(`${before.slice(0, 40)}${found}`));
  transaction.put(`t${id}`, Buffer.from(found));
}

function rowsOf(view: View): string[] {
  const rows: string[] = [];
  for (const [start, end] of [
    ['t', 'u'],
    ['z', '{'],
  ] as const) {
    view.scan(start, end, (key, value) => rows.push(`${key}=${value}`) > 0);
  }
  return rows;
}

/** Names of steps in the order of the log. */
function orderOf(payloads: readonly Buffer[]): string[] {
  const order: string[] = [];
  for (const payload of payloads) {
    readWriteSet(new Reader(payload), (key) => {
      if (key.startsWith('t')) order.push(key.slice(1));
    });
  }
  return order;
}

const nothing: View = { get: () => undefined, scan: () => undefined };

test('long and short transactions together leave exactly what the order of the log leaves, one by one', async (t) => {
  const letter = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const steps = fc.array(
    fc.record({ read: letter, width: fc.integer({ min: 1, max: 3 }), write: letter, long: fc.boolean() }),
    { minLength: 2, maxLength: 16 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (drawn) => {
      const held = fresh(t);
      const list = drawn.map((one, index) => ({ ...one, id: String(index).padStart(2, '0') }));
      const running: Promise<void>[] = [];
      const start = async (one: Step): Promise<void> => {
        if (!one.long) return held.group.run((transaction) => take(transaction, one));
        return held.group
          .runLong(async (transaction) => {
            await turn();
            take(transaction, one);
            await turn();
          })
          .catch((error: OfsError) => assert.strictEqual(error.status, Status.BUSY));
      };
      const all = async (): Promise<void> => {
        for (const one of list) {
          running.push(start(one));
          if (one.width === 1) await turn();
        }
        await Promise.all(running);
      };
      await committing(held, all());
      const byId = new Map(list.map((one) => [one.id, one]));
      const expected = new PendingState(nothing);
      for (const id of orderOf(held.log.payloads)) {
        expected.begin();
        take(expected, byId.get(id)!);
        expected.keep();
      }
      assert.deepStrictEqual(rowsOf(held.engine), rowsOf(expected));
    }),
    { seed, numRuns: 25 },
  );
});
