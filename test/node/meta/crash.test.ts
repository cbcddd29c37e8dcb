import assert from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Engine } from '../../../node/meta/engine.js';
import { ask, seedOf, startNode, temporaryDirectory, until } from './support.js';

const seed = seedOf('crash.test');
let random = seed;
function below(bound: number): number {
  random = (Math.imul(random, 1103515245) + 12345) >>> 0;
  return Math.floor((random / 2 ** 32) * bound);
}

class Victim {
  readonly acknowledged: string[] = [];
  checkpoints = 0;
  private readonly child: ChildProcess;
  private rest = '';
  private errors = '';

  constructor(directory: string, bootId: string, round: number) {
    const script = fileURLToPath(new URL('./crash-child.js', import.meta.url));
    this.child = spawn(process.execPath, [script, directory, bootId, String(round)], {
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
async function survivors(directory: string, bootId: string): Promise<{ names: Set<string>; warnings: string[] }> {
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

function assertAll(names: Set<string>, acknowledged: readonly string[], when: string): void {
  const lost = acknowledged.filter((name) => !names.has(name));
  assert.deepStrictEqual(lost, [], `${when}: ${lost.length} of ${acknowledged.length} acknowledged files are lost`);
}

test('every acknowledged file is there after kill -9, again and again', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const acknowledged: string[] = [];
  for (let round = 0; round < 6; round++) {
    const victim = new Victim(directory, 'boot', round);
    await victim.acknowledges(50 + below(500));
    if (round % 2 === 1) victim.checkpoint();
    await victim.acknowledges(600 + below(1500));
    await victim.kill();
    acknowledged.push(...victim.acknowledged);
    // Half of the rounds are looked at; the others start again on what the kill left.
    if (round % 2 === 0) continue;
    const { names, warnings } = await survivors(directory, 'boot');
    assertAll(names, acknowledged, `round ${round}`);
    assert.deepStrictEqual(
      warnings.filter((warning) => warning.includes('database')),
      [],
    );
  }
});

const DATA = 'data.mdb';

/** What a crash of the machine may leave of a database that was never synced. */
const damages: Record<string, (file: string, older: string) => void> = {
  'an older copy': (file, older) => fs.copyFileSync(older, file),
  'a file cut short': (file) => fs.truncateSync(file, Math.floor(fs.statSync(file).size / 3)),
  'nothing but zeros': (file) => fs.writeFileSync(file, Buffer.alloc(fs.statSync(file).size)),
  'old and new pages mixed': (file, older) => {
    const mixed = fs.readFileSync(file);
    const old = fs.readFileSync(older);
    for (let at = 0; at + 4096 <= old.length; at += 4096) if (below(2) === 0) old.copy(mixed, at, at, at + 4096);
    fs.writeFileSync(file, mixed);
  },
  'no file at all': (file) => fs.rmSync(file),
};

for (const [damage, apply] of Object.entries(damages)) {
  for (const checkpointed of [true, false]) {
    const title = `a crash of the machine that leaves ${damage} loses nothing, ${checkpointed ? 'with the log cut behind a checkpoint' : 'with no checkpoint'}`;
    test(title, async (t) => {
      const directory = temporaryDirectory();
      t.after(() => fs.rmSync(directory, { recursive: true }));
      const victim = new Victim(directory, 'boot-1', 0);
      await victim.acknowledges(100);
      const groups = path.join(directory, 'meta', 'groups');
      const older = path.join(directory, 'older');
      fs.copyFileSync(path.join(groups, '1', DATA), older);
      await victim.acknowledges(400);
      if (checkpointed) {
        victim.checkpoint();
        await until(() => victim.checkpoints === 1 || victim.ended, 'a checkpoint');
      }
      await victim.acknowledges(victim.acknowledged.length + 300);
      await victim.kill();
      apply(path.join(groups, '1', DATA), older);
      const { names, warnings } = await survivors(directory, 'boot-2');
      assertAll(names, victim.acknowledged, damage);
      const expected = checkpointed ? 'restored' : 'emptied';
      if (checkpointed || damage !== 'no file at all') {
        assert.ok(warnings.some((warning) => warning.includes('group 1') && warning.includes(expected)));
      }
      const again = await survivors(directory, 'boot-3');
      assertAll(again.names, victim.acknowledged, 'after a clean stop under another boot');
      assert.deepStrictEqual(again.warnings, [], 'a clean stop needs no checkpoint');
    });
  }
}

test('the log is cut behind a checkpoint, which holds what was applied', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = await startNode(directory);
  const { volume } = await ask(node, 'volumeCreate', { name: 'volume', owner: '' });
  const how = { group: volume.group };
  const parent = volume.partition * 2 ** 38 + 1;
  const make = (name: string) =>
    ask(node, 'mknod', { parent, name, mode: 0o100644, uid: 0, gid: 0, rdev: 0, exclusive: true }, how);
  await Promise.all(Array.from({ length: 2000 }, (_, index) => make(`before-${index}`)));
  const before = await ask(node, 'groupStatus', {}, how);
  const taking = node.checkpoint(volume.group);
  const during = Promise.all(Array.from({ length: 500 }, (_, index) => make(`during-${index}`)));
  await Promise.all([taking, during]);
  const after = await ask(node, 'groupStatus', {}, how);
  assert.ok(after.checkpointIndex >= before.appliedIndex && after.checkpointIndex < after.appliedIndex);
  await make('after');
  await until(
    () => fs.existsSync(path.join(directory, 'meta', 'groups', String(volume.group), 'checkpoint.mdb')),
    'it',
  );
  const { logBytes } = await ask(node, 'groupStatus', {}, how);
  assert.ok(logBytes < before.logBytes, `${logBytes} of ${before.logBytes} bytes are left`);
  await node.close();
  const copy = new Engine(path.join(directory, 'meta', 'groups', String(volume.group), 'checkpoint.mdb'));
  assert.strictEqual(copy.applied().index, after.checkpointIndex);
  let entries = 0;
  copy.scan('d', 'e', (_key, value) => (value.length > 0 ? ++entries > 0 : assert.fail('an empty dentry')));
  assert.ok(entries >= 2001 && entries < 2502, `${entries} entries, the root with them`);
  await copy.close();
});
