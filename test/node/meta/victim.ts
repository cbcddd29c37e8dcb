// A node in a process of its own that a test kills, and what is left of it.

import assert from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ask, startNode, until } from './support.js';

/** Numbers in [0, bound), from a seed. */
export function drawer(seed: number): (bound: number) => number {
  let random = seed;
  return (bound) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return Math.floor((random / 2 ** 32) * bound);
  };
}

export class Victim {
  readonly acknowledged: string[] = [];
  checkpoints = 0;
  private readonly child: ChildProcess;
  private rest = '';
  private errors = '';

  constructor(directory: string, bootId: string, round: number, what = 'files') {
    const script = fileURLToPath(new URL('./crash-child.js', import.meta.url));
    this.child = spawn(process.execPath, [script, directory, bootId, String(round), what], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.rest + text).split('\n');
      this.rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === 'checkpoint') this.checkpoints++;
        else this.acknowledged.push(line);
      }
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
  }

  get ended(): boolean {
    return this.child.exitCode !== null;
  }

  checkpoint(): void {
    this.child.stdin!.write('\n');
  }

  async acknowledges(count: number): Promise<void> {
    await until(() => this.acknowledged.length >= count || this.ended, 'acknowledgements');
    assert.strictEqual(this.errors, '');
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await new Promise((resolve) => this.child.once('close', resolve));
    assert.strictEqual(this.errors, '');
  }
}

/** Names in the volume, after a start under `bootId`. */
export async function survivors(
  directory: string,
  bootId: string,
): Promise<{ names: Set<string>; warnings: string[] }> {
  const node = await startNode(directory, { bootId });
  const { volume } = await ask(node, 'volumeInfo', { name: 'volume' });
  const { group } = volume;
  const names = new Set<string>();
  for (let after = '', end = false; !end; ) {
    const page = await ask(node, 'readdir', { inode: volume.partition * 2 ** 38 + 1, after, limit: 1000 }, { group });
    for (const { name } of page.entries) names.add(name);
    after = page.cursor;
    end = page.end;
  }
  const { files } = await ask(node, 'statfs', {}, { group });
  assert.strictEqual(files, names.size + 1, 'every entry was counted once: replay is exact');
  await node.close();
  return { names, warnings: node.warnings };
}

export function assertAll(names: Set<string>, acknowledged: readonly string[], when: string): void {
  const lost = acknowledged.filter((name) => !names.has(name));
  assert.deepStrictEqual(lost, [], `${when}: ${lost.length} of ${acknowledged.length} acknowledged files are lost`);
}
