import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ask, seedOf, startNode, temporaryDirectory } from './support.js';
import { assertAll, drawer, survivors, Victim } from './victim.js';

const below = drawer(seedOf('crash.test'));

test('every acknowledged file is there after kill -9, again and again', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const acknowledged: string[] = [];
  for (let round = 0; round < 4; round++) {
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

/** What the lines of a child that makes volumes promise. */
function promised(lines: readonly string[]): { stand: Set<string>; gone: Set<string> } {
  const stand = new Set<string>();
  const gone = new Set<string>();
  for (const line of lines) {
    const [what, name] = line.split(' ') as [string, string];
    if (what === 'made') stand.add(name);
    else stand.delete(name);
    if (what === 'deleted') gone.add(name);
  }
  return { stand, gone };
}

test('volumes are there or gone as acknowledged after kill -9, and what is neither is one of both, whole', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  for (let round = 0; round < 4; round++) {
    const victim = new Victim(directory, 'boot', round, 'volumes');
    await victim.acknowledges(10 + below(40));
    await victim.kill();
    lines.push(...victim.acknowledged);
    const { stand, gone } = promised(lines);
    const node = await startNode(directory, { bootId: 'boot' });
    const { volumes } = await ask(node, 'volumeList', { after: '', limit: 1000 });
    const names = new Set(volumes.map(({ name }) => name));
    for (const name of stand) assert.ok(names.has(name), `${name} stands`);
    for (const name of gone) assert.ok(!names.has(name), `${name} is gone`);
    for (const { group, partition } of volumes) {
      await ask(node, 'getattr', { inode: partition * 2 ** 38 + 1 }, { group });
    }
    assert.deepStrictEqual(await ask(node, 'reclaimNow', { limit: 1 }), { left: 0 });
    const kept = fs.readdirSync(path.join(directory, 'meta', 'groups')).toSorted();
    assert.deepStrictEqual(kept, ['0', ...volumes.map(({ group }) => String(group))].toSorted());
    await node.close();
  }
});
