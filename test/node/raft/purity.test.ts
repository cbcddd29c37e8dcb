// The core decides and does nothing else: its sources are read for whatever would make it wait, guess or look around.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sourcePath } from './source.js';

const FORBIDDEN: readonly [RegExp, string][] = [
  [/\bDate\b|\bperformance\b|\bhrtime\b/, 'a clock'],
  [/\bMath\.random\b|\brandomBytes\b|\brandomUUID\b|\bcrypto\b/, 'randomness of its own'],
  [/\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bnextTick\b/, 'a timer'],
  [/\basync\b|\bawait\b|\bPromise\b|\.then\(/, 'something to wait for'],
  [/\bprocess\b|\bconsole\b|\bglobalThis\b/, 'its surroundings'],
  [/\bSharedArrayBuffer\b|\bAtomics\b|\bWorker\b/, 'other threads'],
];
const IMPORTS = /^(node:assert|\.\/[a-z-]+\.js|\.\.\/\.\.\/\.\.\/proto\/(raft\/index|limits)\.js)$/;

/** Without comments, which may name what the code may not. */
function code(source: string): string {
  return source
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\s\/\/ .*$/gm, '');
}

const folder = sourcePath('node/raft/core');
const files = fs.readdirSync(folder);

test('the core of raft has no clock, no randomness, no timer, no async and no I/O', () => {
  assert(files.length >= 8, 'the core is where it is looked for');
  for (const file of files) {
    const text = code(fs.readFileSync(path.join(folder, file), 'utf8'));
    for (const [pattern, what] of FORBIDDEN) assert.doesNotMatch(text, pattern, `${file} has ${what}`);
    for (const [, from] of text.matchAll(/\bfrom '([^']+)'/g))
      assert.match(from ?? '', IMPORTS, `${file} imports ${from}`);
    assert.doesNotMatch(text, /\bimport\(|\brequire\(/, `${file} imports while it runs`);
  }
});
