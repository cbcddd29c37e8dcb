import assert from 'node:assert';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountVolume } from '../../../client/fuse/index.js';
import { Status } from '../../../proto/status.js';
import { emptyDirectory, MountedMemory, mountsOn, run, shell, until, withMount } from './harness.js';
import { MemoryVfs } from './memory-vfs.js';

test('the table of mounts shows the volume and the type', () =>
  withMount(async (mounted) => {
    const table = await run('mount', []);
    assert.ok(table.includes(`ofs#memory on ${mounted.directory} type fuse.ofs`), table);
    const [numbers] = (await run('df', ['-B1', '--output=size,avail', mounted.directory])).split('\n').slice(1);
    assert.strictEqual(numbers!.trim().replace(/ +/g, ' '), `${2 ** 40} ${2 ** 39}`);
  }));

test('unmounting while a file is open is refused with what to do, and succeeds when it is closed', async () => {
  const mounted = await MountedMemory.start(emptyDirectory());
  try {
    const file = fs.openSync(mounted.path('file'), 'w');
    assert.match(await mounted.command('unmount'), /^error cannot unmount .*: files in it are open .*fuser/);
    fs.writeSync(file, 'still served');
    fs.closeSync(file);
    assert.strictEqual(await mounted.command('unmount'), 'stopped');
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null });
    assert.strictEqual(mountsOn(mounted.directory), 0);
    assert.deepStrictEqual(fs.readdirSync(mounted.directory), []);
  } finally {
    await mounted.dispose();
  }
});

test('unmounting by force while a file is open ends the process, and the file fails', async () => {
  const mounted = await MountedMemory.start(emptyDirectory());
  try {
    const file = fs.openSync(mounted.path('file'), 'w');
    fs.writeSync(file, 'x');
    assert.strictEqual(await mounted.command('force'), 'stopped', mounted.log);
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null }, mounted.log);
    assert.throws(() => fs.writeSync(file, 'y'), /ENOTCONN|ECONNABORTED|ENODEV|EIO/);
    assert.throws(() => fs.closeSync(file));
    assert.strictEqual(mountsOn(mounted.directory), 0);
    assert.match(mounted.log, /is unmounted/);
    assert.doesNotMatch(mounted.log, /did not leave|aborting/);
  } finally {
    await mounted.dispose();
  }
});

test('unmounting by force while clients hammer the mount leaves nobody waiting', async () => {
  const mounted = await MountedMemory.start(emptyDirectory(), { threads: 4 });
  try {
    const hammer = shell(
      'exec 3> open; while echo x > f 2>/dev/null && stat -f . > /dev/null; do :; done',
      mounted.directory,
    );
    await until('the clients are at work', async () => ((await mounted.state()).calls.open ?? 0) > 20);
    assert.strictEqual(await mounted.command('force'), 'stopped', mounted.log);
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null }, mounted.log);
    assert.doesNotMatch(mounted.log, /did not leave|aborting/);
    await hammer.catch((error: Error) => assert.doesNotMatch(error.message, /SIGTERM/));
  } finally {
    await mounted.dispose();
  }
});

test('unmounting by force sets clients free whose requests hang, and ends when these have ended', async () => {
  const mounted = await MountedMemory.start(emptyDirectory());
  try {
    await mounted.command('hold write');
    const client = shell('echo x > file', mounted.directory);
    await until('the write hangs', async () => (await mounted.command('held write')) === '1');
    mounted.child.stdin.write('force\n');
    await assert.rejects(client, /write error/);
    assert.strictEqual(mountsOn(mounted.directory), 0);
    assert.strictEqual(await mounted.command('release write'), 'released 1');
    assert.strictEqual(await mounted.line(), 'stopped');
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null }, mounted.log);
  } finally {
    await mounted.dispose();
  }
});

test('umount by somebody else ends the mount process', async () => {
  const mounted = await MountedMemory.start(emptyDirectory());
  try {
    fs.writeFileSync(mounted.path('file'), 'x');
    await run('umount', [mounted.directory]);
    assert.strictEqual(await mounted.line(), 'stopped');
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null });
  } finally {
    await mounted.dispose();
  }
});

test('after kill -9 the dead mount is cleared, by hand or by the next mount, which works', async () => {
  const directory = emptyDirectory();
  const first = await MountedMemory.start(directory);
  try {
    fs.writeFileSync(first.path('file'), 'x');
    first.child.kill('SIGKILL');
    await first.exited;
    assert.throws(() => fs.readdirSync(directory), { code: 'ENOTCONN' });
    await run('umount', ['-l', directory]);
    assert.deepStrictEqual(fs.readdirSync(directory), []);

    const second = await MountedMemory.start(directory);
    second.child.kill('SIGKILL');
    await second.exited;
    const third = await MountedMemory.start(directory);
    assert.match(third.log, /cleared a mount/);
    fs.writeFileSync(third.path('file'), 'y');
    assert.strictEqual(fs.readFileSync(third.path('file'), 'latin1'), 'y');
    assert.strictEqual(await third.command('unmount'), 'stopped');
    await third.exited;
    assert.strictEqual(mountsOn(directory), 0);
  } finally {
    await first.dispose();
  }
});

test('a process that exits without unmounting does end', async () => {
  const mounted = await MountedMemory.start(emptyDirectory());
  try {
    mounted.child.stdin.write('exit\n');
    assert.strictEqual((await mounted.exited).signal, 'SIGKILL');
  } finally {
    await mounted.dispose();
  }
});

test('a mount that is read-only refuses every change', () =>
  withMount(
    async (mounted) => {
      assert.throws(() => fs.writeFileSync(mounted.path('file'), 'x'), { code: 'EROFS' });
      assert.throws(() => fs.mkdirSync(mounted.path('d')), { code: 'EROFS' });
      assert.deepStrictEqual(fs.readdirSync(mounted.directory), []);
    },
    { readOnly: true },
  ));

test('one thread or eight serve a mount alike', async () => {
  for (const threads of [1, 8]) {
    await withMount(
      async (mounted) => {
        await Promise.all(
          Array.from({ length: 30 }, (_, index) => fs.promises.writeFile(mounted.path(`f${index}`), `${index}`)),
        );
        assert.strictEqual(fs.readdirSync(mounted.directory).length, 30);
      },
      { threads },
    );
  }
});

test('a place that cannot be mounted on is refused with the reason', async () => {
  const directory = emptyDirectory();
  const attempt = (place: string) =>
    mountVolume({ vfs: new MemoryVfs(), directory: place, volume: 'memory', log: () => {} });
  try {
    await assert.rejects(attempt(join(directory, 'missing')), { status: Status.NOENT, message: /no such directory/ });
    await assert.rejects(attempt(join(directory, 'missing/deep')), { status: Status.NOENT });
    fs.writeFileSync(join(directory, 'file'), '');
    await assert.rejects(attempt(join(directory, 'file')), { status: Status.NOTDIR, message: /not a directory/ });
    const place = join(directory, 'place');
    fs.mkdirSync(place);
    const mounted = await MountedMemory.start(place);
    await assert.rejects(attempt(place), { status: Status.BUSY, message: /ofs#memory is mounted there already/ });
    fs.symlinkSync(place, join(directory, 'link'));
    await assert.rejects(attempt(join(directory, 'link')), { status: Status.BUSY });
    assert.strictEqual(await mounted.command('unmount'), 'stopped');
    await mounted.exited;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('a mount in the process that uses it serves asynchronous calls', async () => {
  const directory = emptyDirectory();
  const mount = await mountVolume({ vfs: new MemoryVfs(), directory, volume: 'memory', log: () => {} });
  try {
    await fs.promises.writeFile(join(directory, 'file'), 'mine');
    assert.strictEqual(await fs.promises.readFile(join(directory, 'file'), 'latin1'), 'mine');
  } finally {
    await mount.unmount();
    await mount.stopped;
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
