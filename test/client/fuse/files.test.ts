import assert from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { limits } from '../../../proto/limits.js';
import { type MountedMemory, run, shell, until, withMount } from './harness.js';

test('a file of many requests is read back as it was written, buffered and direct', () =>
  withMount(async (mounted) => {
    const content = randomBytes(5 * 1024 * 1024 + 777);
    const path = mounted.path('file');
    fs.writeFileSync(path, content);
    await shell(`dd if=file of=copy bs=1M iflag=direct status=none; cmp file copy`, mounted.directory);
    await run('sync', []);
    assert.ok(fs.readFileSync(path).equals(content));
    const sum = createHash('sha256').update(content).digest('hex');
    assert.ok((await shell('sha256sum copy', mounted.directory)).startsWith(sum));
  }));

test('truncating, extending, seeking and appending give the bytes that POSIX says', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.writeFileSync(path, 'abcdefgh');
    fs.truncateSync(path, 4);
    fs.truncateSync(path, 6);
    assert.deepStrictEqual(fs.readFileSync(path), Buffer.from('abcd\0\0'));
    const file = fs.openSync(path, 'r+');
    fs.writeSync(file, 'Z', 8);
    fs.closeSync(file);
    fs.appendFileSync(path, '!');
    assert.deepStrictEqual(fs.readFileSync(path), Buffer.from('abcd\0\0\0\0Z!'));
    await assert.rejects(shell('truncate -s 4E file', mounted.directory), /File too large/);
    await shell(
      'dd if=/dev/zero of=sparse bs=1 count=1 seek=1M status=none; test $(stat -c %s sparse) = 1048577',
      mounted.directory,
    );
  }));

test('an append goes to where the file ends, also when another client has made it longer', () =>
  withMount(async (mounted) => {
    const file = fs.openSync(mounted.path('log'), 'a+');
    const seen = Buffer.alloc(9);
    fs.writeSync(file, 'one ');
    fs.readSync(file, seen, 0, 4, 0);
    assert.strictEqual(await mounted.command('append log two_'), 'written');
    fs.writeSync(file, 'three');
    // No more than the kernel thinks is there, so that it has no reason of its own to ask.
    await until('the cached pages give way to what was written', () => {
      fs.readSync(file, seen, 0, 9, 0);
      return seen.latin1Slice() === 'one two_t';
    });
    fs.closeSync(file);
    assert.strictEqual(fs.readFileSync(mounted.path('log'), 'latin1'), 'one two_three');
  }));

test('a file opened again has the content that another client has given it meanwhile', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.writeFileSync(path, 'old content');
    assert.strictEqual(fs.readFileSync(path, 'latin1'), 'old content');
    assert.strictEqual(fs.readFileSync(path, 'latin1'), 'old content');
    await mounted.command('overwrite file new');
    assert.strictEqual(fs.readFileSync(path, 'latin1'), 'new content');
  }));

test('an open sees the length that another client has just given the file, whatever was cached', () =>
  withMount(
    async (mounted) => {
      const path = mounted.path('file');
      fs.writeFileSync(path, 'old');
      assert.strictEqual(fs.statSync(path).size, 3);
      assert.strictEqual(await mounted.command('append file -longer'), 'written');
      const file = fs.openSync(path, 'r');
      assert.strictEqual(fs.fstatSync(file).size, 10);
      assert.strictEqual(fs.readFileSync(file, 'latin1'), 'old-longer');
      fs.closeSync(file);
      fs.statSync(path);
      const { getattr } = (await mounted.state()).calls;
      fs.closeSync(fs.openSync(path, 'r'));
      assert.strictEqual(fs.statSync(path).size, 10);
      assert.strictEqual((await mounted.state()).calls.getattr, getattr, 'nothing has changed: nothing is asked');
    },
    { attributeMs: 60_000, entryMs: 60_000 },
  ));

test('a file that did not change is read from the kernel when it is opened again', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.writeFileSync(path, randomBytes(100_000));
    fs.readFileSync(path);
    fs.readFileSync(path);
    const { read } = (await mounted.state()).calls;
    fs.readFileSync(path);
    assert.strictEqual((await mounted.state()).calls.read, read);
  }));

test('what was invalidated is asked for again', () =>
  withMount(
    async (mounted) => {
      const path = mounted.path('file');
      fs.writeFileSync(path, 'one');
      const file = fs.openSync(path, 'r');
      assert.strictEqual(fs.readFileSync(file, 'latin1'), 'one');
      // Reading has aged the time of access; this asks for it, and for the last time.
      assert.strictEqual(fs.fstatSync(file).size, 3);
      await mounted.command('append file two');
      assert.strictEqual(fs.fstatSync(file).size, 3);
      assert.strictEqual(await mounted.command('invalidate file'), 'told');
      await until('the notice has arrived', () => fs.fstatSync(file).size === 6);
      fs.closeSync(file);
      await mounted.command('unlink file');
      assert.ok(fs.existsSync(path));
      await mounted.command('invalidate-entry file');
      await until('the name is gone', () => !fs.existsSync(path));
    },
    { attributeMs: 600_000, entryMs: 600_000 },
  ));

test('a file that is unlinked lives on in who holds it open, and then is gone', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    const file = fs.openSync(path, 'w+');
    fs.writeSync(file, 'still here');
    fs.unlinkSync(path);
    assert.strictEqual(fs.existsSync(path), false);
    assert.strictEqual(fs.fstatSync(file).nlink, 0);
    const text = Buffer.alloc(10);
    assert.strictEqual(fs.readSync(file, text, 0, 10, 0), 10);
    assert.strictEqual(text.toString(), 'still here');
    assert.strictEqual((await mounted.state()).inodes, 2);
    fs.closeSync(file);
    await until('the inode is collected', async () => (await mounted.state()).inodes === 1);
  }));

test('a file mapped into memory reads and writes like any', () =>
  withMount(async (mounted) => {
    fs.writeFileSync(mounted.path('file'), randomBytes(3_000_000));
    const script = `
import mmap, hashlib
with open('file', 'r+b') as f:
    whole = f.read()
    with mmap.mmap(f.fileno(), 0) as m:
        assert hashlib.md5(m).digest() == hashlib.md5(whole).digest()
        m[1_000_000:1_000_005] = b'hello'
        m.flush()
with open('file', 'rb') as f:
    f.seek(1_000_000)
    assert f.read(5) == b'hello'
`;
    await run('python3', ['-c', script], mounted.directory);
    await shell(
      'test "$(dd if=file bs=1M count=2 iflag=direct status=none | tail -c +1000001 | head -c 5)" = hello',
      mounted.directory,
    );
  }));

test('reads while another truncates and writes see only bytes that were there', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    const block = Buffer.alloc(256 * 1024, 'x');
    fs.writeFileSync(path, block);
    const rounds = 60;
    const writer = (async () => {
      for (let round = 0; round < rounds; round++) {
        await fs.promises.truncate(path, (round * 7919) % block.length);
        await fs.promises.writeFile(path, block);
      }
    })();
    const reader = async () => {
      for (let round = 0; round < rounds; round++) {
        const seen = await fs.promises.readFile(path);
        // A hole can show where a truncate came between the size and the bytes; nothing else may.
        assert.ok(seen.every((byte) => byte === 0x78 || byte === 0));
        assert.ok(seen.length <= block.length);
      }
    };
    await Promise.all([writer, reader(), reader()]);
    assert.ok((await fs.promises.readFile(path)).equals(block));
  }));

test('many clients at once each find their own bytes', () =>
  withMount(async (mounted) => {
    const clients = Array.from({ length: 24 }, async (_, client) => {
      for (let round = 0; round < 10; round++) {
        const path = mounted.path(`client-${client}-${round}`);
        const content = randomBytes(1 + ((client * 31_337 + round * 77_777) % 300_000));
        await fs.promises.writeFile(path, content);
        assert.ok((await fs.promises.readFile(path)).equals(content));
        await fs.promises.rename(path, `${path}.done`);
        if (round % 2 === 0) await fs.promises.unlink(`${path}.done`);
      }
    });
    await Promise.all(clients);
    assert.strictEqual(fs.readdirSync(mounted.directory).length, 24 * 5);
    await until('all files are released', async () => (await mounted.state()).opens === 0);
  }));

test('a read that waits for nothing is not held up by one that does', () =>
  withMount(async (mounted) => {
    fs.writeFileSync(mounted.path('slow'), 'slow');
    await mounted.command('hold read');
    const slow = shell('cat slow', mounted.directory);
    await until('the read has reached the file system', async () => (await mounted.command('held read')) === '1');
    fs.writeFileSync(mounted.path('other'), 'other');
    assert.deepStrictEqual(fs.readdirSync(mounted.directory).sort(), ['other', 'slow']);
    assert.strictEqual(await mounted.command('release read'), 'released 1');
    assert.strictEqual(await slow, 'slow');
  }));

/** Python, because a thousand calls that block at once want a thousand threads. */
function inThreads(count: number, call: string, mounted: MountedMemory): Promise<string> {
  const script = `
import os, sys, threading
threading.stack_size(256 * 1024)
os.chdir(sys.argv[1])
done = []
def work(i):
    ${call}
    done.append(i)
threads = [threading.Thread(target=work, args=(i,)) for i in range(${count})]
for t in threads: t.start()
for t in threads: t.join()
print(len(done))
`;
  // Not in the mount, where the interpreter would look for its modules first.
  return run('python3', ['-c', script, mounted.directory]);
}

test('writes that wait, more of them than there are slots, keep nothing else waiting', () =>
  withMount(async (mounted) => {
    const slots = 2 * limits.fuseWriteSlotsPerThread;
    await mounted.command('hold write');
    const writers = inThreads(slots + 50, "open(f'f{i}', 'wb').write(bytes([i % 251]) * 70000)", mounted);
    await until('every write is begun', async () => Number(await mounted.command('held write')) === slots + 50);
    assert.strictEqual(fs.readdirSync(mounted.directory).length, slots + 50);
    assert.strictEqual(await mounted.command('release write'), `released ${slots + 50}`);
    assert.strictEqual((await writers).trim(), `${slots + 50}`);
    for (let index = 0; index < slots + 50; index++) {
      assert.ok(fs.readFileSync(mounted.path(`f${index}`)).equals(Buffer.alloc(70_000, index % 251)));
    }
  }));

test('requests beyond the bound wait with the kernel and are served later', () =>
  withMount(async (mounted) => {
    await mounted.command('hold lookup');
    const clients = inThreads(limits.fuseRequestsInFlight + 200, "assert not os.path.exists(f'n{i}')", mounted);
    const held = async () => Number(await mounted.command('held lookup'));
    await until('the bound is reached', async () => (await held()) >= limits.fuseRequestsInFlight);
    assert.strictEqual(await held(), limits.fuseRequestsInFlight);
    await mounted.command('release lookup');
    assert.strictEqual((await clients).trim(), `${limits.fuseRequestsInFlight + 200}`);
  }));

test('bits of privilege fall when others write', () =>
  withMount(
    async (mounted) => {
      await shell(
        `echo 1 > file; chown 1000:1000 file; chmod 6775 file
         setpriv --reuid 1000 --regid 1000 --clear-groups bash -c 'echo 2 >> file'
         test $(stat -c %a file) = 775
         chmod 6775 file; chown 1001 file; test $(stat -c %a file) = 775
         chmod 4755 file; chown 1000 file; chmod 4755 file
         setpriv --reuid 1000 --regid 1000 --clear-groups bash -c 'echo 3 > file'
         test $(stat -c %a file) = 755`,
        mounted.directory,
      );
    },
    { allowOther: true },
  ));

test('writes to a file with extended attributes ask for its capabilities once', () =>
  withMount(async (mounted) => {
    await shell('touch f; setfattr -n user.a -v 1 f; for i in $(seq 20); do echo $i >> f; done', mounted.directory);
    assert.strictEqual((await mounted.state()).calls.xattrRemove, 1);
    await shell(
      'setfattr -n security.capability -v 0x0000000200000000000000000000000000000000 f; echo x >> f',
      mounted.directory,
    );
    assert.strictEqual((await mounted.state()).calls.xattrRemove, 2);
    await assert.rejects(shell('getfattr -n security.capability f', mounted.directory), /No such attribute/);
  }));

test('pages written back through a handle that appends stay in their place', () =>
  withMount(async (mounted) => {
    const script = `
import mmap, os, fcntl
open('file', 'wb').write(b'.' * 10000)
f = os.open('file', os.O_RDWR | os.O_APPEND)
m = mmap.mmap(f, 10000)
m[5000:5005] = b'here!'
m.flush()
m.close()
os.write(f, b'end')
fcntl.fcntl(f, fcntl.F_SETFL, 0)
os.pwrite(f, b'front', 0)
os.close(f)
whole = open('file', 'rb').read()
assert len(whole) == 10003 and whole[5000:5005] == b'here!' and whole[-3:] == b'end' and whole[:5] == b'front', whole
`;
    await run('python3', ['-c', script], mounted.directory);
  }));
