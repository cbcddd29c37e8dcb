// A flame graph shows every thread of the node with stacks of its own code, at the places of the TypeScript.

import assert from 'node:assert';
import { test } from 'node:test';
import { runPage } from '../../perf/flame.js';
import { flame } from '../../perf/flame-run.js';
import { changesBetween, flameDiffPage, paired } from '../../perf/report/flame-diff.js';
import { type FlameRun, readFlameRun, writeFlameRun } from '../../perf/report/flame-json.js';
import type { FlameNode } from '../../perf/report/flame-page.js';
import { hotThreads } from '../../perf/report/hot-places.js';
import { addProfile, divideIdle, flameNode } from '../../perf/report/profile.js';
import { formatThreadTimes, threadTimes } from '../../perf/report/thread-times.js';

const OPTIONS = { unit: 'us' as const, bodyBytes: 4096, clients: 8, processes: 1, seconds: 0.4, files: 30 };

function names(node: FlameNode): string[] {
  return [node.name, ...[...node.children.values()].flatMap(names)];
}

function assertSums(node: FlameNode): void {
  const below = [...node.children.values()].reduce((sum, child) => sum + child.weight, 0);
  assert(below <= node.weight * 1.0001, `${node.name}: ${node.weight} us, its children ${below}`);
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
  assert.strictEqual(thread?.weight, 70);
  assert.strictEqual(thread.children.get('a')?.weight, 30);
  assert.strictEqual(thread.children.get('a')?.children.get('b')?.weight, 20);
  assert.strictEqual(thread.children.get('(idle)')?.weight, 40);
  const [hot] = hotThreads(root);
  assert.strictEqual(hot?.busyUs, 30);
  assert.strictEqual(hot.idleUs, 40);
  // What has no file of ours counts for whoever called it.
  assert.deepStrictEqual(hot.places, [['a', 30]]);
});

function node(name: string, weight: number, children: readonly FlameNode[] = []): FlameNode {
  return { name, weight, children: new Map(children.map((child) => [child.name, child])) };
}

function run(operations: number, threads: readonly FlameNode[]): FlameRun {
  const weight = threads.reduce((sum, thread) => sum + thread.weight, 0);
  return { scenario: 's', unit: 'us', operations, root: node('all', weight, threads), threads: [] };
}

test('an idle thread is divided among what it says it waited for', () => {
  const root = node('all', 100, [node('meta/0', 100, [node('(idle)', 60), node('a', 40)])]);
  divideIdle(root, 'meta/0', { rings: 3, sockets: 1, disk: 0 });
  const idle = root.children.get('meta/0')!.children.get('(idle)')!;
  assert.strictEqual(idle.children.get('(waiting: rings)')?.weight, 45);
  assert.strictEqual(idle.children.get('(waiting: sockets)')?.weight, 15);
  assert.strictEqual(hotThreads(root)[0]!.busyUs, 40);
});

test('what the kernel saw as an event loop is told by cause where the thread knows it', () => {
  const kernel = [
    { thread: 'meta/0', cpuUs: 10_000, queuedUs: 1000, waitedUs: { 'event loop': 80_000, disk: 9000 } },
    { thread: 'pool', cpuUs: 5000, queuedUs: 0, waitedUs: { 'another thread': 95_000 } },
  ];
  const [meta, pool] = threadTimes(kernel, new Map([['meta/0', { rings: 30, sockets: 10, disk: 0, other: 0 }]]));
  assert.deepStrictEqual(meta!.waitedUs, { disk: 9000, rings: 60_000, sockets: 20_000, 'timers and others': 0 });
  assert.deepStrictEqual(pool!.waitedUs, { 'another thread': 95_000 });
  assert.match(formatThreadTimes([meta!, pool!]), /meta\/0 +10 % +1.0 % +9.0 % +60 % +20 %/);
});

test('two runs are held against each other by operation, waiting left out', () => {
  const before = run(10, [
    node('meta/0', 1000, [node('(idle)', 490), node('a x/a.ts:1', 510, [node('b x/b.ts:2', 100)])]),
  ]);
  const after = run(20, [
    node('meta/0', 1000, [node('(idle)', 200), node('a x/a.ts:1', 800, [node('c x/c.ts:3', 600)])]),
  ]);
  assert.deepStrictEqual(changesBetween(before, after).slice(0, 3), [
    { place: 'meta: x/a.ts', before: 41, after: 10 },
    { place: 'meta: x/c.ts', before: 0, after: 30 },
    { place: 'meta: x/b.ts', before: 10, after: 0 },
  ]);
  const tree = paired(after, before);
  assert.strictEqual(tree.weight, 40);
  assert.strictEqual(tree.otherWeight, 51);
  assertSums(tree);
  const page = flameDiffPage(before, readFlameRun(writeFlameRun(after)));
  assert(!/NaN|undefined/.test(page));
  assert.match(page, /c x\/c.ts:3: 30.00 us an operation, \+30.00/);
  assert.match(page, /b x\/b.ts:2: 10.00 us an operation, -10.00/);
  assert.throws(() => readFlameRun('{}'), RangeError);
});

test('a loaded node shows the gateway, the meta and the block thread at work', async () => {
  const loaded = await flame({ ...OPTIONS, scenario: 's3-put' });
  const { root } = loaded;
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
  // The gateways waited for answers of the other threads; the pool and the block thread are seen, too.
  const gateway = loaded.threads.find(({ thread }) => thread === 's3/0');
  assert((gateway?.waitedUs.rings ?? 0) > 0, JSON.stringify(gateway));
  assert(loaded.threads.some(({ thread, cpuUs }) => thread === 'block/0' && cpuUs > 0));
  assert(loaded.operations > 10, `${loaded.operations} operations`);
  const page = runPage(loaded);
  assert(!/NaN|undefined/.test(page));
  assert(!/src=|href=/.test(page));
});

test('allocations are told by the place that makes them', async () => {
  const run = await flame({ ...OPTIONS, unit: 'bytes', scenario: 's3-get' });
  assertSums(run.root);
  assert(
    names(run.root).some((name) => / gateway\/s3\/\S+\.ts:\d+$/.test(name)),
    'no allocation of the gateway',
  );
  const bytes = run.root.weight / run.operations;
  assert(bytes > 100 && bytes < 1e6, `${bytes} bytes an operation`);
  assert(!/NaN|undefined/.test(runPage(run)));
});

test('a loaded mount shows both of its ends', async () => {
  const { root, threads } = await flame({ ...OPTIONS, scenario: 'mount-stat' });
  const device = threads.find(({ thread }) => thread === 'mount device');
  assert((device?.waitedUs['kernel requests'] ?? 0) > 0, JSON.stringify(threads));
  const all = names(root);
  assert(root.children.has('node meta/0') && root.children.has('mount main'), [...root.children.keys()].join(' '));
  assert(all.some((name) => / client\/fuse\/\S+\.ts:\d+$/.test(name)));
});

test('a scenario that is not known is refused with the list of those that are', async () => {
  await assert.rejects(flame({ ...OPTIONS, scenario: 's3-post' }), /s3-get.*mount-create/s);
});
