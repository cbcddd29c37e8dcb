// Plants one bug after another in a copy of the compiled code and counts the runs until something is broken. Production
// code has no switch for any of it. Ends with a table of bugs and invariants for each simulation: which saw a bug first,
// and which at all.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { compiled, Helper, HelperLost } from './helpers.js';
import { ASSERTION } from './reports.js';
import type { Bug, Edit, Simulation } from './simulation.js';
import type { Verdict } from './trial.js';

/** Most runs of a trial. */
export const RUNS = 2000;
const TRIAL_MS = 900_000;
const FOLDERS = ['proto', 'node', 'workers', 'test/sim', 'test/linearizability', 'test/node'];

function findModules(): string {
  for (let at = compiled; at !== path.dirname(at); at = path.dirname(at)) {
    const found = path.join(at, 'node_modules');
    if (fs.existsSync(found)) return found;
  }
  return assert.fail('there are packages');
}

export interface Copy extends Disposable {
  readonly root: string;
}

/** A copy of the compiled code, to plant bugs in. It goes with this process at the latest. */
export function copyCode(): Copy {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-sim-'));
  const remove = (): void => fs.rmSync(root, { recursive: true, force: true });
  process.once('exit', remove);
  for (const folder of FOLDERS) fs.cpSync(path.join(compiled, folder), path.join(root, folder), { recursive: true });
  fs.symlinkSync(findModules(), path.join(root, 'node_modules'));
  fs.writeFileSync(path.join(root, 'package.json'), '{ "type": "module" }');
  const dispose = (): void => {
    process.removeListener('exit', remove);
    remove();
  };
  return { root, [Symbol.dispose]: dispose };
}

/** The code of a file with a bug in it; it must fit in exactly one place. */
export function withBug(root: string, { file, from, to }: Edit, name: string): string {
  const code = fs.readFileSync(path.join(root, file), 'utf8');
  assert.strictEqual(code.split(from).length, 2, `"${name}" fits ${file} in exactly one place: ${from}`);
  return code.replace(from, () => to);
}

/** Runs seeds with a bug until one breaks something, in a process of its own. */
export async function tryBug({ root }: Copy, simulation: Simulation, bug: Bug, runs = RUNS): Promise<Verdict> {
  const changed = new Set(bug.edits.map(({ file }) => file));
  using helper = new Helper(root);
  try {
    for (const edit of bug.edits) fs.writeFileSync(path.join(root, edit.file), withBug(root, edit, bug.name));
    return await helper.run('trial', { simulation: simulation.name, runs }, TRIAL_MS);
  } catch (error) {
    // A bug may make a run go on for ever, or end its process.
    if (!(error instanceof HelperLost)) throw error;
    return { runs: 0, invariants: [], failure: error.message };
  } finally {
    for (const file of changed) fs.copyFileSync(path.join(compiled, file), path.join(root, file));
  }
}

/** What is broken without a bug catches none. */
async function caughtBy({ runSeed }: Simulation, { seed, ...verdict }: Verdict): Promise<Verdict> {
  if (seed === undefined) return verdict;
  const { broken } = await runSeed(seed);
  return broken.length === 0 ? { seed, ...verdict } : { ...verdict, failure: `seed ${seed} is broken without it` };
}

function lineOf({ name }: Bug, { runs, seed, first, what, failure }: Verdict): string {
  if (failure !== undefined) return `NOT CAUGHT: ${name} (${failure})`;
  if (seed === undefined) return `NOT CAUGHT in ${runs} runs: ${name}`;
  return `${String(runs).padStart(5)} runs: ${name} (seed ${seed}: ${first === ASSERTION ? what : first})`;
}

function table({ name, invariantNames }: Simulation, verdicts: ReadonlyMap<string, Verdict>): string[] {
  const lines = ['', `${name}: which invariant saw which bug (F first, x also):`];
  const seen = new Set<string>();
  for (const [bug, { first, invariants }] of verdicts) {
    const columns = invariantNames.map((invariant) => {
      if (invariants.includes(invariant)) seen.add(invariant);
      return invariant === first ? 'F' : invariants.includes(invariant) ? 'x' : '.';
    });
    lines.push(`${columns.join(' ')}  ${bug}`);
  }
  invariantNames.forEach((invariant, at) => {
    lines.push(`${'  '.repeat(at)}| ${invariant}${seen.has(invariant) ? '' : '  (no planted bug makes it fire)'}`);
  });
  return lines;
}

export interface PlantedOptions {
  /** Whose bugs. */
  readonly simulations: readonly Simulation[];
  /** Only those with this in their names. */
  readonly named: string | undefined;
  /** So many bugs are tried at once. */
  readonly jobs: number;
  readonly say: (line: string) => void;
}

/** False if a bug was not caught. Says a line for each bug, in the order of the lists. */
export async function runPlanted({ simulations, named = '', jobs, say }: PlantedOptions): Promise<boolean> {
  const trials = simulations.flatMap((simulation) =>
    simulation.bugs.filter(({ name }) => name.includes(named)).map((bug) => ({ simulation, bug })),
  );
  for (const { bug } of trials) for (const edit of bug.edits) withBug(compiled, edit, bug.name);
  const verdicts: Verdict[] = [];
  let begun = 0;
  let said = 0;
  const work = async (): Promise<void> => {
    using copy = copyCode();
    while (begun < trials.length) {
      const at = begun++;
      const { simulation, bug } = trials[at]!; // `at` is below their count
      verdicts[at] = await caughtBy(simulation, await tryBug(copy, simulation, bug));
      for (; verdicts[said] !== undefined; said++) say(lineOf(trials[said]!.bug, verdicts[said]!));
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, trials.length) }, work));
  for (const simulation of simulations) {
    const own = trials.flatMap(({ bug, ...trial }, at) =>
      trial.simulation === simulation ? [[bug.name, verdicts[at]!] as const] : [],
    );
    if (own.length > 0) for (const line of table(simulation, new Map(own))) say(line);
  }
  const caught = verdicts.filter(({ seed }) => seed !== undefined).length;
  say(`${caught} of ${trials.length} planted bugs caught`);
  return caught === trials.length && caught > 0;
}
