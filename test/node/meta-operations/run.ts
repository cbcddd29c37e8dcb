// A world and a model that go through the same operations: each method does one, chosen at random, to both, and
// compares the answers; `compare` compares all that can be seen, and has fsck look at the rows.

import assert from 'node:assert';
import { fold } from '../../../node/meta/operations/index.js';
import { type ByteString, encode } from '../../../proto/codec.js';
import { crc32c } from '../../../proto/crc32c.js';
import { limits } from '../../../proto/limits.js';
import {
  AttrFlag,
  type Chunk,
  chunkRowCodec,
  etagOf,
  Mode,
  mergeSlices,
  RenameFlag,
  SetAttr,
  type Slice,
} from '../../../proto/meta/index.js';
import { assertClean, World } from './memory.js';
import { find, type Item, Model, type Name, type Type, UNIT } from './model.js';
import type { Random } from './random.js';

const NAMES: Name[] = [
  { shown: 'a', stored: 'a', twin: false },
  { shown: 'b', stored: 'b', twin: false },
  { shown: 'c', stored: 'c', twin: false },
  { shown: '%ofs%n..', stored: '..', twin: false },
  { shown: '%ofs%fa', stored: 'a', twin: true },
  { shown: '%ofs%fb', stored: 'b', twin: true },
  { shown: '%ofs%fc', stored: 'c', twin: true },
  { shown: '%ofs%f..', stored: '..', twin: true },
];
const PARTS = ['a', 'b', 'c', '..', 'a', 'b'];
const ZERO = { sec: 0, nsec: 0 };
const UNITS_PER_CHUNK = limits.chunkBytes / UNIT;

export class Run {
  readonly world = new World();
  readonly model = new Model();
  private readonly items = new Set<Item>();
  private uploads: { upload: string; path: ByteString; parts: Map<number, { units: string[]; etag: string }> }[] = [];

  constructor(private readonly random: Random) {
    this.model.root.inode = this.world.root;
    this.items.add(this.model.root);
  }

  private anyItem(): Item {
    return this.random.pick([...this.items]);
  }

  private directory(): Item {
    return this.random.pick([...this.items].filter((item) => item.directory));
  }

  private name(): Name {
    return this.random.pick(NAMES);
  }

  /** A directory and a name in it, more often than not one that stands. */
  private entry(): [Item, Name] {
    const directory = this.directory();
    const standing = NAMES.filter((name) => find(directory, name) !== undefined);
    return [directory, standing.length > 0 && this.random.below(4) > 0 ? this.random.pick(standing) : this.name()];
  }

  private key(): ByteString {
    let key: ByteString = this.random.pick(PARTS);
    for (let depth = this.random.below(3); depth > 0; depth--) key += `/${this.random.pick(PARTS)}`;
    return this.random.below(6) === 0 ? `${key}/` : key;
  }

  private expect(actual: string, expected: string, what: string): void {
    assert.equal(actual, expected, what);
  }

  /** Content of `units` units in slices of random lengths; how each unit shows. */
  private content(units: number): { chunks: Chunk[]; shows: string[] } {
    const shows: string[] = [];
    const chunks: Chunk[] = [];
    let unit = 0;
    while (unit < units) {
      const chunk = Math.floor(unit / UNITS_PER_CHUNK);
      const room = Math.min(units, (chunk + 1) * UNITS_PER_CHUNK) - unit;
      const length = 1 + this.random.below(room);
      if (this.random.below(6) === 0) for (let count = 0; count < length; count++) shows.push('');
      else {
        const slice = this.world.slice((unit % UNITS_PER_CHUNK) * UNIT, length * UNIT);
        for (let count = 0; count < length; count++) shows.push(`${slice.blob}+${count}`);
        const last = chunks[chunks.length - 1];
        if (last?.chunk === chunk) last.slices.push(slice);
        else chunks.push({ chunk, slices: [slice] });
      }
      unit += length;
    }
    return { chunks, shows };
  }

  make(): void {
    const directory = this.directory();
    const name = this.name();
    const type: Type = this.random.pick(['file', 'file', 'directory', 'directory', 'symlink', 'fifo']);
    const made = this.model.make(directory, name, type);
    const place = { parent: directory.inode, name: name.shown, uid: 1, gid: 2 };
    const mode = type === 'fifo' ? Mode.FIFO | 0o644 : type === 'directory' ? 0o755 : Mode.FILE | 0o644;
    let status: string;
    if (type === 'directory') status = this.world.status('mkdir', { ...place, mode });
    else if (type === 'symlink') status = this.world.status('symlink', { ...place, target: 'somewhere' });
    else status = this.world.status('mknod', { ...place, mode, rdev: 0, exclusive: true });
    this.expect(status, typeof made === 'string' ? made : 'OK', `${type} ${name.shown}`);
    if (typeof made !== 'string') this.learn(made, directory, name);
  }

  /** Takes the inode that the world gave to something new. */
  private learn(item: Item, directory: Item, name: Name): void {
    item.inode = this.world.call('lookup', { parent: directory.inode, name: name.shown }).attr.inode;
    if (item.type === 'symlink') item.mode = 0o777;
    this.items.add(item);
  }

  link(): void {
    const [item, directory, name] = [this.anyItem(), this.directory(), this.name()];
    const request = { inode: item.inode, parent: directory.inode, name: name.shown };
    this.expect(this.world.status('link', request), this.model.link(item, directory, name), `link ${name.shown}`);
  }

  remove(): void {
    const [directory, name] = this.entry();
    const request = { parent: directory.inode, name: name.shown };
    if (this.random.below(3) > 0)
      this.expect(this.world.status('unlink', request), this.model.unlink(directory, name), `unlink ${name.shown}`);
    else this.expect(this.world.status('rmdir', request), this.model.rmdir(directory, name), `rmdir ${name.shown}`);
  }

  rename(): void {
    const [from, name] = this.entry();
    const [to, newName] = this.entry();
    const flag = this.random.pick(['', '', 'NOREPLACE', 'EXCHANGE'] as const);
    const flags = flag === '' ? 0 : RenameFlag[flag];
    const request = { parent: from.inode, name: name.shown, newParent: to.inode, newName: newName.shown, flags };
    const expected = this.model.rename(from, name, to, newName, flag);
    this.expect(this.world.status('rename', request), expected, `rename ${name.shown} ${newName.shown} ${flag}`);
  }

  truncate(): void {
    const item = this.anyItem();
    const units = this.random.below(3 * UNITS_PER_CHUNK);
    const expected = item.type === 'file' ? 'OK' : item.directory ? 'ISDIR' : 'INVAL';
    const request = { inode: item.inode, mode: 0, uid: 0, gid: 0, size: units * UNIT, atime: ZERO, mtime: ZERO };
    this.expect(this.world.status('setattr', { ...request, valid: SetAttr.SIZE }), expected, 'truncate');
    if (expected !== 'OK') return;
    if (item.content.length !== units) item.s3 = false;
    item.content.length = Math.min(item.content.length, units);
    while (item.content.length < units) item.content.push('');
  }

  chmod(): void {
    const item = this.anyItem();
    const mode = this.random.below(0o1000);
    const request = { inode: item.inode, mode, uid: 0, gid: 0, size: 0, atime: ZERO, mtime: ZERO };
    this.expect(this.world.status('setattr', { ...request, valid: SetAttr.MODE }), 'OK', 'chmod');
    item.mode = mode;
    item.implicit = false;
  }

  commit(): void {
    const item = this.anyItem();
    const start = this.random.below(2 * UNITS_PER_CHUNK);
    const { chunks, shows } = this.content(1 + this.random.below(UNITS_PER_CHUNK));
    // Content is made from offset 0; written at `start`.
    const placed = new Map<number, Slice[]>();
    for (const { chunk, slices } of chunks) {
      for (const slice of slices) {
        const unit = start + chunk * UNITS_PER_CHUNK + slice.offset / UNIT;
        const end = (Math.floor(unit / UNITS_PER_CHUNK) + 1) * UNITS_PER_CHUNK;
        const length = Math.min(slice.length, (end - unit) * UNIT);
        const index = Math.floor(unit / UNITS_PER_CHUNK);
        const offset = (unit % UNITS_PER_CHUNK) * UNIT;
        placed.set(index, [...(placed.get(index) ?? []), { ...slice, offset, length }]);
        for (let at = length / UNIT; at < slice.length / UNIT; at++) {
          shows[unit - start + at] = '';
        }
      }
    }
    const sent = [...placed].sort((left, right) => left[0] - right[0]).map(([chunk, slices]) => ({ chunk, slices }));
    const request = { inode: item.inode, session: 1, chunks: sent, size: (start + shows.length) * UNIT, mtime: null };
    const expected = item.type === 'file' ? 'OK' : item.directory ? 'ISDIR' : 'INVAL';
    this.expect(this.world.status('chunkCommit', request), expected, 'commit');
    if (expected !== 'OK') {
      for (const { slices } of chunks) for (const { blob } of slices) this.world.blobs.delete(blob);
      return;
    }
    if (sent.length > 0 || item.content.length < start + shows.length) item.s3 = false;
    while (item.content.length < start + shows.length) item.content.push('');
    for (const [index, show] of shows.entries()) if (show !== '') item.content[start + index] = show;
  }

  put(): void {
    const path = this.key();
    const { chunks, shows } = this.content(this.random.below(2 * UNITS_PER_CHUNK));
    const attr = this.world.put(path, shows.length * UNIT, { chunks, etag: `s3-${path}` });
    const item = this.model.put(path, shows, true);
    item.inode = attr.inode;
    this.learnDirectories();
    this.items.add(item);
  }

  /** Inodes of the directories that the world has made on its own. */
  private learnDirectories(directory = this.model.root, path = ''): void {
    for (const [name, item] of directory.children) {
      if (!item.directory) continue;
      if (item.inode === 0) {
        item.inode = this.world.call('resolve', { path: path + name }).attr.inode;
        this.items.add(item);
      }
      this.learnDirectories(item, path + name);
    }
  }

  delete(): void {
    const keys = this.model.keys();
    const path = keys.length > 0 && this.random.below(2) === 0 ? this.random.pick(keys) : this.key();
    assert.deepEqual(this.world.delete(path), [0]);
    this.model.delete(path);
  }

  copy(): void {
    const keys = this.model.keys();
    const source = keys.length > 0 && this.random.below(4) > 0 ? this.random.pick(keys) : this.key();
    const target = this.random.below(4) === 0 ? source : this.key();
    const object = this.random.below(2) === 0 ? null : new Uint8Array([1, 2]);
    const condition = { ifMatch: '', ifNoneMatch: '' };
    const request = { source, target, object, sourceCondition: condition, uid: 1000, gid: 1000 };
    const from = this.model.object(source);
    const expected = from === undefined ? 'NOENT' : source === target && object === null ? 'INVAL' : 'OK';
    this.expect(this.world.status('objectCopy', request), expected, `copy ${source} to ${target}`);
    if (from === undefined || expected !== 'OK') return;
    const item = this.model.put(target, from.content.slice(), from.s3);
    this.learnDirectories();
    item.inode = this.world.call('objectHead', { path: target }).attr.inode;
    this.items.add(item);
  }

  upload(): void {
    const path = this.key();
    const { upload } = this.world.call('uploadCreate', {
      path,
      object: new Uint8Array(0),
      uid: 1000,
      gid: 1000,
      initiator: 'me',
    });
    this.uploads.push({ upload, path, parts: new Map() });
  }

  part(): void {
    if (this.uploads.length === 0) return;
    const entry = this.random.pick(this.uploads);
    const part = 1 + this.random.below(6);
    const units = 1 + this.random.below(UNITS_PER_CHUNK + 3);
    const made = this.random.below(3) === 0 ? this.splinters(units) : this.content(units);
    const etag = `part-${part}-${this.random.below(1000)}`;
    const request = { upload: entry.upload, path: entry.path, part, session: 1, size: units * UNIT, etag };
    this.world.call('uploadPart', { ...request, chunks: made.chunks, checksum: new Uint8Array(0) });
    entry.parts.set(part, { units: made.shows, etag });
  }

  /** Content in very many slices, so that a complete cannot write them at once. */
  private splinters(units: number): { chunks: Chunk[]; shows: string[] } {
    const chunks: Chunk[] = [];
    const shows: string[] = [];
    const per = limits.slicesPerPartChunk / UNITS_PER_CHUNK;
    for (let unit = 0; unit < units; unit++) {
      const chunk = Math.floor(unit / UNITS_PER_CHUNK);
      if (chunks[chunk] === undefined) chunks[chunk] = { chunk, slices: [] };
      for (let count = 0; count < per; count++) {
        const slice = this.world.slice((unit % UNITS_PER_CHUNK) * UNIT + (count * UNIT) / per, UNIT / per);
        if (count === 0) shows.push(`${slice.blob}+0`);
        chunks[chunk].slices.push(slice);
      }
    }
    return { chunks, shows };
  }

  complete(): void {
    const entry = this.uploads.pop();
    if (entry === undefined) return;
    const { upload, path } = entry;
    const numbers = [...entry.parts.keys()].sort().filter(() => this.random.below(5) > 0);
    if (numbers.length === 0) {
      this.expect(this.world.status('uploadAbort', { upload, path }), 'OK', 'abort');
      return;
    }
    const parts = numbers.map((part) => ({ part, etag: entry.parts.get(part)!.etag }));
    const etag = `multi-${upload}-${numbers.length}`;
    const condition = { ifMatch: '', ifNoneMatch: '' };
    const status = this.world.status('uploadComplete', { upload, path, parts, etag, object: null, condition });
    if (status === 'FBIG' && path.endsWith('/')) {
      this.expect(this.world.status('uploadAbort', { upload, path }), 'OK', 'abort');
      return;
    }
    this.expect(status, 'OK', `complete ${path}`);
    const item = this.model.put(
      path,
      numbers.flatMap((part) => entry.parts.get(part)!.units),
      true,
    );
    this.learnDirectories();
    item.inode = this.world.call('objectHead', { path }).attr.inode;
    this.items.add(item);
  }

  /** An upload of so many slices that it stands as parts until it is folded. */
  largeUpload(): void {
    this.upload();
    const entry = this.uploads[this.uploads.length - 1]!;
    for (let part = 1; part <= 5; part++) {
      const units = UNITS_PER_CHUNK + this.random.below(3) - 1;
      const { chunks, shows } = this.splinters(units);
      const request = { upload: entry.upload, path: entry.path, part, session: 1, size: units * UNIT, etag: `${part}` };
      this.world.call('uploadPart', { ...request, chunks, checksum: new Uint8Array(0) });
      entry.parts.set(part, { units: shows, etag: `${part}` });
    }
    this.complete();
  }

  foldOnce(): void {
    this.world.store.transact(() => fold.step(this.world.store, 1 + this.random.below(400)));
  }

  /** Writes what shows of a chunk's first slices in place of them. */
  compact(): void {
    const item = this.anyItem();
    if (item.type !== 'file') return;
    const chunk = this.random.below(2);
    const { attr, chunks } = this.world.call('chunkRead', { inode: item.inode, first: chunk, count: 1 });
    const before = chunks[0]?.slices ?? [];
    if (before.length === 0) return;
    const count = 1 + this.random.below(before.length);
    const replaced = before.slice(0, count);
    const slices = mergeSlices(replaced, 0, limits.chunkBytes).filter(({ blob }) => blob !== 0);
    const check = crc32c(encode(chunkRowCodec, { slices: replaced }));
    const request = { inode: item.inode, session: 1, chunk, count, check, slices };
    const expected = (attr.flags & AttrFlag.PARTS) === 0 ? 'OK' : 'BUSY';
    this.expect(this.world.status('chunkCompact', request), expected, 'compact');
  }

  xattr(): void {
    const item = this.anyItem();
    const name = this.random.pick(['user.a', 'user.b']);
    if (this.random.below(2) === 0) {
      this.world.call('xattrSet', { inode: item.inode, name, value: Buffer.from('value'), flags: 0 });
      item.xattrs.set(name, 'value');
      item.implicit = false;
    } else {
      const had = item.xattrs.delete(name);
      this.expect(this.world.status('xattrRemove', { inode: item.inode, name }), had ? 'OK' : 'NODATA', 'xattrRemove');
      if (had) item.implicit = false;
    }
  }

  /** Background work, with some of the removed inodes held. */
  settle(): void {
    this.world.held.clear();
    for (const item of this.model.orphans) if (this.random.below(2) === 0) this.world.held.add(item.inode);
    this.world.settle({ fold: this.random.below(2) === 0 });
    for (const item of this.model.orphans) {
      if (this.world.held.has(item.inode)) continue;
      this.expect(this.world.status('getattr', { inode: item.inode }), 'STALE', 'getattr of a freed inode');
      this.model.orphans.delete(item);
      this.items.delete(item);
    }
  }

  compare(): void {
    this.compareDirectory(this.model.root, '');
    for (const item of this.model.orphans) this.compareItem(item, 'an orphan');
    const page = this.world.call('objectList', { prefix: '', delimiter: '', marker: '', limit: 1000 });
    assert.deepEqual(
      page.entries.map(({ key }) => key),
      this.model.keys(),
    );
    assertClean(this.world);
  }

  private compareDirectory(directory: Item, path: ByteString): void {
    this.compareItem(directory, path);
    const found = new Map<ByteString, number>();
    for (let after = '', end = false; !end; ) {
      const request = { inode: directory.inode, after, limit: 1 + this.random.below(3) };
      const page = this.world.call('readdir', request);
      for (const { name, attr } of page.entries) found.set(name, attr.inode);
      const names = page.entries.map(({ name, attr: { inode, mode } }) => ({ name, inode, mode }));
      assert.deepEqual(this.world.call('readNames', request), { ...page, entries: names });
      ({ end, cursor: after } = page);
    }
    assert.equal(found.size, directory.children.size, `entries of '${path}'`);
    for (const [shown, inode] of found) {
      const name = NAMES.find((candidate) => candidate.shown === shown);
      assert(name !== undefined, `entry '${shown}' of '${path}'`);
      assert.equal(find(directory, name)?.inode, inode, `entry '${shown}' of '${path}'`);
      assert.equal(this.world.call('lookup', { parent: directory.inode, name: shown }).attr.inode, inode);
    }
    for (const [name, item] of directory.children) {
      if (item.directory) this.compareDirectory(item, path + name);
      else this.compareItem(item, path + name);
    }
  }

  private compareItem(item: Item, path: ByteString): void {
    const { attr } = this.world.call('getattr', { inode: item.inode });
    const size = item.type === 'symlink' ? 'somewhere'.length : item.content.length * UNIT;
    const actual = { nlink: attr.nlink, size: attr.size, mode: attr.mode & 0o7777, gid: attr.gid };
    const gid = item === this.model.root ? 0 : item.gid;
    assert.deepEqual(actual, { nlink: item.nlink, size, mode: item.mode, gid }, path);
    assert.equal(etagOf(attr).includes('s3-') || etagOf(attr).includes('multi-'), item.s3, `ETag of ${path}`);
    const { names } = this.world.call('xattrList', { inode: item.inode });
    assert.deepEqual(names, [...item.xattrs.keys()].sort(), `xattrs of ${path}`);
    if (item.type !== 'symlink') assert.deepEqual(this.shows(item), item.content, `content of ${path}`);
  }

  /** How each unit of a file shows to a reader. */
  private shows(item: Item): string[] {
    const { attr, chunks } = this.world.call('chunkRead', { inode: item.inode, first: 0, count: limits.chunksPerRead });
    const shows: string[] = [];
    for (let at = 0; at < attr.size; at += UNIT) {
      const slices = chunks.find(({ chunk }) => chunk === Math.floor(at / limits.chunkBytes))?.slices ?? [];
      const offset = at % limits.chunkBytes;
      const first = mergeSlices(slices, offset, offset + UNIT)[0]!;
      shows.push(first.blob === 0 ? '' : `${first.blob}+${first.blobOffset / UNIT}`);
    }
    return shows;
  }

  /** Removes everything through S3 and POSIX; then nothing may be left of any of it. */
  empty(): void {
    for (const entry of this.uploads.splice(0))
      this.world.call('uploadAbort', { upload: entry.upload, path: entry.path });
    for (const key of this.model.keys()) {
      this.world.delete(key);
      this.model.delete(key);
    }
    this.compare();
    this.world.held.clear();
    this.world.settle();
    const named = new Set(this.namedBlobs(this.model.root));
    for (const blob of this.world.blobs.keys()) assert(named.has(blob), `blob ${blob} is left over`);
    assertClean(this.world);
  }

  private namedBlobs(directory: Item): number[] {
    const blobs: number[] = [];
    for (const item of directory.children.values()) {
      for (const show of item.content) blobs.push(Number(show.split('+')[0]));
      blobs.push(...this.namedBlobs(item));
    }
    return blobs;
  }
}
