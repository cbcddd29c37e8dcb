// Plants one bug after another in a copy of the compiled code and counts the seeds until something is broken. Production
// code has no switch for any of it. Ends with a table of bugs and invariants: which saw a bug first, and which at all.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Bug } from '../bugs.js';
import { compiled, copyCode, withBug } from '../planted.js';
import type { Verdict } from '../trial.js';
import { bugs } from './bugs.js';
import { invariantNames } from './invariants.js';

export const SEEDS = 2000;
const TRIAL_MS = 600_000;

/** Runs seeds with a bug until one breaks something, in a process of its own. */
export async function tryBlockBug(root: string, bug: Bug, from: number, count: number): Promise<Verdict> {
  const changed = new Set(bug.edits.map(({ file }) => file));
  try {
    for (const edit of bug.edits) fs.writeFileSync(path.join(root, edit.file), withBug(root, edit, bug.name));
    const trial = path.join(root, 'test/sim/blocks/trial.js');
    const options = { timeout: TRIAL_MS, maxBuffer: 1 << 24 };
    const { stdout } = await promisify(execFile)(process.execPath, [trial, `${from}`, `${count}`], options);
    return JSON.parse(stdout) as Verdict;
  } finally {
    for (const file of changed) fs.copyFileSync(path.join(compiled, file), path.join(root, file));
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
    const verdict = await tryBlockBug(copy.root, bug, 1, SEEDS);
    verdicts.set(bug.name, verdict);
    if (verdict.seed === undefined) {
      say(`NOT CAUGHT in ${SEEDS} seeds: ${bug.name}`);
      continue;
    }
    caught++;
    say(`${String(verdict.seed).padStart(5)} seeds: ${bug.name} (${verdict.first})`);
  }
  for (const line of table(verdicts)) say(line);
  say(`${caught} of ${chosen.length} planted bugs caught`);
  return caught === chosen.length;
}
