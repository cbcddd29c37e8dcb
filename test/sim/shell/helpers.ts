// Processes that do a part of the work: seeds, so that all cores run them, and trials of planted bugs, each in a copy of
// the code. A helper does one job at a time, in bounded time, and ends when who started it does, however that ended.

import assert from 'node:assert';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Ran, ranSeed } from './seeds.js';
import type { House } from './simulation.js';
import { trial, type Verdict } from './trial.js';

/** The compiled tree that this is a part of. */
export const compiled = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

/** The argument that makes a helper of the command. */
export const HELPER = 'helper';

interface Jobs {
  readonly seed: { readonly job: { readonly seed: number }; readonly result: Ran };
  readonly trial: { readonly job: { readonly simulation: string; readonly runs: number }; readonly result: Verdict };
}

type Kind = keyof Jobs;
type Asked = { readonly [K in Kind]: { readonly kind: K } & Jobs[K]['job'] }[Kind];

/** A helper ended, or was ended, with its job undone. */
export class HelperLost extends Error {}

export class Helper {
  private child: ChildProcess | undefined;

  /** Runs the code below `root`. */
  constructor(private readonly root: string = compiled) {}

  /** Throws HelperLost if nothing comes of it within `limitMs`; the next job then has another process. */
  async run<K extends Kind>(kind: K, job: Jobs[K]['job'], limitMs: number): Promise<Jobs[K]['result']> {
    this.child ??= fork(path.join(this.root, 'test/sim/main.js'), [`--${HELPER}`], { execArgv: [] });
    const { child } = this;
    const over = new AbortController();
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limitMs);
    const { signal } = over;
    try {
      const answer = once(child, 'message', { signal });
      const end = once(child, 'exit', { signal });
      child.send({ kind, ...job });
      const first = await Promise.race([answer, end.then(([code, killed]) => ({ code, killed }))]);
      if (Array.isArray(first)) return first[0] as Jobs[K]['result'];
      this.child = undefined;
      const { code, killed } = first;
      const how = late ? `after ${limitMs} ms` : killed === null ? `with code ${code}` : `by ${killed}`;
      throw new HelperLost(`its process ended ${how}`);
    } finally {
      clearTimeout(limit);
      over.abort();
    }
  }

  [Symbol.dispose](): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }
}

/** Is a helper until whoever started it ends. */
export async function help(house: House): Promise<never> {
  assert(process.send !== undefined, 'a helper has somebody to help');
  watch();
  process.once('disconnect', () => process.exit(0));
  for (;;) {
    const [asked] = (await once(process, 'message')) as [Asked];
    process.send(await done(house, asked));
  }
}

function done(house: House, asked: Asked): Promise<Ran | Verdict> {
  if (asked.kind === 'seed') return ranSeed(house, asked.seed);
  const simulation = house.simulations.find(({ name }) => name === asked.simulation);
  assert(simulation !== undefined, `${asked.simulation} is a simulation`);
  return trial(house, simulation, asked.runs);
}

/** A run that never ends hears of nothing: a thread of its own looks whether the other process lives. */
function watch(): void {
  const code = `const { workerData: parent } = require('node:worker_threads');
    setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1000);`;
  new Worker(code, { eval: true, workerData: process.ppid }).unref();
}
