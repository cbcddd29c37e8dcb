// The checker on registers: histories whose verdict is known, random ones against the definition itself, and its speed.

import assert from 'node:assert';
import { test } from 'node:test';
import { seededRandom } from '../support/random.js';
import { bruteForce } from './brute-force.js';
import { execute } from './generate.js';
import { check, type Operation, type RegisterAnswer, type RegisterRequest, registers, UNKNOWN } from './index.js';

type RegisterOperation = Operation<RegisterRequest, RegisterAnswer>;
type Times = readonly [number, number | null];

const key = 'x';
const model = registers(0);

function read(client: number, [invoked, returned]: Times, value: number): RegisterOperation {
  return { client, invoked, returned, request: { kind: 'read', key }, answer: { value } };
}

function write(client: number, [invoked, returned]: Times, value: number): RegisterOperation {
  const answer = returned === null ? UNKNOWN : {};
  return { client, invoked, returned, request: { kind: 'write', key, value }, answer };
}

function cas(client: number, [invoked, returned]: Times, change: readonly [number, number], done: boolean) {
  const [expected, value] = change;
  const answer = returned === null ? UNKNOWN : { done };
  return { client, invoked, returned, request: { kind: 'cas', key, expected, value }, answer } as RegisterOperation;
}

const good: Record<string, RegisterOperation[]> = {
  'nothing at all': [],
  'a read beside a write sees the old value': [write(1, [1, 4], 5), read(2, [2, 3], 0)],
  'a read beside a write sees the new value': [write(1, [1, 4], 5), read(2, [2, 3], 5)],
  'two reads beside a write see old, then new': [write(1, [1, 9], 5), read(2, [2, 3], 0), read(2, [4, 5], 5)],
  'a write without an answer took effect': [write(1, [1, null], 5), read(2, [2, 3], 5)],
  'a write without an answer took effect late': [write(1, [1, null], 5), read(2, [2, 3], 0), read(2, [4, 5], 5)],
  'a write without an answer never took effect': [write(1, [1, null], 5), read(2, [2, 3], 0), write(2, [4, 5], 6)],
  'of two compare-and-sets one is refused': [cas(1, [1, 4], [0, 1], true), cas(2, [2, 3], [0, 2], false)],
  'a write of the same value comes after another': [
    write(1, [1, 2], 5),
    write(1, [3, 8], 5),
    write(2, [4, 7], 7),
    read(3, [9, 10], 5),
  ],
  'operations that touch at an instant are concurrent': [write(1, [1, 2], 5), read(2, [2, 3], 0)],
};

const bad: Record<string, RegisterOperation[]> = {
  'a read is stale': [write(1, [1, 2], 5), read(2, [3, 4], 0)],
  'a read sees what nobody wrote': [write(1, [1, 2], 5), read(2, [3, 4], 6)],
  'a read sees what is written later': [read(2, [1, 2], 5), write(1, [3, 4], 5)],
  'two reads beside a write see new, then old': [write(1, [1, 9], 5), read(2, [2, 3], 5), read(2, [4, 5], 0)],
  'an update is lost': [cas(1, [1, 4], [0, 1], true), cas(2, [2, 5], [0, 2], true)],
  'a compare-and-set is refused for no reason': [cas(1, [1, 2], [0, 1], false)],
  'a write without an answer takes effect before it begins': [read(2, [1, 2], 5), write(1, [3, null], 5)],
  'a write without an answer takes effect twice': [
    write(1, [1, null], 5),
    read(2, [2, 3], 5),
    write(2, [4, 5], 6),
    read(2, [6, 7], 6),
    write(2, [8, 9], 7),
    read(2, [10, 11], 5),
    write(2, [12, 13], 8),
    read(2, [14, 15], 5),
  ],
};

for (const [name, history] of Object.entries(good)) {
  test(`accepted: ${name}`, () => assert.strictEqual(check(model, history).verdict, 'ok'));
}

for (const [name, history] of Object.entries(bad)) {
  test(`refused: ${name}`, () => assert.strictEqual(check(model, history).verdict, 'illegal'));
}

test('what is refused comes with the longest prefixes and the operation that fits nowhere', () => {
  const history = [write(1, [1, 2], 5), write(2, [3, 6], 6), write(3, [4, 5], 7), read(1, [7, 8], 5)];
  const verdict = check(model, history);
  assert(verdict.verdict === 'illegal');
  assert.strictEqual(verdict.operations[verdict.stuck], history[3]);
  const orders = verdict.prefixes.map(({ order, state }) => [order, state]);
  assert.deepStrictEqual(orders.sort(), [
    [[0, 1, 2], '7'],
    [[0, 2, 1], '6'],
  ]);
});

test('the end of a limit is unknown, and an illegal part beside it is still illegal', () => {
  const other = { kind: 'write', key: 'y', value: 1 } as const;
  const many: RegisterOperation[] = [];
  for (let client = 0; client < 9; client++) many.push(write(client, [1, 100], client + 1));
  many.push(read(20, [200, 201], 99));
  const options = { steps: 500 };
  assert.strictEqual(check(model, many, options).verdict, 'unknown');
  assert.strictEqual(check(model, many, { memo: 10 }).verdict, 'unknown');
  assert.strictEqual(check(model, many, { ms: -1 }).verdict, 'unknown');
  const stale: RegisterOperation[] = [
    { client: 1, invoked: 1, returned: 2, request: other, answer: {} },
    { client: 1, invoked: 3, returned: 4, request: { kind: 'read', key: 'y' }, answer: { value: 0 } },
  ];
  assert.strictEqual(check(model, [...many, ...stale], options).verdict, 'illegal');
  assert.strictEqual(check(model, many).verdict, 'illegal');
});

interface Shape {
  readonly clients: number;
  readonly operations: number;
  readonly keys: number;
  readonly unknownPercent: number;
}

function execution(random: () => number, { clients, operations, keys, unknownPercent }: Shape): RegisterOperation[] {
  const values = new Map<string, number>();
  const below = (bound: number): number => Math.floor(random() * bound);
  const request = (): RegisterRequest => {
    const some = `k${below(keys)}`;
    const kind = (['read', 'write', 'cas'] as const)[below(3)]!; // three
    if (kind === 'read') return { kind, key: some };
    if (kind === 'write') return { kind, key: some, value: below(5) };
    return { kind, key: some, expected: below(5), value: below(5) };
  };
  const perform = (asked: RegisterRequest): RegisterAnswer => {
    const value = values.get(asked.key) ?? 0;
    if (asked.kind === 'read') return { value };
    const done = asked.kind === 'write' || value === asked.expected;
    if (done) values.set(asked.key, asked.value as number);
    return asked.kind === 'write' ? {} : { done };
  };
  return execute<RegisterRequest, RegisterAnswer>({ clients, operations, random, request, perform, unknownPercent });
}

/** Another value in the answer of one operation, or another time of one return. */
function damage(history: readonly RegisterOperation[], random: () => number): RegisterOperation[] {
  const at = Math.floor(random() * history.length);
  return history.map((operation, index) => {
    const { answer, invoked, returned } = operation;
    if (index !== at || answer === UNKNOWN || returned === null) return operation;
    if (answer.done !== undefined) return { ...operation, answer: { done: !answer.done } };
    if (answer.value !== undefined) return { ...operation, answer: { value: ((answer.value as number) + 1) % 5 } };
    return { ...operation, returned: invoked + (returned - invoked) / 10 };
  });
}

test('on small random histories, whole and damaged, the checker and the definition agree', (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  const seen = { ok: 0, illegal: 0 };
  for (let run = 0; run < 4000; run++) {
    const whole = execution(random, { clients: 3, operations: 3 + (run % 5), keys: 1, unknownPercent: (run % 3) * 20 });
    assert.strictEqual(check(model, whole).verdict, 'ok', `run ${run} of SEED=${seed}`);
    const damaged = damage(damage(whole, random), random);
    const { verdict } = check(model, damaged);
    assert(verdict !== 'unknown');
    assert.strictEqual(verdict === 'ok', bruteForce(model, damaged), `run ${run} of SEED=${seed}`);
    seen[verdict]++;
  }
  assert(seen.ok > 500 && seen.illegal > 500, JSON.stringify(seen));
});

test('5,000 operations of 10 clients on 50 keys, some without answer, are checked in well under two seconds', (context) => {
  const { random, seed } = seededRandom();
  const shape = { clients: 10, operations: 5000, keys: 50, unknownPercent: 2 };
  const history = execution(random, shape);
  const begun = process.cpuUsage();
  const verdict = check(model, history);
  const ms = process.cpuUsage(begun).user / 1000;
  context.diagnostic(
    `SEED=${seed}: ${verdict.steps} steps in ${ms.toFixed(0)} ms, ${Math.round(5000 / (ms / 1000))} operations/s`,
  );
  assert.strictEqual(verdict.verdict, 'ok');
  assert(ms < 2000);
  let refused = 0;
  for (let run = 0; run < 20; run++) {
    const damaged = damage(damage(damage(history, random), random), random);
    if (check(model, damaged).verdict === 'illegal') refused++;
  }
  assert(refused >= 10, `${refused} of 20 damaged histories are refused`);
});

test('one register under ten clients is checked without its history being parted', (context) => {
  const { random, seed } = seededRandom();
  const history = execution(random, { clients: 10, operations: 3000, keys: 1, unknownPercent: 1 });
  const begun = performance.now();
  const verdict = check(model, history);
  context.diagnostic(`SEED=${seed}: ${verdict.steps} steps in ${(performance.now() - begun).toFixed(0)} ms`);
  assert.strictEqual(verdict.verdict, 'ok');
});
