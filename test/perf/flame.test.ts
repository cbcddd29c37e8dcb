// A flame graph shows every thread of the node with stacks of its own code, at the places of the TypeScript.

import assert from 'node:assert';
import { test } from 'node:test';
import { flame } from '../../perf/flame.js';
import { type FlameNode, flamePage } from '../../perf/report/flame-page.js';
import { hotThreads } from '../../perf/report/hot-places.js';
import { addProfile, flameNode } from '../../perf/report/profile.js';

const OPTIONS = { bodyBytes: 4096, clients: 8, processes: 1, seconds: 0.4, files: 30 };

function names(node: FlameNode): string[] {
  return [node.name, ...[...node.children.values()].flatMap(names)];
}

function assertSums(node: FlameNode): void {
  const below = [...node.children.values()].reduce((sum, child) => sum + child.us, 0);
  assert(below <= node.us * 1.0001, `${node.name}: ${node.us} us, its children ${below}`);
  for (const child of node.children.values()) assertSums(child);
}

test('a profile becomes a tree in which each sample counts for its whole stack', () => {
  const frame = (functionName: string) => ({ functionName, url: '', lineNumber: 0, columnNumber: 0 });
  const root = flameNode('all');
  addProfile(root, 'meta/0', {
    nodes: [
      { id: 1, callFrame: frame('(root)'), children: [2, 3] },
      { id: 2, callFrame: frame('a'), children: [4] },
      { id: 3, callFrame: frame('(idle)') },
      { id: 4, callFrame: frame('b') },
    ],
    samples: [2, 4, 3, 4],
    timeDeltas: [5, 10, 20, 40],
  });
  const thread = root.children.get('meta/0');
  assert.strictEqual(thread?.us, 70);
  assert.strictEqual(thread.children.get('a')?.us, 30);
  assert.strictEqual(thread.children.get('a')?.children.get('b')?.us, 20);
  assert.strictEqual(thread.children.get('(idle)')?.us, 40);
  const [hot] = hotThreads(root);
  assert.strictEqual(hot?.busyUs, 30);
  assert.strictEqual(hot.idleUs, 40);
  // What has no file of ours counts for whoever called it.
  assert.deepStrictEqual(hot.places, [['a', 30]]);
});

test('a loaded node shows the gateway, the meta and the block thread at work', async () => {
  const root = await flame({ ...OPTIONS, scenario: 's3-put' });
  const threads = [...root.children.keys()];
  for (const thread of ['main', 's3/0', 'meta/0', 'block/0']) assert(threads.includes(thread), threads.join(' '));
  assertSums(root);
  const all = names(root);
  for (const place of [/ gateway\/s3\/\S+\.ts:\d+$/, / node\/meta\/\S+\.ts:\d+$/, / node\/block\/\S+\.ts:\d+$/]) {
    assert(
      all.some((name) => place.test(name)),
      `no stack has ${place}`,
    );
  }
  const page = flamePage(root, 's3-put');
  assert(!/NaN|undefined/.test(page));
  assert(!/src=|href=/.test(page));
});

test('a loaded mount shows both of its ends', async () => {
  const root = await flame({ ...OPTIONS, scenario: 'mount-stat' });
  const all = names(root);
  assert(root.children.has('node meta/0') && root.children.has('mount main'), [...root.children.keys()].join(' '));
  assert(all.some((name) => / client\/fuse\/\S+\.ts:\d+$/.test(name)));
});

test('a scenario that is not known is refused with the list of those that are', async () => {
  await assert.rejects(flame({ ...OPTIONS, scenario: 's3-post' }), /s3-get.*mount-create/s);
});
