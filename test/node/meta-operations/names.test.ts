// Names as mounts show them.

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../../proto/limits.js';
import { isPlainName, parseShownName, showName } from '../../../proto/meta/index.js';

const piece = fc.constantFrom(
  'a',
  '.',
  '..',
  '%',
  '%ofs%',
  '%ofs%n',
  '%ofs%f',
  '%ofs%i1',
  '%25',
  '%00',
  '\0',
  '\xff',
  'é',
);
const stored = fc.oneof(
  fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
  fc.string({ unit: piece, minLength: 60, maxLength: 200 }),
);
const entry = fc.record({
  name: stored,
  inode: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  twin: fc.boolean(),
});

test('every stored name is shown by a name that POSIX allows, and that leads back to it', () => {
  fc.assert(
    fc.property(entry, ({ name, inode, twin }) => {
      const shown = showName(name, { inode, twin });
      assert(shown.length > 0 && shown.length <= limits.nameBytes);
      assert(!shown.includes('/') && !shown.includes('\0') && shown !== '.' && shown !== '..');
      const meant = parseShownName(shown);
      assert(meant !== null);
      if (meant.form === 'inode') assert.equal(meant.inode, inode);
      else assert.deepEqual(meant, { form: twin ? 'twin' : 'plain', name });
    }),
  );
});

test('two entries of a directory are never shown by one name', () => {
  fc.assert(
    fc.property(entry, entry, (one, two) => {
      fc.pre(one.name !== two.name || one.twin !== two.twin);
      fc.pre(one.inode !== two.inode);
      assert.notEqual(showName(one.name, one), showName(two.name, two));
    }),
  );
});

test('a shown name that means something is the name by which that is shown', () => {
  fc.assert(
    fc.property(stored, (shown) => {
      const meant = parseShownName(shown);
      if (meant === null || meant.form === 'inode') return;
      assert.equal(showName(meant.name, { inode: 1, twin: meant.form === 'twin' }), shown);
    }),
  );
});

test('common names are shown as they are', () => {
  for (const name of ['a', '...', '.hidden', 'a%b', '%of', ' ', '\xff', 'n'.repeat(255)]) {
    assert(isPlainName(name));
    assert.equal(showName(name, { inode: 1, twin: false }), name);
  }
});
