import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import { run, shell, until, withMount } from './harness.js';

test('names made, moved, linked and removed are as POSIX has them', () =>
  withMount(async (mounted) => {
    await shell(
      `mkdir -p a/b; echo 1 > a/f; ln a/f a/g; test $(stat -c %h a/f) = 2
       ln -s f a/s; test "$(readlink a/s)" = f; test "$(cat a/s)" = 1
       mv a/f b; test ! -e a/f; test "$(cat b)" = 1; mv -T a/b c; test -d c
       ! rmdir a 2>/dev/null; rm -r a c b; test -z "$(ls -A)"
       mkfifo pipe; test -p pipe; mknod null c 1 3; test $(stat -c %t:%T null) = 1:3
       umask 077; mkdir d; touch e; test $(stat -c %a d) = 700; test $(stat -c %a e) = 600
       touch -d @-5.25 e; test "$(stat -c %.2Y e)" = -5.25`,
      mounted.directory,
    );
  }));

test('rename exchanges two names, and spares one that stands', () =>
  withMount(async (mounted) => {
    fs.writeFileSync(mounted.path('a'), 'A');
    fs.writeFileSync(mounted.path('b'), 'B');
    const script = `
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
def rename(old, new, flags):
    if libc.renameat2(-100, old, -100, new, flags) == 0: return 0
    return ctypes.get_errno()
assert rename(b'a', b'b', 2) == 0
assert rename(b'a', b'b', 1) == errno.EEXIST
assert rename(b'a', b'c', 1) == 0
assert rename(b'c', b'nothing', 2) == errno.ENOENT
assert rename(b'c', b'd', 4) == errno.EINVAL
`;
    await run('python3', ['-c', script], mounted.directory);
    assert.strictEqual(fs.readFileSync(mounted.path('b'), 'latin1'), 'A');
    assert.strictEqual(fs.readFileSync(mounted.path('c'), 'latin1'), 'B');
  }));

test('names of any bytes are kept as they are, and one too long is refused', () =>
  withMount(async (mounted) => {
    const name = Buffer.from([0xff, 0x20, 0x0a, 0xc3, 0xa4, 0x80]);
    const path = Buffer.concat([Buffer.from(`${mounted.directory}/`), name]);
    fs.writeFileSync(path, 'x');
    assert.deepStrictEqual(fs.readdirSync(Buffer.from(mounted.directory), { encoding: 'buffer' }), [name]);
    assert.throws(() => fs.writeFileSync(mounted.path('n'.repeat(256)), ''), { code: 'ENAMETOOLONG' });
    fs.writeFileSync(mounted.path('n'.repeat(255)), '');
  }));

test('a directory of 10,000 files is listed whole, with attributes, and removed', () =>
  withMount(async (mounted) => {
    fs.mkdirSync(mounted.path('many'));
    const script = `
import os
for i in range(10000): os.close(os.open(f'many/file-{i}', os.O_CREAT | os.O_WRONLY))
names = os.listdir('many')
assert len(names) == 10000 and len(set(names)) == 10000
assert sum(1 for e in os.scandir('many') if e.is_file() and e.stat().st_size == 0) == 10000
`;
    await run('python3', ['-c', script], mounted.directory);
    assert.strictEqual((await shell('find many -type f | wc -l', mounted.directory)).trim(), '10000');
    await shell('rm -r many', mounted.directory);
    assert.strictEqual((await mounted.state()).inodes, 1);
  }));

test('a reader of a directory may go back to a place that it was told, and begin anew', () =>
  withMount(async (mounted) => {
    await shell('for i in $(seq 3000); do echo file-$i; done | xargs touch', mounted.directory);
    const script = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_ushort), ('type', ctypes.c_ubyte), ('name', ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.readdir.argtypes = libc.telldir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(b'.')
def rest():
    out = []
    while True:
        e = libc.readdir(d)
        if not e: return out
        out.append((e.contents.name, libc.telldir(d)))
whole = rest()
assert len(whole) == 3002, len(whole)
for place in (0, 1, 2, 500, 1500, 2999, 10):
    libc.seekdir(d, whole[place][1])
    assert [n for n, _ in rest()] == [n for n, _ in whole[place + 1:]], place
os.unlink('file-77'); open('file-new', 'w').close()
libc.rewinddir(d)
again = {n for n, _ in rest()}
assert again == {n for n, _ in whole} - {b'file-77'} | {b'file-new'}
`;
    await run('python3', ['-c', script], mounted.directory);
  }));

test('a listing that began before a file grew does not take its size back', () =>
  withMount(async (mounted) => {
    await shell('for i in $(seq 500); do echo file-$i; done | xargs touch', mounted.directory);
    const script = `
import os
it = os.scandir('.')
first = next(it)
for i in range(1, 501):
    with open(f'file-{i}', 'w') as f: f.write('grown')
    assert os.stat(f'file-{i}').st_size == 5
for entry in it: entry.stat()
for i in range(1, 501):
    assert os.stat(f'file-{i}').st_size == 5, i
`;
    await run('python3', ['-c', script], mounted.directory);
  }));

test('extended attributes are set, listed, replaced and removed; others of the system are refused', () =>
  withMount(async (mounted) => {
    await shell(
      `touch f; setfattr -n user.one -v 1 f; setfattr -n user.two -v "$(head -c 3000 /dev/zero | tr '\\0' x)" f
       test "$(getfattr --only-values -n user.one f)" = 1
       test "$(getfattr -d f | grep -c user)" = 2
       setfattr -x user.one f; ! getfattr -n user.one f 2>/dev/null
       setfattr -n security.capability -v 0x0000000200000000000000000000000000000000 f
       echo changed > f; ! getfattr -n security.capability f 2>/dev/null
       ! setfattr -n system.nothing -v 1 f 2>/dev/null`,
      mounted.directory,
    );
    const script = `
import os, errno
os.setxattr('f', 'user.a', b'x' * 65536)
assert os.getxattr('f', 'user.a') == b'x' * 65536
for flag, name, expected in ((os.XATTR_CREATE, 'user.a', errno.EEXIST), (os.XATTR_REPLACE, 'user.b', errno.ENODATA)):
    try: os.setxattr('f', name, b'', flag); assert False
    except OSError as e: assert e.errno == expected
`;
    await run('python3', ['-c', script], mounted.directory);
  }));

test('the absence of a name is remembered for its time, unless this mount makes the name', () =>
  withMount(
    async (mounted) => {
      for (let round = 0; round < 50; round++) assert.ok(!fs.existsSync(mounted.path('nothing')));
      assert.strictEqual((await mounted.state()).calls.lookup, 1);
      fs.writeFileSync(mounted.path('nothing'), '');
      assert.ok(fs.existsSync(mounted.path('nothing')));
    },
    { negativeMs: 600_000 },
  ));

test('without times of caching every call sees what another client has just done', () =>
  withMount(
    async (mounted) => {
      const path = mounted.path('file');
      fs.writeFileSync(path, '12');
      await mounted.command('append file 34');
      assert.strictEqual(fs.statSync(path).size, 4);
      await mounted.command('unlink file');
      assert.ok(!fs.existsSync(path));
    },
    { attributeMs: 0, entryMs: 0 },
  ));

test('a name whose inode another client has replaced is looked up again when it is opened', () =>
  withMount(async (mounted) => {
    const path = mounted.path('file');
    fs.writeFileSync(path, 'old');
    await mounted.command('unlink file');
    assert.throws(() => fs.readFileSync(path), { code: 'ENOENT' });
  }));

test('tools that people use find what they expect of a file system', () =>
  withMount(async (mounted) => {
    await shell(
      `mkdir source; for i in $(seq 40); do mkdir source/d$i; head -c $((i * 5000)) /dev/urandom > source/d$i/f; done
       ln -s ../d1/f source/d2/link; chmod 751 source/d3; touch -d 2001-02-03 source/d4/f
       cp -a source copy; diff -r source copy; test $(stat -c %Y copy/d4/f) = $(stat -c %Y source/d4/f)
       tar cf s.tar source; mkdir out; tar xf s.tar -C out; diff -r source out/source
       find source -name f | wc -l | grep -qx 40; mv out moved; rm -rf source copy moved`,
      mounted.directory,
    );
    await shell(
      `git init -q repo; cd repo; git config user.name t; git config user.email t@t
       for i in $(seq 30); do echo $i > f$i; done; git add .; git commit -qm one; git mv f1 g1; git commit -qm two
       git gc -q; git fsck --no-progress; git status --porcelain | wc -l | grep -qx 0`,
      mounted.directory,
    );
    const script = `
import sqlite3
for mode in ('delete', 'wal'):
    db = sqlite3.connect('t.db')
    db.execute(f'pragma journal_mode={mode}')
    db.execute('create table if not exists t(a integer)')
    with db: db.executemany('insert into t values (?)', [(i,) for i in range(1000)])
    assert db.execute('pragma integrity_check').fetchone() == ('ok',)
    db.close()
db = sqlite3.connect('t.db')
assert db.execute('select count(*) from t').fetchone() == (2000,)
`;
    await run('python3', ['-c', script], mounted.directory);
    await until('everything is released', async () => (await mounted.state()).opens === 0);
  }));

test('a file handle, as an NFS server keeps them, opens what it names, and is stale when that is gone', () =>
  withMount(async (mounted) => {
    const script = `
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]
os.makedirs('a/b')
with open('a/b/f', 'w') as f: f.write('found')
handle, mount_id = Handle(bytes=128), ctypes.c_int()
assert libc.name_to_handle_at(-100, b'a/b/f', ctypes.byref(handle), ctypes.byref(mount_id), 0) == 0
root = os.open('.', os.O_RDONLY)
def open_handle():
    return libc.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
fd = open_handle()
assert fd >= 0 and os.read(fd, 10) == b'found', os.strerror(ctypes.get_errno())
os.close(fd)
with open('/proc/sys/vm/drop_caches', 'w') as f: f.write('2')
fd = open_handle()
assert fd >= 0 and os.read(fd, 10) == b'found', os.strerror(ctypes.get_errno())
os.close(fd)
os.unlink('a/b/f')
assert open_handle() == -1 and ctypes.get_errno() == errno.ESTALE, os.strerror(ctypes.get_errno())
`;
    await run('python3', ['-c', script], mounted.directory);
  }));
