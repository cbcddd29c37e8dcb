import assert from 'node:assert';
import fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { FILE, type HeldGroup, heldGroup, temporaryDirectory, turn } from './support.js';

function fresh(t: TestContext): HeldGroup {
  const directory = temporaryDirectory();
  const held = heldGroup(directory);
  t.after(async () => {
    await held.engine.close();
    fs.rmSync(directory, { recursive: true });
  });
  return held;
}

const statusOf = (error: unknown): Status => (error as OfsError).status;
const refusedWith = (status: Status) => (error: Error) => error instanceof OfsError && error.status === status;
const create = (held: HeldGroup, name: string) => ['mknod', { parent: held.root, name, ...FILE }] as const;

test('reads, errors and answers that changed nothing leave only when the write they saw is applied', async (t) => {
  const held = fresh(t);
  const order: string[] = [];
  const asked = [
    held.ask(...create(held, 'f')).then(() => order.push('write')),
    held.ask('lookup', { parent: held.root, name: 'f' }).then(() => order.push('read')),
    held.ask(...create(held, 'f')).catch((error) => order.push(`error ${statusOf(error)}`)),
    held
      .ask('mknod', { parent: held.root, name: 'f', ...FILE, exclusive: false })
      .then(({ created }) => order.push(`unchanged ${created}`)),
  ];
  await turn();
  assert.deepStrictEqual(order, []);
  assert.strictEqual(held.log.entries.length, 1, 'only what changed something is proposed');
  held.log.commit();
  await Promise.all(asked);
  assert.deepStrictEqual(order, ['write', 'read', `error ${Status.EXIST}`, 'unchanged false']);
});

test('few answers to other processes leave when they are committed, many, and those to this one, when applied', async (t) => {
  const held = fresh(t);
  let answered = 0;
  let number = 0;
  const count = () => answered++;
  const opened = held.ask('sessionOpen', { session: 9, client: 'test' });
  held.log.commit();
  await opened;
  const distant = () => ({ session: 9, number: ++number, window: number });
  const few = [
    held.ask(...create(held, 'a'), distant()),
    held.ask('lookup', { parent: held.root, name: 'a' }, distant()),
  ];
  for (const asked of few) asked.then(count).catch(assert.fail);
  await turn();
  assert.strictEqual(answered, 0);
  held.log.decide();
  await Promise.all(few);
  assert.strictEqual(held.log.acknowledged, held.log.last, 'readers of their own were told first');
  assert.strictEqual(held.engine.applied().index, held.log.last - 1);
  const { attr } = await held.ask('lookup', { parent: held.root, name: 'a' });
  await assert.rejects(held.ask(...create(held, 'a')), refusedWith(Status.EXIST));
  held.log.commit();
  assert.deepStrictEqual((await held.ask('lookup', { parent: held.root, name: 'a' })).attr, attr);

  const applied = async (asked: Promise<unknown>[]) => {
    answered = 0;
    for (const answer of asked) answer.then(count).catch(assert.fail);
    await turn();
    held.log.decide();
    await turn();
    assert.strictEqual(answered, 0);
    held.log.commit();
    await Promise.all(asked);
  };
  await applied(Array.from({ length: 16 }, (_, at) => held.ask(...create(held, `many${at}`), distant())));
  await applied([held.ask(...create(held, 'b'), distant()), held.ask(...create(held, 'c'))]);
});

test('with nothing under way a read is answered in the same turn', async (t) => {
  const held = fresh(t);
  let answered = false;
  const asked = held.ask('getattr', { inode: held.root }).then(() => {
    answered = true;
  });
  await Promise.resolve();
  await turn();
  assert.ok(answered);
  assert.strictEqual(held.log.entries.length, 0);
  await asked;
});

test('without a lease a read waits for an entry of its own', async (t) => {
  const held = fresh(t);
  held.lease.holds = false;
  let answered = 0;
  const count = () => answered++;
  const asked = [1, 2].map(() => held.ask('getattr', { inode: held.root }).then(count));
  await turn();
  assert.strictEqual(answered, 0);
  assert.strictEqual(held.log.entries.length, 1, 'one entry serves all that came before it');
  held.log.commit();
  await Promise.all(asked);
  held.log.refuses = true;
  await assert.rejects(held.ask('getattr', { inode: held.root }), refusedWith(Status.NOT_LEADER));
});

test('when the leadership is lost, all that waits is told so and nothing of it is left', async (t) => {
  const held = fresh(t);
  const kept = held.ask(...create(held, 'kept'));
  held.log.commit();
  await kept;
  const lost = ['a', 'b'].map((name) => held.ask(...create(held, name)));
  const read = held.ask('lookup', { parent: held.root, name: 'a' });
  const refused = [...lost, read].map((answer) => assert.rejects(answer, refusedWith(Status.NOT_LEADER)));
  held.log.lose();
  await Promise.all(refused);
  await assert.rejects(held.ask('getattr', { inode: held.root }), refusedWith(Status.NOT_LEADER));
  held.log.lead();
  await assert.rejects(held.ask('lookup', { parent: held.root, name: 'a' }), refusedWith(Status.NOENT));
  await held.ask('lookup', { parent: held.root, name: 'kept' });
  assert.strictEqual(held.group.state.size, 0);
});

test('a retry under the same number is answered as before, while the first is under way and after a restart', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const held = heldGroup(directory);
  const how = { session: 5, number: 10, window: 3 };
  const first = held.ask(...create(held, 'f'), how);
  const second = held.ask(...create(held, 'f'), how);
  await turn();
  assert.strictEqual(held.log.entries.length, 1);
  held.log.commit();
  const { attr } = await first;
  assert.deepStrictEqual((await second).attr, attr);
  await held.engine.close();
  const again = heldGroup(directory);
  assert.deepStrictEqual((await again.ask(...create(again, 'f'), how)).attr, attr);
  await assert.rejects(again.ask(...create(again, 'f'), { ...how, number: 11 }), refusedWith(Status.EXIST));
  await again.engine.close();
});

test('a request below the window is refused, its answers are dropped, and a restart knows it', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const held = heldGroup(directory);
  const rows = (): number => {
    let count = 0;
    held.engine.scan('q', 'r', () => ++count > 0);
    return count;
  };
  for (let number = 1; number <= 10; number++) {
    const asked = held.ask(...create(held, `f${number}`), { session: 5, number, window: 2 });
    held.log.commit();
    await asked;
  }
  assert.strictEqual(rows(), 3, 'the newest and the two below it');
  await assert.rejects(
    held.ask(...create(held, 'late'), { session: 5, number: 7, window: 0 }),
    refusedWith(Status.RETRY_TOO_OLD),
  );
  await held.engine.close();
  const again = heldGroup(directory);
  await assert.rejects(
    again.ask(...create(again, 'late'), { session: 5, number: 7, window: 0 }),
    refusedWith(Status.RETRY_TOO_OLD),
  );
  const { attr } = await again.ask(...create(again, 'f8'), { session: 5, number: 8, window: 0 });
  assert.ok(attr.inode > 0, 'an answer that is kept is given');
  await again.engine.close();
});

test('requests over the bounds wait in order, and BUSY is answered when the queue is full', async (t) => {
  const held = fresh(t);
  held.log.refuses = true;
  const none = held.ask(...create(held, 'none'));
  await assert.rejects(none, refusedWith(Status.BUSY), 'with nothing under way there is nothing to wait for');
  held.log.refuses = false;
  const first = held.ask(...create(held, 'first'));
  held.log.refuses = true;
  const waiting = Array.from({ length: limits.fileQueueRequests }, (_, index) =>
    held.ask(...create(held, `f${index}`)),
  );
  await assert.rejects(held.ask(...create(held, 'over')), refusedWith(Status.BUSY));
  const elsewhere = held.ask('mkdir', { parent: held.root + 1, name: 'd', mode: 0, uid: 0, gid: 0 });
  held.log.refuses = false;
  held.log.commit();
  await first;
  held.log.commit();
  const made = await Promise.all(waiting);
  const inodes = made.map(({ attr }) => attr.inode);
  assert.deepStrictEqual(
    inodes,
    inodes.toSorted((a, b) => a - b),
    'in order of arrival',
  );
  await assert.rejects(elsewhere, (error: OfsError) => error.status !== Status.BUSY);
});

test('a full disk is said to be one', async (t) => {
  const held = fresh(t);
  held.log.full = true;
  await assert.rejects(held.ask(...create(held, 'f')), refusedWith(Status.NOSPC));
  held.log.full = false;
  const asked = held.ask(...create(held, 'f'));
  held.log.commit();
  await asked;
});

test('a transaction over its limits changes nothing', async (t) => {
  const held = fresh(t);
  const tooMany = held.group.run((transaction) => {
    for (let row = 0; row <= limits.transactionKeys; row++) transaction.put(`z${row}`, Buffer.alloc(1));
  });
  await assert.rejects(tooMany, refusedWith(Status.FBIG));
  const tooLong = held.group.run((transaction) => transaction.put('z', Buffer.alloc(limits.raftEntryBytes)));
  await assert.rejects(tooLong, refusedWith(Status.FBIG));
  assert.strictEqual(held.group.state.size, 0);
  assert.strictEqual(held.group.state.get('z'), undefined);
  assert.strictEqual(held.log.entries.length, 0);
});

test('entries that are applied already are not applied again', async (t) => {
  const held = fresh(t);
  const asked = held.ask(...create(held, 'f'));
  const { entry } = held.log.entries[0]!;
  held.log.commit();
  await asked;
  const before = held.engine.applied();
  held.group.apply([entry]);
  assert.deepStrictEqual(held.engine.applied(), before);
  assert.throws(() => held.group.apply([{ ...entry, index: entry.index + 2 }]), /one after another/);
});

test('an apply that finds no space takes the reserve, and then only what frees space is taken', async (t) => {
  const held = fresh(t);
  const before = held.ask(...create(held, 'before'));
  const { engine } = held;
  const apply = engine.apply.bind(engine);
  t.mock.method(engine, 'apply', (...given: Parameters<typeof apply>) => {
    if (held.reserve.stands) throw new Error('Input/output error');
    return apply(...given);
  });
  held.log.commit();
  await before;
  assert.strictEqual(held.reserve.stands, false);
  await assert.rejects(held.ask(...create(held, 'more')), refusedWith(Status.NOSPC));
  await held.ask('lookup', { parent: held.root, name: 'before' });
  const freed = held.ask('unlink', { parent: held.root, name: 'before' });
  held.log.commit();
  await freed;
  held.reserve.stands = true;
  const after = held.ask(...create(held, 'after'));
  held.reserve.stands = false;
  held.log.commit();
  await after;
});

test('a retry is answered without a lease, once the others have confirmed that this node leads', async (t) => {
  const held = fresh(t);
  const how = { session: 7, number: 1, window: 1 };
  const first = held.ask(...create(held, 'f'), how);
  held.log.commit();
  const { attr } = await first;
  held.lease.holds = false;
  let answered = false;
  const again = held.ask(...create(held, 'f'), how).then((answer) => {
    answered = true;
    return answer;
  });
  await turn();
  assert.strictEqual(answered, false);
  held.log.commit();
  assert.deepStrictEqual((await again).attr, attr);
});
