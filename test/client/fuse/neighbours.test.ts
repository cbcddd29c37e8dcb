import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { Neighbours } from '../../../client/fuse/neighbours.js';
import { NodeTable } from '../../../client/fuse/nodes.js';
import type { Neighbourhood } from '../../../client/vfs/interface.js';
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

  /** Whether a name is known to stand, known not to, or has to be asked. */
  says(name: string): string {
    const known = this.neighbours.find(this.root, name);
    if (known === undefined) return 'ask';
    return known.attr === null ? 'none' : `inode ${known.attr.inode}`;
  }

  learn(name: string, found: Neighbourhood): number {
    const asking = this.neighbours.ask(this.root, name);
    assert(asking !== null);
    this.neighbours.learn(this.root, name, asking, found);
    return asking.wanted;
  }
}

const attr = (inode: number, fields: Partial<Attr> = {}): Attr =>
  ({ inode, mode: Mode.FILE | 0o644, flags: 0, version: 1, nlink: 1, ...fields }) as Attr;
const entries = (...names: [string, number][]) => names.map(([name, inode]) => ({ name, attr: attr(inode) }));
const nothing = (name: string): Neighbourhood => ({ attr: null, entries: [], end: true, cursor: name });

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
          bench.neighbours.learn(
            world.root,
            name,
            asking,
            world.call('lookupNear', { parent: world.root, name, limit }),
          );
        }
        for (const name of [...made.map((entry) => entry.name), ...asked.map((entry) => entry.name), ...others]) {
          const said = bench.says(name);
          if (said !== 'ask') assert.strictEqual(said, lookup(world, name), name);
        }
        for (const { name } of asked.slice(-1)) assert.strictEqual(bench.says(name), lookup(world, name), name);
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

test('lookupNear answers the entry, those behind it, and where they end', () => {
  const world = new World();
  for (const name of ['a', 'b', 'c', 'd']) world.call('mknod', { parent: world.root, name, ...FILE });
  world.call('mkdir', { parent: world.root, name: 'bb', mode: 0o755, ...WHO });
  const near = (name: string, limit: number) => {
    const found = world.call('lookupNear', { parent: world.root, name, limit });
    return [found.attr !== null, found.entries.map((entry) => entry.name), found.end, found.cursor];
  };
  assert.deepStrictEqual(near('b', 2), [true, ['bb', 'c'], false, 'c']);
  assert.deepStrictEqual(near('b', 1), [true, ['bb'], false, 'bb/']);
  assert.deepStrictEqual(near('bc', 10), [false, ['c', 'd'], true, 'd']);
  assert.deepStrictEqual(near('x', 10), [false, [], true, 'x']);
  assert.throws(() => near('a/b', 1), OfsError);
  assert.throws(() => world.call('lookupNear', { parent: 999, name: 'a', limit: 1 }), OfsError);
});

test('what this mount makes and removes is known at once, and an answer on its way does not undo it', () => {
  const bench = new Bench();
  const { neighbours, nodes } = bench;
  bench.learn('a', { attr: null, entries: entries(['c', 3]), end: true, cursor: 'c' });
  const asking = neighbours.ask(ROOT, 'Z');
  assert(asking !== null);
  nodes.change(ROOT);
  neighbours.made(ROOT, 'b', attr(2));
  assert.strictEqual(bench.says('b'), 'inode 2');
  neighbours.gone(ROOT, 'c');
  assert.strictEqual(bench.says('c'), 'none');
  neighbours.unsure(ROOT, 'e');
  assert.strictEqual(bench.says('e'), 'ask');
  // The answer was made before: it knows b not, c still.
  neighbours.learn(ROOT, 'Z', asking, { attr: null, entries: entries(['c', 3], ['d', 4]), end: true, cursor: 'd' });
  assert.deepStrictEqual(
    ['b', 'c', 'd', 'e', 'f'].map((name) => bench.says(name)),
    ['ask', 'ask', 'inode 4', 'ask', 'none'],
  );
});

test('where a directory goes, a file of its name may come to light', () => {
  const bench = new Bench();
  const directory = { name: 'd', attr: attr(2, { mode: Mode.DIRECTORY | 0o755 }) };
  bench.learn('a', { attr: null, entries: [directory], end: true, cursor: 'd/' });
  bench.nodes.change(ROOT);
  bench.neighbours.gone(ROOT, 'd');
  assert.strictEqual(bench.says('d'), 'ask');
});

test('attributes that this mount has changed since, or may be changing, are asked for', () => {
  const bench = new Bench();
  for (const inode of [2, 3]) bench.nodes.remember(attr(inode), ROOT);
  bench.learn('a', { attr: attr(2), entries: entries(['b', 3]), end: true, cursor: 'b' });
  assert.deepStrictEqual([bench.says('a'), bench.says('b')], ['inode 2', 'inode 3']);
  bench.nodes.change(2);
  bench.nodes.find(3)!.writers++;
  assert.deepStrictEqual([bench.says('a'), bench.says('b')], ['ask', 'ask']);
  assert.strictEqual(bench.neighbours.ask(ROOT, 'a'), null, 'nothing is brought along a second time');
});

test('what is known says how old it is, and is forgotten when its time is over', () => {
  const bench = new Bench();
  bench.learn('a', { attr: attr(2), entries: [], end: true, cursor: 'a' });
  bench.nowMs = LIFE_MS - 1;
  assert.deepStrictEqual(bench.neighbours.find(ROOT, 'a'), { attr: attr(2), ageMs: LIFE_MS - 1 });
  bench.nowMs = LIFE_MS;
  assert.deepStrictEqual([bench.says('a'), bench.says('x')], ['ask', 'ask']);
  assert.strictEqual(new Neighbours(bench.nodes, 0).ask(ROOT, 'a'), null, 'switched off');
});

test('what is used grows, what is not shrinks to the next entry alone', () => {
  const bench = new Bench();
  let wanted = bench.learn('a', nothing('a'));
  for (let round = 0; round < 6; round++) {
    for (let hit = 0; hit < wanted; hit++) assert.strictEqual(bench.says(`b${hit}`), 'none');
    bench.nowMs += LIFE_MS;
    const next = bench.learn('a', nothing('a'));
    assert(next > wanted || next === limits.neighbours);
    wanted = next;
  }
  assert.strictEqual(wanted, limits.neighbours);
  for (let round = 0; round < 6; round++) {
    bench.nowMs += LIFE_MS;
    wanted = bench.learn('a', nothing('a'));
  }
  assert.strictEqual(wanted, 1);
});

test('memory is bounded, and the directories asked last are kept', () => {
  const bench = new Bench();
  const { neighbours } = bench;
  const page = Array.from({ length: limits.neighbours }, (_, at) => ({ name: `f${at}`, attr: attr(at + 2) }));
  for (let directory = 10; directory < 10 + 2 * (limits.fuseNeighbours / limits.neighbours); directory++) {
    const asking = neighbours.ask(directory, 'a');
    assert(asking !== null);
    neighbours.learn(directory, 'a', asking, { attr: null, entries: page, end: true, cursor: '' });
    assert(neighbours.size <= limits.fuseNeighbours);
    assert.notStrictEqual(neighbours.find(directory, 'f0'), undefined);
  }
  assert.strictEqual(neighbours.find(10, 'f0'), undefined);
  neighbours.clear();
  assert.strictEqual(neighbours.size, 0);
});
