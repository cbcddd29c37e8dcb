import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Engine } from '../../../node/meta/engine.js';
import { ask, seedOf, startNode, temporaryDirectory, until } from './support.js';
import { assertAll, drawer, survivors, Victim } from './victim.js';

const below = drawer(seedOf('machine.test'));

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
