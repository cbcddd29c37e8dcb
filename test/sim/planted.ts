// Plants one bug after another in a copy of the compiled code and counts the seeds until something is broken. Production
// code has no switch for any of it. Ends with a table of bugs and invariants: which saw a bug first, and which at all.

import assert from 'node:assert';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Bug, bugs, type Edit } from './bugs.js';
import { ASSERTION, invariantNames } from './invariants/index.js';
import type { Verdict } from './trial.js';

export const SEEDS = 2000;
const TRIAL_MS = 900_000;
const FOLDERS = ['proto', 'node', 'workers', 'test/sim', 'test/linearizability', 'test/node'];

export const compiled = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

function findModules(): string {
  for (let at = compiled; at !== path.dirname(at); at = path.dirname(at)) {
    const found = path.join(at, 'node_modules');
    if (fs.existsSync(found)) return found;
  }
  return assert.fail('there are packages');
}

/** A copy of the compiled code, to plant bugs in. */
export function copyCode(): { readonly root: string; [Symbol.dispose](): void } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-sim-'));
  for (const folder of FOLDERS) fs.cpSync(path.join(compiled, folder), path.join(root, folder), { recursive: true });
  fs.symlinkSync(findModules(), path.join(root, 'node_modules'));
  fs.writeFileSync(path.join(root, 'package.json'), '{ "type": "module" }');
  return { root, [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }) };
}

/** The code of a file with a bug in it; it must fit in exactly one place. */
export function withBug(root: string, { file, from, to }: Edit, name: string): string {
  const code = fs.readFileSync(path.join(root, file), 'utf8');
  assert.strictEqual(code.split(from).length, 2, `"${name}" fits ${file} in exactly one place: ${from}`);
  return code.replace(from, () => to);
}

/** Runs seeds with a bug until one breaks something, in a process of its own. */
export async function tryBug(root: string, { name, edits }: Bug, from: number, count: number): Promise<Verdict> {
  for (const edit of edits) fs.writeFileSync(path.join(root, edit.file), withBug(root, edit, name));
  try {
    const trial = path.join(root, 'test/sim/trial.js');
    const options = { timeout: TRIAL_MS, maxBuffer: 1 << 24 };
    const { stdout } = await promisify(execFile)(process.execPath, [trial, `${from}`, `${count}`], options);
    return JSON.parse(stdout) as Verdict;
  } catch (error) {
    // A bug may make a run go on for ever, which is seen, too.
    if ((error as { killed?: boolean }).killed !== true) throw error;
    return { seeds: count, invariants: [] };
  } finally {
    for (const { file } of edits) fs.copyFileSync(path.join(compiled, file), path.join(root, file));
  }
}

function table(verdicts: ReadonlyMap<string, Verdict>): string[] {
  const lines = ['', 'Which invariant saw which bug (F first, x also):'];
  const seen = new Set<string>();
  for (const [name, { first, invariants }] of verdicts) {
    const columns = invariantNames.map((invariant) => {
      if (invariants.includes(invariant)) seen.add(invariant);
      return invariant === first ? 'F' : invariants.includes(invariant) ? 'x' : '.';
    });
    lines.push(`${columns.join(' ')}  ${name}`);
  }
  invariantNames.forEach((invariant, at) => {
    lines.push(`${'  '.repeat(at)}| ${invariant}${seen.has(invariant) ? '' : '  (no planted bug makes it fire)'}`);
  });
  return lines;
}

/** False if a bug was not caught. */
export async function runPlanted(say: (line: string) => void, only?: string): Promise<boolean> {
  const chosen = bugs.filter(({ name }) => only === undefined || name.includes(only));
  using copy = copyCode();
  const verdicts = new Map<string, Verdict>();
  let caught = 0;
  for (const bug of chosen) {
    const verdict = await tryBug(copy.root, bug, 1, SEEDS);
    verdicts.set(bug.name, verdict);
    const { seed, first, what } = verdict;
    if (seed === undefined) {
      say(`NOT CAUGHT in ${SEEDS} seeds: ${bug.name}`);
      continue;
    }
    caught++;
    say(`${String(seed).padStart(5)} seeds: ${bug.name} (${first === ASSERTION ? what : first})`);
  }
  for (const line of table(verdicts)) say(line);
  say(`${caught} of ${chosen.length} planted bugs caught`);
  return caught === chosen.length;
}
