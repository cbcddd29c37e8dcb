// The model of the file system: histories whose verdict is known, those that the service's own operations make, damaged
// ones, and the definition beside them.

import assert from 'node:assert';
import { test } from 'node:test';
import { RenameFlag } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { seededRandom } from '../support/random.js';
import { bruteForce } from './brute-force.js';
import { ask, attr, did, directory, executeFiles, ROOT, sliceOf } from './file-histories.js';
import { check, type FileAnswer, type FileHistory, type FileOperation, fileSystem, UNKNOWN } from './index.js';

const { NOENT, EXIST, NOTEMPTY, STALE, ISDIR, NOTDIR, INVAL } = Status;

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
    const told = answer.answer as { attr?: ReturnType<typeof attr>; entries?: unknown[] };
    if (told.entries !== undefined && told.entries.length > 0) {
      const entries = told.entries.slice(1);
      return { ...operation, answer: { ...answer, answer: { ...told, entries } as FileAnswer['answer'] } };
    }
    if (told.attr === undefined) return { ...operation, answer: { status: NOENT, answer: null } };
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
