// The state of the file system's model: inodes, and which names each directory has. A value; every change makes another.
// An inode that was made by an operation whose answer nobody heard has a negative number of the model's own until an
// answer tells the real one.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import { Mode } from '../../proto/meta/index.js';
import { type Content, hashContent, NO_CONTENT, numbered, sameContent } from './content.js';
import { hashText, mix, Table } from './table.js';

export interface Inode {
  /** Bits of Mode.TYPE; GONE for one that was reclaimed. */
  readonly type: number;
  readonly size: number;
  readonly content: Content;
  /** How many names it has. */
  readonly names: number;
  /** Of a directory. */
  readonly parent: number;
  readonly children: ReadonlyMap<ByteString, number>;
  readonly subdirectories: number;
  readonly hash: number;
}

const GONE = 0;
const NO_CHILDREN: ReadonlyMap<ByteString, number> = new Map();
/** The parent of a root, and of what is no directory. */
const NOWHERE = 0;

function inode(fields: Omit<Inode, 'hash'>): Inode {
  const { type, size, content, names, parent, children } = fields;
  let hash = mix(type, mix(size, mix(names, mix(parent, hashContent(content)))));
  for (const [name, id] of children) hash ^= mix(id, hashText(name));
  return { ...fields, hash };
}

function newInode(type: number, size: number): Inode {
  const children = NO_CHILDREN;
  return inode({ type, size, content: NO_CONTENT, names: 0, parent: NOWHERE, children, subdirectories: 0 });
}

const gone = newInode(GONE, 0);

function sameInode(left: Inode, right: Inode): boolean {
  if (left.hash !== right.hash || left.type !== right.type || left.size !== right.size) return false;
  if (left.names !== right.names || left.parent !== right.parent) return false;
  if (left.children.size !== right.children.size || !sameContent(left.content, right.content)) return false;
  for (const [name, id] of left.children) if (right.children.get(name) !== id) return false;
  return true;
}

export function isDirectory({ type }: Inode): boolean {
  return type === Mode.DIRECTORY;
}

export function linkCount(node: Inode): number {
  return isDirectory(node) && node.names > 0 ? 2 + node.subdirectories : node.names;
}

export interface Place {
  readonly parent: number;
  readonly name: ByteString;
}

export class Tree {
  private constructor(
    private readonly table: Table<Inode>,
    readonly root: number,
    /** How many inodes have numbers of the model's own. */
    private readonly unnumbered: number,
  ) {}

  static rooted(root: number): Tree {
    const node = inode({ ...newInode(Mode.DIRECTORY, 0), names: 1 });
    return new Tree(Table.empty<Inode>().with(root, node), root, 0);
  }

  get hash(): number {
    return this.table.hash;
  }

  equals(other: Tree): boolean {
    return this.table.equals(other.table, sameInode);
  }

  /** Of an inode that is there, with or without a name. */
  get(id: number): Inode | undefined {
    const node = this.table.get(id);
    return node === gone ? undefined : node;
  }

  /** Whether the number was ever given away. */
  knows(id: number): boolean {
    return this.table.get(id) !== undefined;
  }

  require(id: number): Inode {
    const node = this.get(id);
    assert(node !== undefined, `inode ${id} is there`);
    return node;
  }

  /** The inode of a name; undefined where there is none, or no such directory. */
  child({ parent, name }: Place): number | undefined {
    return this.get(parent)?.children.get(name);
  }

  *inodes(): Generator<[number, Inode]> {
    for (const [id, node] of this.table.entries()) if (node !== gone) yield [id, node];
  }

  /** Whether `id` is `above` or lies below it. */
  isWithin(id: number, above: number): boolean {
    for (let at = id; at !== NOWHERE; at = this.require(at).parent) if (at === above) return true;
    return false;
  }

  /** A new inode under a free name. Without a number (0) it gets one of the model's own. */
  make(place: Place, number: number, made: { type: number; size: number }): Tree {
    let id = number;
    let { unnumbered } = this;
    if (id === 0) {
      id = -1;
      while (this.knows(id)) id--;
      unnumbered++;
    }
    assert(!this.knows(id));
    const table = this.table.with(id, newInode(made.type, made.size));
    return new Tree(table, this.root, unnumbered).name(place, id);
  }

  /** Puts a name on an inode. */
  name({ parent, name }: Place, id: number): Tree {
    const node = this.require(id);
    const directory = isDirectory(node);
    const named = inode({ ...node, names: node.names + 1, parent: directory ? parent : NOWHERE });
    const above = this.require(parent);
    const children = new Map(above.children).set(name, id);
    const subdirectories = above.subdirectories + (directory ? 1 : 0);
    return this.set(id, named).set(parent, inode({ ...above, children, subdirectories }));
  }

  /** Takes a name away. An inode of the model's own number that nobody can name any more is forgotten. */
  unname(place: Place): Tree {
    return this.taken(place).forgotten(this.child(place)!);
  }

  move(source: Place, target: Place): Tree {
    const id = this.child(source)!; // the caller has looked
    return this.taken(source).name(target, id);
  }

  exchange(source: Place, target: Place): Tree {
    const [first, second] = [this.child(source)!, this.child(target)!]; // the caller has looked
    return this.taken(source).taken(target).name(target, first).name(source, second);
  }

  write(id: number, content: Content, size: number): Tree {
    return this.set(id, inode({ ...this.require(id), content: numbered(content), size }));
  }

  /** A removed inode is reclaimed: its number means nothing from here on. */
  reclaim(id: number): Tree {
    return this.set(id, gone);
  }

  /** `id` turns out to be the inode of this number; null if it is another. */
  identify(id: number, number: number): Tree | null {
    if (id === number) return this;
    if (id > 0 || this.knows(number)) return null;
    let table = this.table.without(id).with(number, this.require(id));
    for (const [at, node] of [...table.entries()]) {
      const parent = node.parent === id ? number : node.parent;
      const named = [...node.children].find(([, child]) => child === id);
      if (parent === node.parent && named === undefined) continue;
      const children = node.children.size > 0 ? new Map(node.children) : node.children;
      for (const [name, child] of node.children) if (child === id) (children as Map<string, number>).set(name, number);
      table = table.with(at, inode({ ...node, parent, children }));
    }
    return new Tree(table, this.root, this.unnumbered - 1);
  }

  private taken({ parent, name }: Place): Tree {
    const above = this.require(parent);
    const id = above.children.get(name);
    assert(id !== undefined, `directory ${parent} has ${name}`);
    const node = this.require(id);
    const children = new Map(above.children);
    children.delete(name);
    const subdirectories = above.subdirectories - (isDirectory(node) ? 1 : 0);
    const tree = this.set(parent, inode({ ...above, children, subdirectories }));
    return tree.set(id, inode({ ...node, names: node.names - 1, parent: NOWHERE }));
  }

  private forgotten(id: number): Tree {
    if (id > 0 || this.require(id).names > 0) return this;
    return new Tree(this.table.without(id), this.root, this.unnumbered - 1);
  }

  private set(id: number, node: Inode): Tree {
    return new Tree(this.table.with(id, node), this.root, this.unnumbered);
  }
}
