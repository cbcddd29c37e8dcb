import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../../proto/codec.js';
import type { Field, Layout } from '../../../proto/fuse/index.js';
import * as fuse from '../../../proto/fuse/index.js';

const seed = Number(process.env.SEED ?? Date.now());
const parameters = { seed, numRuns: 200 };

type AnyLayout = Layout<Record<string, number>>;

const layouts: [string, AnyLayout][] = Object.entries<unknown>({ ...fuse })
  .filter(([, value]) => typeof value === 'object' && value !== null && 'fields' in value && 'bytes' in value)
  .map(([name, value]) => [name, value as AnyLayout]);

function valuesOf({ kind }: Field): fc.Arbitrary<number> {
  switch (kind) {
    case 'u16':
      return fc.integer({ min: 0, max: 0xffff });
    case 'u32':
      return fc.integer({ min: 0, max: 0xffffffff });
    case 'i32':
      return fc.integer({ min: -0x80000000, max: 0x7fffffff });
    case 'i64':
      return fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
    default:
      return fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  }
}

function fieldValues(layout: AnyLayout): fc.Arbitrary<Record<string, number>> {
  return fc.record(Object.fromEntries(Object.entries(layout.fields).map(([name, field]) => [name, valuesOf(field)])));
}

test('there is a layout for every structure that is spoken', () => {
  assert.ok(layouts.length >= 30, `${layouts.length} layouts`);
});

for (const [name, layout] of layouts) {
  test(`${name} reads what it wrote, wherever it lies, and touches nothing beside it (seed ${seed})`, () => {
    fc.assert(
      fc.property(fieldValues(layout), fc.nat(64), (value, at) => {
        const buffer = Buffer.alloc(at + layout.bytes + 8, 0xaa);
        layout.write(buffer, at, value);
        assert.deepStrictEqual({ ...layout.read(buffer, at, at + layout.bytes) }, { ...value });
        assert.ok(buffer.subarray(0, at).every((byte) => byte === 0xaa));
        assert.ok(buffer.subarray(at + layout.bytes).every((byte) => byte === 0xaa));
        assert.throws(() => layout.read(buffer, at, at + layout.bytes - 1), DecodeError);
      }),
      parameters,
    );
  });
}

type Decoder = (buffer: Buffer, at: number, end: number) => unknown;

const decoders: Record<string, Decoder> = {
  name: fuse.decodeName,
  symlink: fuse.decodeSymlink,
  mknod: fuse.decodeMknod,
  mkdir: fuse.decodeMkdir,
  link: fuse.decodeLink,
  rename: fuse.decodeRename,
  rename2: fuse.decodeRename2,
  create: fuse.decodeCreate,
  write: fuse.decodeWrite,
  setxattr: fuse.decodeSetxattr,
  getxattr: fuse.decodeGetxattr,
  batchForget: (buffer, at, end) => fuse.decodeBatchForget(buffer, at, end, () => {}),
};

for (const [name, decode] of Object.entries(decoders)) {
  test(`any bytes given to the decoder of ${name} are decoded within their bounds or refused (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.nat(16), (bytes, at) => {
        // What follows the request would end a string and count as data, if it were read.
        const framed = (after: number) => Buffer.concat([Buffer.alloc(at, 1), bytes, Buffer.alloc(64, after)]);
        const outcomes = [0, 0x41].map((after) => {
          try {
            return JSON.stringify(decode(framed(after), at, at + bytes.length) ?? null);
          } catch (error) {
            assert.ok(error instanceof DecodeError, String(error));
            return 'refused';
          }
        });
        assert.strictEqual(outcomes[0], outcomes[1]);
      }),
      { ...parameters, numRuns: 500 },
    );
  });
}

test('names in requests come out as the kernel put them in', () => {
  fc.assert(
    fc.property(nameArbitrary(), nameArbitrary(), fc.nat(), (name, newName, flags) => {
      const body = Buffer.concat([Buffer.alloc(16), Buffer.from(`${name}\0${newName}\0`, 'latin1')]);
      fuse.rename2In.write(body, 0, { newParent: 7, flags });
      assert.deepStrictEqual(fuse.decodeRename2(body, 0, body.length), { newParent: 7, flags, name, newName });
    }),
    parameters,
  );
});

test('a set of directory records reads back, each on a boundary of 8 bytes', () => {
  fc.assert(
    fc.property(fc.array(nameArbitrary(), { maxLength: 20 }), (names) => {
      const buffer = Buffer.alloc(8192, 0xaa);
      let end = 0;
      for (const [index, name] of names.entries()) {
        end = fuse.writeDirent(buffer, end, name, { inode: index + 1, offset: index + 10, type: 8 });
      }
      let at = 0;
      for (const [index, name] of names.entries()) {
        const record = fuse.dirent.read(buffer, at, end);
        assert.deepStrictEqual(
          { ...record },
          { inode: index + 1, offset: index + 10, nameLength: name.length, type: 8 },
        );
        assert.strictEqual(buffer.latin1Slice(at + 24, at + 24 + name.length), name);
        at += fuse.direntBytes(name.length);
        assert.strictEqual(at % 8, 0);
      }
      assert.strictEqual(at, end);
    }),
    parameters,
  );
});

function nameArbitrary(): fc.Arbitrary<string> {
  return fc
    .uint8Array({ minLength: 1, maxLength: 255 })
    .map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1'));
}

test('times before 1970 and of nanoseconds survive the way to the kernel', () => {
  const buffer = Buffer.alloc(fuse.setattrIn.bytes);
  const value = fuse.setattrIn.read(buffer, 0, buffer.length);
  fuse.setattrIn.write(buffer, 0, { ...value, atime: -1, mtime: -(2 ** 40), atimeNsec: 999_999_999 });
  assert.strictEqual(buffer.readBigInt64LE(32), -1n);
  assert.strictEqual(buffer.readBigInt64LE(40), -(2n ** 40n));
  const { atime, mtime, atimeNsec } = fuse.setattrIn.read(buffer, 0, buffer.length);
  assert.deepStrictEqual([atime, mtime, atimeNsec], [-1, -(2 ** 40), 999_999_999]);
});

/** The kernel's name for each structure whose C definition is at hand where its header is installed. */
const structures: Record<string, { bytes: number }> = {
  fuse_in_header: fuse.requestHeader,
  fuse_out_header: fuse.answerHeader,
  fuse_entry_out: fuse.entryOut,
  fuse_attr_out: fuse.attrOut,
  fuse_open_out: fuse.openOut,
  fuse_init_out: fuse.initOut,
  fuse_kstatfs: fuse.statfsOut,
  fuse_setattr_in: fuse.setattrIn,
  fuse_mknod_in: fuse.mknodIn,
  fuse_mkdir_in: fuse.mkdirIn,
  fuse_rename2_in: fuse.rename2In,
  fuse_create_in: fuse.createIn,
  fuse_read_in: fuse.readIn,
  fuse_write_in: fuse.writeIn,
  fuse_release_in: fuse.releaseIn,
  fuse_fsync_in: fuse.fsyncIn,
  fuse_flush_in: fuse.flushIn,
  fuse_getattr_in: fuse.getattrIn,
  fuse_forget_one: fuse.forgetOne,
  fuse_notify_inval_inode_out: fuse.invalInodeOut,
  fuse_notify_inval_entry_out: fuse.invalEntryOut,
};

test("sizes are those of the kernel's header where one is installed", (context) => {
  if (!existsSync('/usr/include/linux/fuse.h') || !existsSync('/usr/bin/cc')) {
    context.diagnostic('no header or no compiler here: nothing to compare with');
    return;
  }
  const lines = Object.entries(structures).map(
    ([structure, { bytes }]) => `_Static_assert(sizeof(struct ${structure}) == ${bytes}, "${structure}");`,
  );
  const source = `#include <linux/fuse.h>\n${lines.join('\n')}\n`;
  execFileSync('/usr/bin/cc', ['-fsyntax-only', '-x', 'c', '-'], { input: source });
});
