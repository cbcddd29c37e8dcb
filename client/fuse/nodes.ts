// What the engine remembers of inodes that the kernel knows, from the first lookup that reached the kernel to the FORGET
// of the last: so the table is bounded by the kernel's own cache. Node ids are inode numbers, with the volume's root as
// 1, the kernel's name for it.

import { ROOT_NODE } from '../../proto/fuse/index.js';
import { type Attr, AttrFlag, Mode } from '../../proto/meta/index.js';
import { PlainFiles } from './plain-files.js';

export interface Node {
  /** How many lookups the kernel has not taken back. */
  lookups: number;
  /** Type and permissions when an answer last told. */
  mode: number;
  /** AttrFlag set when an answer last told. */
  flags: number;
  /** The clock of changes (`NodeTable.change`) when this mount last changed the inode; 0 never. */
  changed: number;
  /** Content version as of the last open: pages that the kernel keeps are not older. -1 before the first. */
  version: number;
  /** Content version as of the attributes that the kernel was last told. -1: none were. */
  told: number;
  /** The newest content version that any answer has named. */
  seen: number;
  /** Handles open for writing. */
  writers: number;
  /** It is known to have no file capabilities, whatever other extended attributes it has. */
  bare: boolean;
  /** Where the inode was last found; for `..` of directories. */
  parent: number;
}

function newNode({ mode, flags }: Pick<Attr, 'mode' | 'flags'>, parent: number, lookups: number): Node {
  return { lookups, mode, flags, changed: 0, version: -1, told: -1, seen: -1, writers: 0, bare: false, parent };
}

export class NodeTable {
  readonly plain = new PlainFiles();
  private readonly nodes = new Map<number, Node>();
  private clock = 0;
  /** The latest change to an inode that the kernel has forgotten since. */
  private forgottenChange = 0;

  constructor(private readonly root: number) {
    this.nodes.set(root, newNode({ mode: Mode.DIRECTORY, flags: 0 }, root, 1));
  }

  get size(): number {
    return this.nodes.size;
  }

  /** The inode of a node id. The root's number and 1 change places, so no inode is out of reach. */
  inodeOf(node: number): number {
    if (node === ROOT_NODE) return this.root;
    return node === this.root ? ROOT_NODE : node;
  }

  nodeOf(inode: number): number {
    return this.inodeOf(inode);
  }

  find(inode: number): Node | undefined {
    return this.nodes.get(inode);
  }

  /** The kernel was told of an inode under a name: it owes one FORGET more. */
  remember(attr: Attr, parent: number): Node {
    let node = this.nodes.get(attr.inode);
    if (node === undefined) {
      node = newNode(attr, parent, 0);
      this.nodes.set(attr.inode, node);
    }
    node.lookups++;
    this.learn(node, attr);
    node.told = attr.version;
    node.parent = parent;
    return node;
  }

  /** Attributes have passed by that the kernel is not told. */
  note(attr: Attr): Node | undefined {
    const node = this.nodes.get(attr.inode);
    if (node === undefined) return undefined;
    this.learn(node, attr);
    return node;
  }

  /** The kernel is told these attributes. */
  tell(attr: Attr): void {
    const node = this.note(attr);
    if (node !== undefined) node.told = attr.version;
  }

  /** A file is open for writing, by attributes read at `clock`. */
  beginWriting(inode: number, clock: number): void {
    const node = this.nodes.get(inode);
    if (node === undefined) return;
    node.writers++;
    if ((node.flags & AttrFlag.XATTRS) === 0 && node.changed <= clock) this.plain.mark(this.nodeOf(inode));
  }

  endWriting(inode: number): void {
    const node = this.nodes.get(inode);
    if (node !== undefined && --node.writers > 0) return;
    this.plain.clear(this.nodeOf(inode));
  }

  private learn(node: Node, attr: Attr): void {
    node.mode = attr.mode;
    node.flags = attr.flags;
    node.seen = Math.max(node.seen, attr.version);
    if ((attr.flags & AttrFlag.XATTRS) !== 0) this.plain.clear(this.nodeOf(attr.inode));
  }

  forget(inode: number, lookups: number): void {
    const node = this.nodes.get(inode);
    if (node === undefined || inode === this.root) return;
    node.lookups -= lookups;
    if (node.lookups > 0) return;
    this.forgottenChange = Math.max(this.forgottenChange, node.changed);
    this.nodes.delete(inode);
  }

  /** The time on the clock of changes: what is read from now on has all changes up to it. */
  get now(): number {
    return this.clock;
  }

  /** This mount has changed an inode, or the entries of a directory. */
  change(inode: number): void {
    this.clock++;
    const node = this.nodes.get(inode);
    if (node === undefined) this.forgottenChange = this.clock;
    else node.changed = this.clock;
  }

  /** Whether the kernel has not been told, or shown by an open, a newer content: it must not go back to an older size. */
  isNewest({ inode, version }: Attr): boolean {
    const node = this.nodes.get(inode);
    return node === undefined || version >= node.seen;
  }

  /** Whether attributes read at `clock` are still as this mount has left them. */
  isCurrent(inode: number, clock: number): boolean {
    const node = this.nodes.get(inode);
    if (node === undefined) return this.forgottenChange <= clock;
    return node.writers === 0 && node.changed <= clock;
  }
}
