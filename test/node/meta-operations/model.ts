// A simple model of the namespace: a tree of objects, with POSIX and S3 operations in the plainest terms. It answers
// with the status that the service must answer with. Content is kept by the unit: which blob shows there.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';

/** Files of the model are whole units long. Above the least size of a part. */
export const UNIT = limits.chunkBytes / 8;

export type Type = 'file' | 'directory' | 'symlink' | 'fifo';

export class Item {
  inode = 0;
  mode = 0o644;
  gid = 2;
  names = 0;
  implicit = false;
  marker = false;
  /** Blob and unit in it for each unit; '' for a hole. */
  content: string[] = [];
  s3 = false;
  readonly xattrs = new Map<string, string>();
  /** By stored name, `/` behind that of a directory. */
  readonly children = new Map<ByteString, Item>();
  parent: Item | null = null;

  constructor(readonly type: Type) {}

  get directory(): boolean {
    return this.type === 'directory';
  }

  get nlink(): number {
    if (!this.directory) return this.names;
    if (this.names === 0) return 0;
    let subdirectories = 0;
    for (const child of this.children.values()) if (child.directory) subdirectories++;
    return 2 + subdirectories;
  }
}

/** A name as a mount gives it, with what it is stored as. */
export interface Name {
  shown: ByteString;
  stored: ByteString;
  twin: boolean;
}

function placed(name: ByteString, item: Item): ByteString {
  return item.directory ? `${name}/` : name;
}

export function find(directory: Item, name: Name): Item | undefined {
  const { children } = directory;
  const beside = children.get(`${name.stored}/`);
  if (name.twin) return beside === undefined ? undefined : children.get(name.stored);
  return beside ?? children.get(name.stored);
}

function mayMake(directory: Item, name: Name, isDirectory: boolean): boolean {
  return !name.twin || (!isDirectory && directory.children.has(`${name.stored}/`));
}

export class Model {
  readonly root = new Item('directory');
  readonly orphans = new Set<Item>();

  constructor() {
    this.root.names = 1;
    this.root.mode = 0o755;
  }

  private attach(directory: Item, name: ByteString, item: Item): void {
    directory.children.set(placed(name, item), item);
    item.names++;
    if (item.directory) item.parent = directory;
  }

  private detach(directory: Item, name: ByteString, item: Item): void {
    directory.children.delete(placed(name, item));
    if (--item.names === 0) this.orphans.add(item);
  }

  make(directory: Item, name: Name, type: Type): Item | string {
    if (directory.names === 0) return 'NOENT';
    if (find(directory, name) !== undefined) return 'EXIST';
    if (!mayMake(directory, name, type === 'directory')) return 'INVAL';
    const item = new Item(type);
    if (item.directory) item.mode = 0o755;
    directory.implicit = false;
    this.attach(directory, name.stored, item);
    return item;
  }

  link(item: Item, directory: Item, name: Name): string {
    if (item.directory) return 'PERM';
    if (item.names === 0 || directory.names === 0) return 'NOENT';
    if (find(directory, name) !== undefined) return 'EXIST';
    if (!mayMake(directory, name, false)) return 'INVAL';
    directory.implicit = false;
    this.attach(directory, name.stored, item);
    return 'OK';
  }

  unlink(directory: Item, name: Name): string {
    const item = directory.names === 0 ? undefined : find(directory, name);
    if (item === undefined) return 'NOENT';
    if (item.directory) return 'ISDIR';
    this.detach(directory, name.stored, item);
    directory.implicit = false;
    return 'OK';
  }

  rmdir(directory: Item, name: Name): string {
    const item = directory.names === 0 ? undefined : find(directory, name);
    if (item === undefined) return 'NOENT';
    if (!item.directory) return 'NOTDIR';
    if (item.children.size > 0) return 'NOTEMPTY';
    this.detach(directory, name.stored, item);
    directory.implicit = false;
    return 'OK';
  }

  private below(directory: Item, above: Item): boolean {
    for (let item: Item | null = directory; item !== null; item = item.parent) if (item === above) return true;
    return false;
  }

  rename(from: Item, name: Name, to: Item, newName: Name, flag: '' | 'NOREPLACE' | 'EXCHANGE'): string {
    if (from.names === 0 || to.names === 0) return 'NOENT';
    const item = find(from, name);
    const old = find(to, newName);
    if (item === undefined) return 'NOENT';
    if (old !== undefined && flag === 'NOREPLACE') return 'EXIST';
    if (old === undefined && flag === 'EXCHANGE') return 'NOENT';
    if (old === item) return 'OK';
    if (!mayMake(to, newName, item.directory)) return 'INVAL';
    if (item.directory && this.below(to, item)) return 'INVAL';
    if (flag === 'EXCHANGE') return this.exchange(from, name, to, newName);
    if (old !== undefined) {
      if (item.directory && !old.directory) return 'NOTDIR';
      if (!item.directory && old.directory) return 'ISDIR';
      if (old.children.size > 0) return 'NOTEMPTY';
      this.detach(to, newName.stored, old);
    }
    from.children.delete(placed(name.stored, item));
    to.children.set(placed(newName.stored, item), item);
    if (item.directory) item.parent = to;
    for (const changed of [from, to, item]) changed.implicit = false;
    return 'OK';
  }

  private exchange(from: Item, name: Name, to: Item, newName: Name): string {
    const item = find(from, name)!;
    const old = find(to, newName)!;
    if (name.twin && old.directory) return 'INVAL';
    if (old.directory && this.below(from, old)) return 'INVAL';
    if (!item.directory && old.directory && to.children.has(newName.stored)) return 'EXIST';
    if (item.directory && !old.directory && from.children.has(name.stored)) return 'EXIST';
    from.children.delete(placed(name.stored, item));
    to.children.delete(placed(newName.stored, old));
    from.children.set(placed(name.stored, old), old);
    to.children.set(placed(newName.stored, item), item);
    if (item.directory) item.parent = to;
    if (old.directory) old.parent = from;
    for (const changed of [from, to, item]) changed.implicit = false;
    return 'OK';
  }

  /** The directory of a key and the last name in it; what is missing is made, if `make`. */
  private lead(path: ByteString, make: boolean): { directory: Item; name: ByteString } | undefined {
    const parts = path.split('/');
    const name = parts.pop()!;
    let directory = this.root;
    for (const part of parts) {
      let next = directory.children.get(`${part}/`);
      if (next === undefined) {
        if (!make) return undefined;
        next = new Item('directory');
        next.mode = 0o755;
        next.implicit = true;
        next.gid = 1000;
        this.attach(directory, part, next);
      }
      directory = next;
    }
    return { directory, name };
  }

  /** What S3 sees at a key. */
  object(path: ByteString): Item | undefined {
    const place = this.lead(path, false);
    if (place === undefined || path === '') return undefined;
    const { directory, name } = place;
    if (name === '') return directory.marker || !directory.implicit ? directory : undefined;
    const item = directory.children.get(name);
    return item?.type === 'file' ? item : undefined;
  }

  put(path: ByteString, content: string[], s3: boolean): Item {
    const { directory, name } = this.lead(path, true)!;
    if (name === '') {
      directory.marker = true;
      directory.content = content;
      directory.s3 = s3;
      return directory;
    }
    const old = directory.children.get(name);
    const item = new Item('file');
    item.gid = 1000;
    if (old?.type === 'file') {
      item.mode = old.mode;
      item.gid = old.gid;
    }
    if (old !== undefined) this.detach(directory, name, old);
    item.content = content;
    item.s3 = s3;
    this.attach(directory, name, item);
    return item;
  }

  delete(path: ByteString): void {
    const place = this.lead(path, false);
    const item = this.object(path);
    if (place === undefined || item === undefined) return;
    const { directory, name } = place;
    if (name === '') {
      directory.marker = false;
      directory.content = [];
      directory.s3 = false;
      directory.implicit = true;
    } else this.detach(directory, name, item);
    this.prune(directory);
  }

  private prune(directory: Item): void {
    if (!directory.implicit || directory.marker || directory.parent === null) return;
    const children = [...directory.children.values()];
    if (children.some((child) => child.directory || child.type === 'file')) return;
    if (children.length > 0) {
      directory.implicit = false;
      return;
    }
    const parent = directory.parent;
    for (const [name, child] of parent.children) {
      if (child === directory) this.detach(parent, name.slice(0, -1), directory);
    }
    this.prune(parent);
  }

  /** All keys that S3 sees, in order. */
  keys(directory = this.root, prefix = ''): ByteString[] {
    const found: ByteString[] = [];
    for (const [name, item] of directory.children) {
      if (item.type === 'file') found.push(prefix + name);
      if (!item.directory) continue;
      if (item.marker || !item.implicit) found.push(prefix + name);
      found.push(...this.keys(item, prefix + name));
    }
    return found.sort();
  }
}
