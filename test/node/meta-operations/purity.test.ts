// The operations run on every thread that reads, on pending state and in simulation: nothing in them may look at the
// world outside of their arguments.

import assert from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { reclaim } from '../../../node/meta/operations/index.js';
import { World } from './memory.js';

const FORBIDDEN = [
  /\basync\b/,
  /\bawait\b/,
  /\bPromise\b/,
  /\bDate\b/,
  /\bMath\.random\b/,
  /\bperformance\b/,
  /\bprocess\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /from 'node:(?!assert'|buffer')/,
];

test('no operation has a clock, randomness, waiting or I/O of its own', () => {
  for (const folder of ['node/meta/operations', 'client/cli/fsck']) {
    const path = join(import.meta.dirname, '../../..', folder);
    const files = readdirSync(path).filter((name) => name.endsWith('.js'));
    assert(files.length > 3);
    for (const name of files) {
      const source = readFileSync(join(path, name), 'utf8').replaceAll(
        /\/\/.*|\/\*[\s\S]*?\*\/|`[^`]*`|'[^'\n]* [^'\n]*'/g,
        '',
      );
      for (const pattern of FORBIDDEN) assert(!pattern.test(source), `${folder}/${name} has ${pattern}`);
    }
  }
});

test('a plan goes on where the last one stopped, past what is held', () => {
  const world = new World();
  for (let index = 0; index < 10; index++) {
    const { inode } = world.put(`k${index}`, 1);
    if (index < 5) world.held.add(inode);
    world.delete(`k${index}`);
  }
  const plan = (from: number) =>
    reclaim.plan(world.store, world.context, { nowMs: world.now.sec * 1000, minAgeMs: 0, from, limit: 2, scan: 4 });
  const first = plan(0);
  assert.deepEqual([first.steps.length, first.next > 0], [0, true]);
  const second = plan(first.next);
  assert.deepEqual([second.steps.length, second.next > first.next], [2, true]);
  let steps = 2;
  let next = second.next;
  while (next > 0) {
    const more = plan(next);
    steps += more.steps.length;
    next = more.next;
  }
  assert.equal(steps, 5);
  assert.deepEqual(plan(0).deletes, []);
});
