// Processes killed at any moment: whatever was acknowledged is there at the next start, and what was deleted stays so.

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BlockNode, patternBytes, seededBelow, temporaryDirectory } from './support.js';

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));
const CHILD_LIMIT_MS = 15_000;

/** What children told, over several lives of one directory. */
interface Told {
  living: Map<number, { length: number; seed: number }>;
  /** Asked to be deleted, not acknowledged: may be there or not. */
  doubtful: Set<number>;
  deleted: Set<number>;
  warnings: string[];
}

function take(told: Told, line: string): void {
  const [kind, block, length, seed] = line.split(' ') as [string, string, string, string];
  const id = Number(block);
  if (kind === 'W') told.living.set(id, { length: Number(length), seed: Number(seed) });
  else if (kind === 'd') told.doubtful.add(id);
  else if (kind === 'D') {
    told.living.delete(id);
    told.doubtful.delete(id);
    told.deleted.add(id);
  } else told.warnings.push(line);
}

/** Runs a child until it kills itself, or kills it after `lines` lines; resolves when it is gone. */
function live(
  directory: string,
  told: Told,
  options: { seed: number; stopAt?: string; lines?: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, STOP_AT: options.stopAt ?? '' };
    const child = spawn(process.execPath, [CHILD, directory, String(options.seed)], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, CHILD_LIMIT_MS);
    let rest = '';
    let errors = '';
    let count = 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) take(told, line);
      count += lines.length;
      if (options.lines !== undefined && count >= options.lines) child.kill('SIGKILL');
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('close', (_code, signal) => {
      clearTimeout(limit);
      if (late) reject(new Error(`the child did not come to ${options.stopAt ?? 'its lines'} in time`));
      else if (signal === 'SIGKILL') resolve(count);
      else reject(new Error(`the child ended by itself: ${errors}`));
    });
  });
}

async function check(directory: string, told: Told): Promise<void> {
  const node = await BlockNode.open(directory, { volumeNeedles: 200 });
  for (const [block, { length, seed }] of told.living) {
    const bytes = await node.read(block);
    if (bytes === null) assert.ok(told.doubtful.has(block), `block ${block} was acknowledged and is lost`);
    else assert.deepStrictEqual(bytes, patternBytes(length, seed));
    if (bytes === null) told.living.delete(block);
  }
  for (const block of told.deleted) assert.strictEqual(await node.read(block), null, `${block} was deleted`);
  told.doubtful.clear();
  assert.deepStrictEqual([...node.warnings, ...told.warnings], []);
  await node.stop();
}

const nothing = (): Told => ({ living: new Map(), doubtful: new Set(), deleted: new Set(), warnings: [] });

test('kill -9 in a loop under appends, deletions and compactions loses nothing that was acknowledged', async () => {
  const below = seededBelow('kill loop');
  const directory = temporaryDirectory();
  const told = nothing();
  for (let life = 0; life < 8; life++) {
    await live(directory, told, { seed: life * 1_000_000, lines: 1 + below(2500) });
    await check(directory, told);
  }
  assert.ok(told.living.size > 100);
  fs.rmSync(directory, { recursive: true });
});

for (const step of ['seal', 'created', 'copying', 'copied', 'synced', 'renamed:2', 'renamed', 'swapped', 'dropping']) {
  test(`a process killed at the step "${step}" of a compaction leaves the old volume or the new`, async () => {
    const directory = temporaryDirectory();
    const told = nothing();
    const [name, count] = step.split(':') as [string, string | undefined];
    for (const time of [1, 3]) {
      const at = time * 2 - 2 + Number(count ?? 1);
      await live(directory, told, { seed: time * 1_000_000, stopAt: `${name}:${at}` });
      await check(directory, told);
    }
    fs.rmSync(directory, { recursive: true });
  });
}
