import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { Neighbours } from '../../../client/fuse/neighbours.js';
import { NodeTable } from '../../../client/fuse/nodes.js';
import type { DirectoryEntry } from '../../../client/vfs/interface.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, Mode } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { World } from '../../node/meta-operations/memory.js';

const ROOT = 1;
const LIFE_MS = 1000;
const WHO = { uid: 0, gid: 0 };
const FILE = { mode: 0o644, ...WHO, rdev: 0, exclusive: true };

class Bench {
  nowMs = 0;
  readonly nodes: NodeTable;
  readonly neighbours: Neighbours;

  constructor(readonly root = ROOT) {
    this.nodes = new NodeTable(root);
    this.neighbours = new Neighbours(this.nodes, LIFE_MS, () => this.nowMs);
  }

  /** What is known to stand under a name, or that it has to be asked. */
  says(name: string): string {
    const known = this.neighbours.find(this.root, name);
    return known === undefined ? 'ask' : `inode ${known.attr.inode}`;
  }

  learn(name: string, entries: DirectoryEntry[]): number {
    const asking = this.neighbours.ask(this.root, name);
    assert(asking !== null);
    this.neighbours.learn(this.root, asking, { attr: null, entries });
    return asking.wanted;
  }
}

const attr = (inode: number, fields: Partial<Attr> = {}): Attr =>
  ({ inode, mode: Mode.FILE | 0o644, flags: 0, version: 1, nlink: 1, ...fields }) as Attr;
const entries = (...named: [string, number][]) => named.map(([name, inode]) => ({ name, attr: attr(inode) }));

// Names whose keys do not lie as the names do: a directory's has a `/` behind it.
const PIECES = ['a', 'b', '-', '.', '0', '\xff'];
const names = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(''));
const plain = names.filter((name) => name !== '.' && name !== '..');

test('what is known of any name after any lookups is what a lookup of it would have found', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.record({ name: plain, directory: fc.boolean(), twin: fc.boolean() }), {
        selector: ({ name }) => name,
        maxLength: 24,
      }),
      fc.array(fc.record({ name: plain, limit: fc.integer({ min: 1, max: 6 }) }), { maxLength: 6 }),
      fc.array(plain, { maxLength: 12 }),
      (made, asked, others) => {
        const world = new World();
        for (const { name, directory, twin } of made) {
          if (!directory) world.call('mknod', { parent: world.root, name, ...FILE });
          else world.call('mkdir', { parent: world.root, name, mode: 0o755, ...WHO });
          if (directory && twin) world.call('mknod', { parent: world.root, name: `%ofs%f${name}`, ...FILE });
        }
        const bench = new Bench(world.root);
        for (const { name, limit } of asked) {
          const asking = bench.neighbours.ask(world.root, name);
          if (asking === null) continue;
          bench.neighbours.learn(world.root, asking, world.call('lookupNear', { parent: world.root, name, limit }));
        }
        for (const name of [...made.map((entry) => entry.name), ...asked.map((entry) => entry.name), ...others]) {
          const said = bench.says(name);
          if (said !== 'ask') assert.strictEqual(said, lookup(world, name), name);
        }
      },
    ),
  );
});

function lookup(world: World, name: string): string {
  try {
    return `inode ${world.call('lookup', { parent: world.root, name }).attr.inode}`;
  } catch (error) {
    assert(error instanceof OfsError && error.status === Status.NOENT);
    return 'none';
  }
}

test('lookupNear answers the entry, and those behind it', () => {
  const world = new World();
  for (const name of ['a', 'b', 'c', 'd']) world.call('mknod', { parent: world.root, name, ...FILE });
  world.call('mkdir', { parent: world.root, name: 'bb', mode: 0o755, ...WHO });
  const near = (name: string, limit: number) => {
    const found = world.call('lookupNear', { parent: world.root, name, limit });
    return [found.attr !== null, ...found.entries.map((entry) => entry.name)];
  };
  assert.deepStrictEqual(near('b', 2), [true, 'bb', 'c']);
  assert.deepStrictEqual(near('b', 0), [true]);
  assert.deepStrictEqual(near('bc', 10), [false, 'c', 'd']);
  assert.deepStrictEqual(near('x', 10), [false]);
  assert.throws(() => near('a/b', 1), OfsError);
  assert.throws(() => world.call('lookupNear', { parent: 999, name: 'a', limit: 1 }), OfsError);
});

test('what this mount changes is asked for, and an answer on its way does not undo that', () => {
  const bench = new Bench();
  const { neighbours, nodes } = bench;
  bench.learn('a', entries(['b', 2], ['c', 3]));
  const asking = neighbours.ask(ROOT, 'Z');
  assert(asking !== null);
  nodes.change(ROOT);
  neighbours.changed(ROOT, 'c');
  assert.deepStrictEqual([bench.says('b'), bench.says('c')], ['inode 2', 'ask']);
  // The answer was made before: it knows c still.
  neighbours.learn(ROOT, asking, { attr: null, entries: entries(['c', 3], ['d', 4]) });
  assert.deepStrictEqual([bench.says('c'), bench.says('d')], ['ask', 'inode 4']);
  assert.strictEqual(neighbours.size, 2);
});

test('a name that did not come along is asked for, as somebody may have made it', () => {
  const bench = new Bench();
  bench.learn('a', entries(['b', 2], ['d', 4]));
  assert.strictEqual(bench.says('c'), 'ask');
});

test('attributes that this mount has changed since, or may be changing, are asked for', () => {
  const bench = new Bench();
  for (const inode of [2, 3]) bench.nodes.remember(attr(inode), ROOT);
  bench.learn('0', entries(['a', 2], ['b', 3]));
  assert.deepStrictEqual([bench.says('a'), bench.says('b')], ['inode 2', 'inode 3']);
  bench.nodes.change(2);
  bench.nodes.find(3)!.writers++;
  assert.deepStrictEqual([bench.says('a'), bench.says('b')], ['ask', 'ask']);
  assert.strictEqual(bench.neighbours.ask(ROOT, 'a'), null, 'nothing is brought along a second time');
});

test('what an open has shown to be old is asked for', () => {
  const bench = new Bench();
  bench.nodes.remember(attr(2), ROOT);
  bench.learn('0', entries(['a', 2]));
  bench.nodes.note(attr(2, { version: 2 }));
  assert.strictEqual(bench.says('a'), 'ask');
});

test('what is known says how old it is, and is forgotten when its time is over', () => {
  const bench = new Bench();
  bench.learn('0', entries(['a', 2]));
  bench.nowMs = LIFE_MS - 1;
  assert.deepStrictEqual(bench.neighbours.find(ROOT, 'a'), { attr: attr(2), ageMs: LIFE_MS - 1 });
  bench.nowMs = LIFE_MS;
  assert.strictEqual(bench.says('a'), 'ask');
  assert.strictEqual(new Neighbours(bench.nodes, 0).ask(ROOT, 'a'), null, 'switched off');
});

test('what is used grows, what is not shrinks to nothing, and is tried again after a while', () => {
  const bench = new Bench();
  const page = Array.from({ length: limits.neighbours }, (_, at): [string, number] => [`f${at}`, at + 2]);
  let wanted = bench.learn('0', entries(...page.slice(0, 16)));
  for (let round = 0; round < 6; round++) {
    for (let hit = 0; hit < wanted; hit++) assert.strictEqual(bench.says(`f${hit}`), `inode ${hit + 2}`);
    bench.nowMs += LIFE_MS;
    const next = bench.learn(`0${round}`, entries(...page.slice(0, Math.min(wanted * 4, limits.neighbours))));
    assert(next > wanted || next === limits.neighbours);
    wanted = next;
  }
  assert.strictEqual(wanted, limits.neighbours);
  let asked = 0;
  while (bench.neighbours.ask(ROOT, `x${asked}`) !== null) {
    bench.learn(`y${asked}`, []);
    assert(++asked < 10);
  }
  let alone = 1;
  while (bench.neighbours.ask(ROOT, `z${alone}`) === null) assert(++alone < 100);
  assert(alone > 10);
});

test('memory is bounded, and the directories asked last are kept', () => {
  const bench = new Bench();
  const { neighbours } = bench;
  const page = entries(...Array.from({ length: limits.neighbours }, (_, at): [string, number] => [`f${at}`, at + 2]));
  for (let directory = 10; directory < 10 + 2 * (limits.fuseNeighbours / limits.neighbours); directory++) {
    const asking = neighbours.ask(directory, 'a');
    assert(asking !== null);
    neighbours.learn(directory, asking, { attr: null, entries: page });
    assert(neighbours.size <= limits.fuseNeighbours);
    assert.notStrictEqual(neighbours.find(directory, 'f0'), undefined);
  }
  assert.strictEqual(neighbours.find(10, 'f0'), undefined);
  neighbours.clear();
  assert.strictEqual(neighbours.size, 0);
});
