import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeTable } from '../../../client/fuse/nodes.js';
import { isPlain, PlainFiles } from '../../../client/fuse/plain-files.js';
import { limits } from '../../../proto/limits.js';
import { type Attr, AttrFlag, Mode } from '../../../proto/meta/index.js';
import { run, withMount } from './harness.js';

const HALF = 2 ** 32;

function says(files: PlainFiles, node: number): boolean {
  return isPlain(new Int32Array(files.shared), (node % HALF) | 0, Math.floor(node / HALF));
}

const attr = (inode: number, flags = 0): Attr => ({ inode, mode: Mode.FILE, flags, version: 1 }) as Attr;

test('only what is marked, and not cleared since, is said to be plain, whatever shares its place', () => {
  const near = fc.integer({ min: 1, max: 8 });
  // Numbers that meet in a place, and numbers that differ in one half alone.
  const node = fc.oneof(
    near,
    near.map((number) => number * limits.fusePlainFiles),
    near.map((number) => number * HALF + 5),
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  );
  fc.assert(
    fc.property(fc.array(fc.record({ node, marks: fc.boolean() }), { maxLength: 60 }), (steps) => {
      const files = new PlainFiles();
      const marked = new Set<number>();
      for (const step of steps) {
        if (step.marks) {
          files.mark(step.node);
          marked.add(step.node);
        } else {
          files.clear(step.node);
          marked.delete(step.node);
        }
        for (const { node: other } of steps) assert(!says(files, other) || marked.has(other));
      }
      const alone = new PlainFiles();
      for (const { node: other } of steps.slice(0, 1)) {
        alone.mark(other);
        assert(says(alone, other));
      }
    }),
  );
});

test('a file is plain while it is open for writing, and its attributes are not older than the last change', () => {
  const nodes = new NodeTable(1);
  const { plain } = nodes;
  nodes.remember(attr(7), 1);
  nodes.beginWriting(7, nodes.now);
  assert.strictEqual(says(plain, 7), true);
  nodes.beginWriting(7, nodes.now);
  nodes.endWriting(7);
  assert.strictEqual(says(plain, 7), true, 'another handle is open');
  nodes.note(attr(7, AttrFlag.XATTRS));
  assert.strictEqual(says(plain, 7), false, 'an answer has told of attributes');
  nodes.endWriting(7);

  const clock = nodes.now;
  nodes.change(7);
  nodes.note(attr(7));
  nodes.beginWriting(7, clock);
  assert.strictEqual(says(plain, 7), false, 'attributes may have been set since they were read');
  nodes.endWriting(7);
  nodes.beginWriting(7, nodes.now);
  assert.strictEqual(says(plain, 7), true);
  nodes.endWriting(7);
  assert.strictEqual(says(plain, 7), false);
});

test('writing a file without attributes asks nobody for them, and one with a capability loses it', () =>
  withMount(async (mounted) => {
    const asked = async () => (await mounted.state()).calls.xattrGet ?? 0;
    const path = mounted.path('file');
    for (let round = 0; round < 3; round++) fs.appendFileSync(path, 'bytes');
    assert.strictEqual(await asked(), 0);
    const file = fs.openSync(path, 'r+');
    await run('setfattr', ['-n', 'security.capability', '-v', '0x0000000200000000000000000000000000000000', path]);
    fs.writeSync(file, 'more');
    fs.closeSync(file);
    assert.strictEqual((await mounted.state()).calls.xattrRemove, 1);
  }));
