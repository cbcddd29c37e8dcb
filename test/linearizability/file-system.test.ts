// The model of the file system: histories whose verdict is known, those that the service's own operations make, damaged
// ones, and the definition beside them.

import assert from 'node:assert';
import { test } from 'node:test';
import { limits } from '../../proto/limits.js';
import { RenameFlag } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { seededRandom } from '../support/random.js';
import { bruteForce } from './brute-force.js';
import { ask, attr, did, directory, executeFiles, ROOT, sliceOf } from './file-histories.js';
import {
  check,
  type FileAnswer,
  type FileHistory,
  type FileOperation,
  type FileRequest,
  fileSystem,
  UNKNOWN,
} from './index.js';

const { NOENT, EXIST, NOTEMPTY, STALE, ISDIR, NOTDIR, INVAL, CORRUPT } = Status;

/** File 10 is /a/x, with 5 bytes of blob 1; directories are 2 (/a), 3 (/b) and 4 (/a/sub). */
const setup: FileHistory = [
  did(0, [1, 2], ask.mkdir(ROOT, 'a'), { attr: directory(2) }),
  did(0, [3, 4], ask.mkdir(ROOT, 'b'), { attr: directory(3) }),
  did(0, [5, 6], ask.mkdir(2, 'sub'), { attr: directory(4) }),
  did(0, [7, 8], ask.create(2, 'x'), { attr: attr(10), created: true }),
  did(0, [9, 10], ask.write(10, 1, { offset: 0, length: 5 }), { attr: attr(10, { size: 5 }), crowded: [] }),
];
const model = fileSystem({ root: ROOT, setup });

const x = attr(10, { size: 5 });
const entry = (name: string, of = x) => ({ name, attr: of });
const sub = entry('sub', directory(4));
const whole = (...entries: object[]) => ({
  entries,
  end: true,
  cursor: entries.length === 0 ? '' : lastKey(entries.at(-1) as ReturnType<typeof entry>),
});
const lastKey = ({ name, attr: { nlink, mode } }: ReturnType<typeof entry>) =>
  nlink > 1 && mode >= 0o40000 && mode < 0o50000 ? `${name}/` : name;
const read = (chunks: object[], size: number) => ({ attr: attr(10, { size }), chunks });

const listed = ({ name, attr: { inode, mode } }: ReturnType<typeof entry>) => ({ name, inode, mode });
const names = (...entries: ReturnType<typeof entry>[]) => ({ ...whole(...entries), entries: entries.map(listed) });
const near = (of: object | null, ...entries: object[]) => ({ attr: of, entries });
const bytes = (text: string) => Buffer.from(text);
const wrote = (blob: number, size: number) => ({ attr: attr(10, { size }), crowded: [], blob });
const shows = (size: number, ...slices: object[]) => read([{ chunk: 0, slices }], size);

/** With a checksum that is not that of the bytes. */
function spoilt(asked: FileRequest): FileRequest {
  assert(asked.name === 'writeCommit');
  return { ...asked, request: { ...asked.request, crc: asked.request.crc ^ 1 } };
}

const good: Record<string, FileOperation[]> = {
  'of two exclusive creates one fails': [
    did(1, [1, 4], ask.create(3, 'n', true), { attr: attr(20), created: true }),
    did(2, [2, 3], ask.create(3, 'n', true), EXIST),
  ],
  'two creates that are not exclusive get one file': [
    did(1, [1, 4], ask.create(3, 'n'), { attr: attr(20), created: false }),
    did(2, [2, 3], ask.create(3, 'n'), { attr: attr(20), created: true }),
  ],
  'a create without an answer was done, and its inode is told later': [
    did(1, [1, null], ask.create(3, 'n')),
    did(2, [2, 3], ask.lookup(3, 'n'), { attr: attr(20) }),
    did(2, [4, 5], ask.link(20, 3, 'm'), { attr: attr(20, { nlink: 2 }) }),
  ],
  'a directory made without an answer is filled, moved and told by a listing': [
    did(1, [1, null], ask.mkdir(3, 'n')),
    did(1, [2, null], ask.rename([3, 'n'], [2, 'm'])),
    did(2, [3, 4], ask.lookup(3, 'n'), { attr: directory(20) }),
    did(2, [5, 6], ask.create(20, 'f'), { attr: attr(21), created: true }),
    did(2, [7, 8], ask.readdir(2), whole(entry('m', directory(20)), sub, entry('x'))),
  ],
  'a rename beside two lookups is seen by both': [
    did(1, [1, 9], ask.rename([2, 'x'], [3, 'y']), { attr: x, replaced: 0 }),
    did(2, [2, 3], ask.lookup(2, 'x'), NOENT),
    did(2, [4, 5], ask.lookup(3, 'y'), { attr: x }),
  ],
  'a removed file is still there for those who know it, and some day is not': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(1, [3, 4], ask.getattr(10), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(1, [5, 6], ask.open(10), STALE),
    did(1, [7, 8], ask.getattr(10), STALE),
  ],
  'a page of a listing ends before the last entry': [
    did(1, [1, 2], ask.readdir(2, '', 1), { entries: [sub], end: false, cursor: 'sub/' }),
    did(1, [3, 4], ask.readdir(2, 'sub/', 1), { entries: [entry('x')], end: true, cursor: 'x' }),
  ],
  'a write over part of another shows both': [
    did(1, [1, 2], ask.write(10, 2, { offset: 3, length: 4 }), { attr: attr(10, { size: 7 }), crowded: [] }),
    did(1, [3, 4], ask.read(10), read([{ chunk: 0, slices: [{ ...slice(1, 0, 5) }, { ...slice(2, 3, 4) }] }], 7)),
  ],
  'what was cut off reads as nothing when the file grows again': [
    did(1, [1, 2], ask.truncate(10, 2), { attr: attr(10, { size: 2 }) }),
    did(1, [3, 4], ask.truncate(10, 5), { attr: x }),
    did(1, [5, 6], ask.read(10), read([{ chunk: 0, slices: [{ ...slice(1, 0, 2), blobLength: 5 }] }], 5)),
  ],
  'an exchange swaps a file and a directory': [
    did(1, [1, 2], ask.rename([2, 'x'], [2, 'sub'], RenameFlag.EXCHANGE), { attr: x, replaced: 0 }),
    did(1, [3, 4], ask.readdir(2), whole(entry('sub'), entry('x', directory(4)))),
  ],
  'a busy answer says that nothing was done': [
    did(1, [1, 2], ask.unlink(2, 'x'), Status.BUSY),
    did(1, [3, 4], ask.lookup(2, 'x'), { attr: x }),
  ],
  'two appends without an answer stand behind each other': [
    did(1, [1, null], { name: 'append', request: { inode: 10, blob: 32, length: 5 } }),
    did(2, [2, 3], { name: 'append', request: { inode: 10, blob: 48, length: 5 } }, { offset: 10 }),
  ],
  'names are listed beside a create, with it and without': [
    did(1, [1, 9], ask.create(2, 'n'), { attr: attr(20), created: true }),
    did(2, [2, 3], ask.readNames(2), names(entry('sub', directory(4)), entry('x'))),
    did(2, [4, 5], ask.readNames(2), names(entry('n', attr(20)), entry('sub', directory(4)), entry('x'))),
  ],
  'a page of names ends before the last': [
    did(1, [1, 2], ask.readNames(2, '', 1), { entries: [listed(sub)], end: false, cursor: 'sub/' }),
    did(1, [3, 4], ask.readNames(2, 'sub/', 1), { entries: [listed(entry('x'))], end: true, cursor: 'x' }),
  ],
  'names tell which inode a directory made without an answer has': [
    did(1, [1, null], ask.mkdir(3, 'n')),
    did(2, [2, 3], ask.readNames(3), names(entry('n', directory(20)))),
    did(2, [4, 5], ask.create(20, 'f'), { attr: attr(21), created: true }),
  ],
  'a near look-up shows what lies behind a name, there or not, and as much as is wanted': [
    did(1, [1, 2], ask.lookupNear(2, 'a'), near(null, sub, entry('x'))),
    did(1, [3, 4], ask.lookupNear(2, 'a', 1), near(null, sub)),
    did(1, [5, 6], ask.lookupNear(2, 'a', 0), near(null)),
    did(1, [7, 8], ask.lookupNear(2, 'x'), near(x)),
    did(1, [9, 10], ask.lookupNear(10, 'x'), NOTDIR),
  ],
  'a directory stands behind its own name, also when only this tells which it is': [
    did(1, [1, null], ask.mkdir(3, 'n')),
    did(2, [2, 3], ask.lookupNear(3, 'n'), near(directory(20), entry('n', directory(20)))),
    did(2, [4, 5], ask.getattr(20), { attr: directory(20) }),
  ],
  'a near look-up beside an unlink shows the entry or not': [
    did(1, [1, 9], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(2, [2, 3], ask.lookupNear(2, 'sub'), near(directory(4), sub, entry('x'))),
    did(2, [4, 5], ask.lookupNear(2, 'sub'), near(directory(4), sub)),
  ],
  'bytes that went with their commit are over what was there, and a commit goes over them': [
    did(1, [1, 2], ask.writeBytes(10, 3, bytes('four')), wrote(32, 7)),
    did(1, [3, 4], ask.open(10), shows(7, slice(1, 0, 5), slice(2, 3, 4))),
    did(1, [5, 6], ask.write(10, 3, { offset: 5, length: 4 }), { attr: attr(10, { size: 9 }), crowded: [] }),
    did(1, [7, 8], ask.read(10), shows(9, slice(1, 0, 5), slice(2, 3, 4), slice(3, 5, 4))),
  ],
  'of two commits with their bytes at once either is the last': [
    did(1, [1, 5], ask.writeBytes(10, 0, bytes('first')), wrote(32, 5)),
    did(2, [2, 4], ask.writeBytes(10, 0, bytes('other')), wrote(48, 5)),
    did(2, [6, 7], ask.read(10), shows(5, slice(3, 0, 5), slice(2, 0, 5))),
  ],
  'bytes of retries and of commits without an answer lie where reads show them': [
    did(1, [1, null], ask.writeBytes(10, 5, bytes('lost'))),
    did(1, [2, 3], ask.writeBytes(10, 9, bytes('retried')), wrote(0, 16)),
    did(2, [4, 5], ask.read(10), shows(16, slice(1, 0, 5), slice(7, 5, 4), slice(8, 9, 7))),
    did(2, [6, 7], ask.open(10), shows(16, slice(1, 0, 5), slice(7, 5, 4), slice(8, 9, 7))),
  ],
  'two commits without an answer are told apart by a read of one of them': [
    did(1, [1, null], ask.writeBytes(10, 0, bytes('first'))),
    did(2, [1, null], ask.writeBytes(10, 0, bytes('other'))),
    did(3, [2, 6], ask.read(10), shows(5, slice(3, 0, 5))),
    did(4, [3, 5], ask.read(10), shows(5, slice(2, 0, 5))),
    did(3, [7, 8], ask.read(10), shows(5, slice(3, 0, 5))),
  ],
  'bytes that came damaged, and too many, are refused': [
    did(1, [1, 2], spoilt(ask.writeBytes(10, 0, bytes('first'))), CORRUPT),
    did(1, [3, 4], ask.writeBytes(10, 0, Buffer.alloc(limits.inlineBytes + 1)), INVAL),
    did(1, [5, 6], ask.writeBytes(2, 0, bytes('first')), ISDIR),
    did(1, [7, 8], ask.writeBytes(77, 0, bytes('first')), STALE),
    did(1, [9, 10], ask.read(10), shows(5, slice(1, 0, 5))),
  ],
};

function slice(tag: number, offset: number, length: number) {
  return sliceOf(tag, { offset, length });
}

const bad: Record<string, FileOperation[]> = {
  'two exclusive creates succeed': [
    did(1, [1, 4], ask.create(3, 'n', true), { attr: attr(20), created: true }),
    did(2, [2, 3], ask.create(3, 'n', true), { attr: attr(21), created: true }),
  ],
  'two new files have one number': [
    did(1, [1, 2], ask.create(3, 'n'), { attr: attr(20), created: true }),
    did(1, [3, 4], ask.create(3, 'm'), { attr: attr(20), created: true }),
  ],
  'a lookup is stale': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(2, [3, 4], ask.lookup(2, 'x'), { attr: x }),
  ],
  'a rename is seen half: the file is in neither place': [
    did(1, [1, 9], ask.rename([2, 'x'], [3, 'y']), { attr: x, replaced: 0 }),
    did(2, [2, 3], ask.lookup(2, 'x'), NOENT),
    did(2, [4, 5], ask.lookup(3, 'y'), NOENT),
  ],
  'a rename is seen half: the file is in both places': [
    did(1, [1, 9], ask.rename([2, 'x'], [3, 'y']), { attr: x, replaced: 0 }),
    did(2, [2, 3], ask.lookup(3, 'y'), { attr: x }),
    did(2, [4, 5], ask.lookup(2, 'x'), { attr: x }),
  ],
  'a listing misses an entry': [did(1, [1, 2], ask.readdir(2), whole(sub))],
  'a listing has an entry that is gone': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(1, [3, 4], ask.readdir(2), whole(sub, entry('x'))),
  ],
  'a listing is not in order': [did(1, [1, 2], ask.readdir(2), whole(entry('x'), sub))],
  'a write is lost': [
    did(1, [1, 5], ask.write(10, 2, { offset: 0, length: 5 }), { attr: x, crowded: [] }),
    did(2, [2, 4], ask.write(10, 3, { offset: 5, length: 5 }), { attr: attr(10, { size: 10 }), crowded: [] }),
    did(2, [6, 7], ask.read(10), read([{ chunk: 0, slices: [slice(1, 0, 5), slice(3, 5, 5)] }], 10)),
  ],
  'a read shows bytes that nobody wrote': [
    did(1, [1, 2], ask.read(10), read([{ chunk: 0, slices: [slice(9, 0, 5)] }], 5)),
  ],
  'what was cut off comes back': [
    did(1, [1, 2], ask.truncate(10, 2), { attr: attr(10, { size: 2 }) }),
    did(1, [3, 4], ask.truncate(10, 5), { attr: x }),
    did(1, [5, 6], ask.read(10), read([{ chunk: 0, slices: [slice(1, 0, 5)] }], 5)),
  ],
  'a size falls without a truncate': [did(1, [1, 2], ask.getattr(10), { attr: attr(10, { size: 4 }) })],
  'a link is not counted': [did(1, [1, 2], ask.link(10, 3, 'y'), { attr: x })],
  'a subdirectory is not counted': [did(1, [1, 2], ask.getattr(2), { attr: directory(2) })],
  'a full directory is removed': [did(1, [1, 2], ask.rmdir(ROOT, 'a'), { inode: 2 })],
  'an empty directory is said to be full': [did(1, [1, 2], ask.rmdir(ROOT, 'b'), NOTEMPTY)],
  'a file is said to be a directory': [did(1, [1, 2], ask.unlink(2, 'x'), ISDIR)],
  'a directory is said to be none': [did(1, [1, 2], ask.lookup(2, 'x'), NOTDIR)],
  'a directory is moved below itself': [
    did(1, [1, 2], ask.rename([ROOT, 'a'], [4, 'a']), { attr: directory(2, 3), replaced: 0 }),
  ],
  'two directories are moved into each other': [
    did(1, [1, 4], ask.rename([ROOT, 'a'], [3, 'a']), { attr: directory(2, 3), replaced: 0 }),
    did(2, [2, 3], ask.rename([ROOT, 'b'], [2, 'b']), { attr: directory(3), replaced: 0 }),
  ],
  'a rename replaces in spite of NOREPLACE': [
    did(1, [1, 2], ask.create(3, 'y'), { attr: attr(20), created: true }),
    did(1, [3, 4], ask.rename([2, 'x'], [3, 'y'], RenameFlag.NOREPLACE), { attr: x, replaced: 20 }),
  ],
  'a rename does not say what it replaced': [
    did(1, [1, 2], ask.create(3, 'y'), { attr: attr(20), created: true }),
    did(1, [3, 4], ask.rename([2, 'x'], [3, 'y']), { attr: x, replaced: 0 }),
  ],
  'an inode that was gone is back': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(1, [3, 4], ask.getattr(10), STALE),
    did(1, [5, 6], ask.getattr(10), { attr: attr(10, { nlink: 0, size: 5 }) }),
  ],
  'an inode with a name is stale': [did(1, [1, 2], ask.getattr(10), STALE)],
  'a good name is refused': [did(1, [1, 2], ask.create(3, 'n'), INVAL)],
  'a create without an answer is done twice': [
    did(1, [1, null], ask.create(3, 'n')),
    did(2, [2, 3], ask.unlink(3, 'n'), { attr: attr(20, { nlink: 0 }) }),
    did(2, [4, 5], ask.lookup(3, 'n'), { attr: attr(21) }),
  ],
  'a listing of names misses one that was made before': [
    did(1, [1, 2], ask.create(2, 'n'), { attr: attr(20), created: true }),
    did(2, [3, 4], ask.readNames(2), names(sub, entry('x'))),
  ],
  'a listing of names forgets one that it had': [
    did(1, [1, 9], ask.create(2, 'n'), { attr: attr(20), created: true }),
    did(2, [2, 3], ask.readNames(2), names(entry('n', attr(20)), sub, entry('x'))),
    did(3, [4, 5], ask.readNames(2), names(sub, entry('x'))),
  ],
  'a listing of names has one that is gone': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(2, [3, 4], ask.readNames(2), names(sub, entry('x'))),
  ],
  'a listing of names gives a name to another inode': [
    did(1, [1, 2], ask.readNames(2), names(sub, entry('x', attr(11)))),
  ],
  'a listing of names has a directory as a file': [
    did(1, [1, 2], ask.readNames(2), names(entry('sub', attr(4)), entry('x'))),
  ],
  'a listing of names ends before its end': [
    did(1, [1, 2], ask.readNames(2), { entries: [listed(sub)], end: true, cursor: 'sub/' }),
  ],
  'a listing of names is of no directory': [did(1, [1, 2], ask.readNames(10), names())],
  'a near look-up shows an entry that was unlinked before': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(2, [3, 4], ask.lookupNear(2, 'sub'), near(directory(4), sub, entry('x'))),
  ],
  'a near look-up finds what was unlinked before': [
    did(1, [1, 2], ask.unlink(2, 'x'), { attr: attr(10, { nlink: 0, size: 5 }) }),
    did(2, [3, 4], ask.lookupNear(2, 'x'), near(x)),
  ],
  'a near look-up does not find what is there': [did(1, [1, 2], ask.lookupNear(2, 'x'), near(null))],
  'a near look-up leaves an entry out before another': [did(1, [1, 2], ask.lookupNear(2, 'a'), near(null, entry('x')))],
  'a near look-up shows nothing where something is': [did(1, [1, 2], ask.lookupNear(2, 'a'), near(null))],
  'a near look-up shows more than is wanted': [did(1, [1, 2], ask.lookupNear(2, 'a', 1), near(null, sub, entry('x')))],
  'a near look-up shows a size from before a write': [
    did(1, [1, 2], ask.writeBytes(10, 3, bytes('four')), wrote(32, 7)),
    did(2, [3, 4], ask.lookupNear(2, 'a'), near(null, sub, entry('x'))),
  ],
  'a near look-up sees half of a rename': [
    did(1, [1, 9], ask.rename([2, 'x'], [2, 'y']), { attr: x, replaced: 0 }),
    did(2, [2, 3], ask.lookupNear(2, 'x'), near(null, entry('y'))),
    did(2, [4, 5], ask.lookupNear(2, 'sub'), near(directory(4), sub, entry('x'))),
  ],
  'an open does not see bytes that went with their commit': [
    did(1, [1, 2], ask.writeBytes(10, 0, bytes('first')), wrote(32, 5)),
    did(2, [3, 4], ask.open(10), shows(5, slice(1, 0, 5))),
  ],
  'bytes that went with their commit are elsewhere than the answer says': [
    did(1, [1, 2], ask.writeBytes(10, 0, bytes('first')), wrote(32, 5)),
    did(2, [3, 4], ask.open(10), shows(5, slice(3, 0, 5))),
  ],
  'a commit with its bytes answers a wrong size': [did(1, [1, 2], ask.writeBytes(10, 3, bytes('four')), wrote(32, 5))],
  'a commit with its bytes makes a file shorter': [did(1, [1, 2], ask.writeBytes(10, 0, bytes('one')), wrote(32, 3))],
  'of two commits with their bytes the first stands over the second': [
    did(1, [1, 2], ask.writeBytes(10, 0, bytes('first')), wrote(32, 5)),
    did(2, [3, 4], ask.writeBytes(10, 0, bytes('other')), wrote(48, 5)),
    did(2, [5, 6], ask.read(10), shows(5, slice(3, 0, 5), slice(2, 0, 5))),
  ],
  'two reads see two commits with their bytes in two orders': [
    did(1, [1, 9], ask.writeBytes(10, 5, bytes('one')), wrote(32, 8)),
    did(2, [1, 9], ask.writeBytes(10, 8, bytes('two')), wrote(48, 11)),
    did(3, [2, 3], ask.read(10), shows(8, slice(1, 0, 5), slice(2, 5, 3))),
    did(4, [4, 5], ask.read(10), shows(11, slice(1, 0, 5), slice(3, 8, 3))),
  ],
  'two commits with their bytes get one blob': [
    did(1, [1, 2], ask.writeBytes(10, 0, bytes('one')), wrote(32, 5)),
    did(1, [3, 4], ask.writeBytes(10, 3, bytes('two')), wrote(32, 6)),
  ],
  'bytes that came damaged are taken': [did(1, [1, 2], spoilt(ask.writeBytes(10, 0, bytes('first'))), wrote(32, 5))],
  'good bytes are said to be damaged': [did(1, [1, 2], ask.writeBytes(10, 0, bytes('first')), CORRUPT)],
  'bytes of a retry are in two places': [
    did(1, [1, 2], ask.writeBytes(10, 5, bytes('retried')), wrote(0, 12)),
    did(2, [3, 4], ask.read(10), shows(12, slice(1, 0, 5), slice(7, 5, 7))),
    did(2, [5, 6], ask.read(10), shows(12, slice(1, 0, 5), slice(8, 5, 7))),
  ],
  'bytes of two retries are in one place': [
    did(1, [1, 2], ask.writeBytes(10, 5, bytes('one')), wrote(0, 8)),
    did(1, [3, 4], ask.writeBytes(10, 8, bytes('two')), wrote(0, 11)),
    did(2, [5, 6], ask.read(10), shows(11, slice(1, 0, 5), slice(7, 5, 3), slice(7, 8, 3))),
  ],
  'bytes of a retry are lost': [
    did(1, [1, 2], ask.writeBytes(10, 5, bytes('retried')), wrote(0, 12)),
    did(2, [3, 4], ask.read(10), shows(12, slice(1, 0, 5))),
  ],
};

for (const [name, history] of Object.entries(good)) {
  test(`accepted: ${name}`, () => assert.strictEqual(check(model, history).verdict, 'ok'));
}

for (const [name, history] of Object.entries(bad)) {
  test(`refused: ${name}`, () => assert.strictEqual(check(model, history).verdict, 'illegal'));
}

test('directories that nothing joins are checked apart, and a rename between them joins them', () => {
  const inA = did(1, [1, 2], ask.create(2, 'n'), { attr: attr(20), created: true });
  const inB = did(2, [1, 2], ask.create(3, 'n'), { attr: attr(21), created: true });
  const partsOf = (history: FileHistory) => model.partition!(history).length; // this model has one
  assert.strictEqual(partsOf([inA, inB]), 2);
  assert.strictEqual(partsOf([inA, inB, did(1, [3, 4], ask.rename([2, 'n'], [3, 'm']))]), 1);
  assert.strictEqual(partsOf([inA, inB, did(1, [3, 4], ask.rename([2, 'sub'], [2, 'm']))]), 1, 'all are above');
  assert.strictEqual(partsOf([inA, inB, did(1, [3, 4], ask.rmdir(ROOT, 'a'), NOTEMPTY)]), 2, 'root and a are one');
  assert.strictEqual(partsOf([did(1, [3, 4], ask.lookup(2, 'x'))]), 0, 'a read without an answer says nothing');
});

/** Changes what one answer says. */
function damage(history: FileHistory, random: () => number): FileHistory {
  const at = Math.floor(random() * history.length);
  const kind = Math.floor(random() * 4);
  return history.map((operation, index) => {
    const { answer } = operation;
    if (index !== at || answer === UNKNOWN) return operation;
    if (answer.status !== Status.OK) {
      const status = answer.status === NOENT ? EXIST : NOENT;
      return { ...operation, answer: { ...answer, status } };
    }
    const told = answer.answer as { attr?: ReturnType<typeof attr> | null; entries?: unknown[] };
    if (told.entries !== undefined && told.entries.length > 0) {
      const entries = told.entries.slice(1);
      return { ...operation, answer: { ...answer, answer: { ...told, entries } as FileAnswer['answer'] } };
    }
    if (told.attr === undefined || told.attr === null) return { ...operation, answer: { status: NOENT, answer: null } };
    const { size, nlink, inode } = told.attr;
    const other = [{ nlink: nlink + 1 }, { nlink: nlink - 1 }, { inode: inode + 1 }, { size: size + 10 }][kind];
    const changed = { ...told, attr: { ...told.attr, ...other } } as FileAnswer['answer'];
    return { ...operation, answer: { ...answer, answer: changed } };
  });
}

test('what the operations of the service do concurrently is accepted, and damaged answers mostly are not', (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  let refused = 0;
  const runs = 30;
  for (let run = 0; run < runs; run++) {
    const directories = 1 + (run % 3);
    const shape = { clients: 6, operations: 300, directories, names: 5, unknownPercent: (run % 4) * 2, random };
    const { history, ...options } = executeFiles(shape);
    const verdict = check(fileSystem(options), history);
    assert.strictEqual(verdict.verdict, 'ok', `run ${run} of SEED=${seed}: ${JSON.stringify(verdict)}`);
    if (check(fileSystem(options), damage(history, random), { steps: 200_000 }).verdict === 'illegal') refused++;
  }
  context.diagnostic(`${refused} of ${runs} damaged histories are refused`);
  assert(refused > runs / 2);
});

test('no history of the service with many lost answers is refused', (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  const seen = { ok: 0, unknown: 0, illegal: 0 };
  for (let run = 0; run < 120; run++) {
    const [clients, operations, unknownPercent] = [2 + (run % 4), 30 + ((7 * run) % 150), 5 + (run % 20)];
    const shape = { clients, operations, directories: 1 + (run % 2), names: 3, unknownPercent, random };
    const { history, ...options } = executeFiles(shape);
    const { verdict } = check(fileSystem(options), history, { steps: 100_000 });
    assert.notStrictEqual(verdict, 'illegal', `run ${run} of SEED=${seed}`);
    seen[verdict]++;
  }
  context.diagnostic(JSON.stringify(seen));
  assert(seen.ok > 90);
});

test('on small histories, whole and damaged, the checker with its parts agrees with the definition', (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  const seen = { ok: 0, illegal: 0 };
  for (let run = 0; run < 900; run++) {
    const shape = { clients: 4, operations: 7, directories: 2, names: 2, unknownPercent: (run % 3) * 15, random };
    const { history, ...options } = executeFiles(shape);
    const damaged = run % 3 === 0 ? history : damage(damage(history, random), random);
    const files = fileSystem(options);
    const { verdict } = check(files, damaged);
    assert(verdict !== 'unknown');
    assert.strictEqual(verdict === 'ok', bruteForce(files, damaged), `run ${run} of SEED=${seed}`);
    seen[verdict]++;
  }
  assert(seen.ok > 60 && seen.illegal > 60, JSON.stringify(seen));
});

test('parts, relations and operations that change nothing are shortcuts only: without them the verdict is the same', (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  const seen = { ok: 0, illegal: 0, unknown: 0 };
  for (let run = 0; run < 150; run++) {
    const [clients, operations, unknownPercent] = [2 + (run % 5), 10 + (run % 25), run % 30];
    const shape = { clients, operations, directories: 1 + (run % 2), names: 2, unknownPercent, random };
    const { history, ...options } = executeFiles(shape);
    const damaged = run % 4 === 0 ? history : damage(damage(history, random), random);
    const files = fileSystem(options);
    const { partition: _, related: __, ...plain } = files;
    const { verdict } = check(files, damaged, { steps: 200_000 });
    const other = check({ ...plain, changesNothing: () => false }, damaged, { steps: 400_000 }).verdict;
    if (other !== 'unknown' && verdict !== 'unknown') assert.strictEqual(verdict, other, `run ${run} of SEED=${seed}`);
    seen[verdict]++;
  }
  assert(seen.ok > 20 && seen.illegal > 20, JSON.stringify(seen));
});

test('5,000 operations of 10 clients on 50 names are checked in a few seconds at most', (context) => {
  const { random, seed } = seededRandom();
  for (const directories of [10, 1]) {
    const names = 50 / directories;
    const shape = { clients: 10, operations: 5000, directories, names, unknownPercent: 1, random };
    const { history, ...options } = executeFiles(shape);
    const begun = process.cpuUsage();
    const verdict = check(fileSystem(options), history);
    const ms = process.cpuUsage(begun).user / 1000;
    context.diagnostic(`SEED=${seed}: ${directories} directories: ${verdict.steps} steps in ${ms.toFixed(0)} ms`);
    assert.strictEqual(verdict.verdict, 'ok', JSON.stringify(verdict).slice(0, 2000));
    assert(ms < 8000);
  }
});
