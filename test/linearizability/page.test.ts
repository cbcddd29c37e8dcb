// The page that shows a refused history: its structure.

import assert from 'node:assert';
import { test } from 'node:test';
import { check, type Operation, page, type RegisterAnswer, type RegisterRequest, registers, UNKNOWN } from './index.js';

type RegisterOperation = Operation<RegisterRequest, RegisterAnswer>;

const model = registers('<old>');

function write(
  client: string,
  [invoked, returned]: readonly [number, number | null],
  value: string,
): RegisterOperation {
  const answer = returned === null ? UNKNOWN : {};
  return { client, invoked, returned, request: { kind: 'write', key: 'x', value }, answer };
}

function read(client: string, [invoked, returned]: readonly [number, number], value: string): RegisterOperation {
  return { client, invoked, returned, request: { kind: 'read', key: 'x' }, answer: { value } };
}

const history = [
  write('a', [1, 6], '<new>'),
  read('b', [2, 3], '<new>'),
  write('c', [4, null], 'lost & found'),
  read('b', [5, 7], '<old>'),
  write('other', [8, 9], 'later'),
];

test('a page of a refused history has a bar for each operation, in the row of its client, and marks the stuck one', () => {
  const verdict = check(model, history);
  assert(verdict.verdict === 'illegal');
  const text = page(model, history, verdict);
  const sections = text.split('<section>').slice(1);
  assert.strictEqual(sections.length, verdict.prefixes.length);
  for (const section of sections) {
    const bars = [...section.matchAll(/<g class="([a-z ]+)" data-operation="(\d+)">/g)].map((m) => [
      Number(m[2]),
      m[1],
    ]);
    assert.deepStrictEqual(
      bars.find(([index]) => index === verdict.stuck),
      [verdict.stuck, 'stuck'],
    );
    assert.strictEqual(bars.filter(([, kind]) => kind === 'stuck').length, 1);
    assert(bars.some(([, kind]) => `${kind}`.endsWith('lost')));
    assert.strictEqual(bars.length, 4, 'what begins when all is lost is not drawn');
  }
  assert.match(text, /<title>registers by key: illegal<\/title>/);
  assert.match(text, /Nowhere fits: x = &#60;old&#62; \(client b\)/);
  assert.strictEqual(text.match(/class="client"/g)?.length, 3 * sections.length);
});

test('a page holds no markup of the history and nothing from elsewhere', () => {
  const text = page(model, history, check(model, history));
  assert(!text.includes('<new>') && !text.includes('<old>') && !text.includes('lost & found'));
  assert(!/(?:src|href)=|@import|<script/.test(text));
  const opened = [...text.matchAll(/<(section|svg|g|div|ol|pre|h1|h2|p|body|html|head|style)\b/g)].length;
  const closed = [...text.matchAll(/<\/(section|svg|g|div|ol|pre|h1|h2|p|body|html|head|style)>/g)].length;
  assert.strictEqual(opened, closed);
});

test('a page is drawn for what is linearizable or unknown, too, and of a long history only a part', () => {
  const good = history.slice(0, 2);
  assert.match(page(model, good, check(model, good)), /<span class="ok">linearizable/);
  assert.match(page(model, history, check(model, history, { steps: 3 })), /not known: the limit of steps/);
  const long: RegisterOperation[] = [];
  for (let at = 0; at < 1000; at++) long.push(write('a', [10 * at, 10 * at + 1], `${at}`));
  long.push(read('b', [20_000, 20_001], 'nobody'));
  const text = page(model, long, check(model, long));
  assert(text.match(/data-operation/g)!.length < 200);
  assert.match(text, /851 operations before and behind are not drawn/);
});
