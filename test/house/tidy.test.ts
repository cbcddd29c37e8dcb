// Keeps the house: who may import whom, what pure modules may not use, sizes of files and functions.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const TOPS = ['proto', 'workers', 'node', 'client', 'gateway', 'perf', 'test'];
const MAY_IMPORT: Record<string, readonly string[]> = {
  proto: [],
  workers: ['proto'],
  node: ['proto', 'workers'],
  client: ['proto', 'workers', 'node'],
  gateway: ['proto', 'workers', 'client'],
  perf: TOPS,
  test: TOPS,
};
/** What other tops may import of node/: the faces of its rooms. */
const NODE_FACE = /^node\/[a-z]+\/index\.ts$/;
const FILE_LINES = 500;
const FUNCTION_LINES = 70;
/** Files that have earned more than FILE_LINES, with the reason. */
const LONG_FILES: Record<string, string> = {};

interface Source {
  readonly file: string;
  readonly text: string;
  /** Files of ours that it imports, relative to the root. */
  readonly imports: string[];
}

function walk(folder: string): string[] {
  return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return walk(file);
    return entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts') ? [file] : [];
  });
}

const sources: Source[] = TOPS.filter((top) => fs.existsSync(path.join(ROOT, top)))
  .flatMap(walk)
  .map((file) => {
    const text = fs.readFileSync(path.join(ROOT, file), 'utf8');
    const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1]!);
    const imports = found.map((target) => path.join(path.dirname(file), target).replace(/\.js$/, '.ts'));
    return { file, text, imports };
  });

assert(sources.length > 100, `the sources are not found below ${ROOT}: run these tests from the project's own build`);

function top(file: string): string {
  return file.split('/')[0]!;
}

/** The text without comments and the contents of strings. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/(^|[^:'"`\\])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

test('imports between the folders run one way', () => {
  for (const { file, imports } of sources) {
    for (const target of imports) {
      const [from, to] = [top(file), top(target)];
      if (from === to) continue;
      assert(MAY_IMPORT[from]!.includes(to), `${file} imports ${target}`);
      if (to === 'node' && from === 'client') assert.match(target, NODE_FACE, `${file} imports the inside of node/`);
    }
  }
});

test('no module imports itself through others', () => {
  const imports = new Map(sources.map((source) => [source.file, source.imports]));
  const done = new Set<string>();
  const visit = (file: string, way: string[]): void => {
    assert(!way.includes(file), `cycle: ${[...way.slice(way.indexOf(file)), file].join(' -> ')}`);
    if (done.has(file)) return;
    for (const target of imports.get(file) ?? []) visit(target, [...way, file]);
    done.add(file);
  };
  for (const { file } of sources) visit(file, []);
});

test('every import of ours names a file that stands', () => {
  for (const { file, imports } of sources) {
    for (const target of imports) assert(fs.existsSync(path.join(ROOT, target)), `${file} imports ${target}`);
  }
});

test('formats and state machines use no clock, randomness, timer, promise or I/O', () => {
  const pure = /^(proto\/|node\/raft\/core\/|node\/meta\/operations\/)/;
  const impure =
    /\bDate\b|\bperformance\b|Math\.random|randomInt|randomBytes|setTimeout|setInterval|setImmediate|queueMicrotask|\basync\b|\bPromise\b/;
  const inputOutput = /'node:(fs|net|http|child_process|worker_threads|timers|dgram|os)[^']*'/;
  for (const { file, text } of sources) {
    if (!pure.test(file)) continue;
    const used = impure.exec(code(text)) ?? inputOutput.exec(text);
    assert(used === null, `${file} uses ${used?.[0]}`);
  }
});

test('files can be read in one sitting and functions on one screen', () => {
  for (const { file, text } of sources) {
    const lines = text.split('\n');
    if (!(file in LONG_FILES)) assert(lines.length <= FILE_LINES + 1, `${file} has ${lines.length} lines`);
    for (const { name, length } of functions(lines)) {
      if (top(file) !== 'test') assert(length <= FUNCTION_LINES, `${name} in ${file} has ${length} lines`);
    }
  }
});

/** Functions and methods, found by the formatter's layout: a head at some indent, ended by `}` at the same. */
function functions(lines: string[]): { name: string; length: number }[] {
  const head =
    /^(\s*)(?:export )?(?:async )?(?:(?:private |static |override |readonly )*)(?:function\*? )?(\w+)(?:<.*>)?\(.*\{$/;
  const found: { name: string; length: number }[] = [];
  lines.forEach((line, start) => {
    const match = head.exec(line);
    if (match === null || ['if', 'for', 'while', 'switch', 'catch'].includes(match[2]!)) return;
    const end = lines.findIndex((later, index) => index > start && later === `${match[1]}}`);
    if (end > 0) found.push({ name: match[2]!, length: end - start + 1 });
  });
  return found;
}

test('every file of code opens by saying what lives in it', () => {
  for (const { file, text } of sources) {
    if (file.endsWith('/index.ts') || top(file) === 'test') continue;
    assert(/^(#!.*\n)?\/\//.test(text), `${file} opens without a comment`);
  }
});

test('nothing is left to do, skipped or printed past the output module', () => {
  const anywhere = /\bTODO\b|\bFIXME\b|\bXXX\b/;
  const inCode = /console\.log|\.(?:skip|todo)\(|\bas any\b|: any\b/;
  for (const { file, text } of sources) {
    if (file === 'test/house/tidy.test.ts') continue;
    const found = anywhere.exec(text) ?? inCode.exec(code(text));
    assert(found === null, `${file} has ${found?.[0]}`);
  }
});
