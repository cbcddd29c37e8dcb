// One operation's changes on their way into its transaction. An Edit holds each inode it touches once, so that an
// operation which meets an inode twice (rename within a directory) changes one copy; it counts how often slices name a
// blob, and at `finish` writes inodes, counts, counters and the reclaim rows of blobs that lost their last slice. All
// giving up of blobs and inodes goes through here. Dentry and parent rows that vanish are deleted at once.

import assert from 'node:assert';
import type { ByteString } from '../../../proto/codec.js';
import { makeInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  AttrFlag,
  COUNTER_WORD,
  type Counters,
  chunkRowCodec,
  countersRowCodec,
  countRowCodec,
  dentryCodec,
  isDirectory,
  keys,
  linkRowCodec,
  parentRowCodec,
  ReclaimKind,
  type ReclaimRow,
  reclaimRowCodec,
  type Slice,
  type Time,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { Transaction } from '../view.js';
import { decodeRow, dentryName, encodeRow, hasFlag, isNameless, loadNode, type Node, nodeAt } from './store.js';

export const COUNTERS_KEY = keys.state('counters');

/** Blocks that a blob of this length has. */
function blocksOf(blobLength: number): number {
  return Math.ceil(blobLength / limits.blockBytes);
}

/** How an operation changed the number of slices that name a blob. */
interface Reference {
  delta: number;
  /** A slice of it stood before this operation, so that a missing count row means one. */
  stood: boolean;
  blobLength: number;
  /** Whose readers may still read it. */
  inode: number;
}

/** A milliseconds clock of the reclaim rows. */
export function timeMs(time: Time): number {
  return Math.max(0, time.sec * 1000 + Math.floor(time.nsec / 1e6));
}

export class Edit {
  private readonly nodes = new Map<number, Node>();
  private readonly changed = new Set<Node>();
  private readonly references = new Map<number, Reference>();
  private counters: Counters | null = null;
  private bytesDelta = 0;
  /** What loses its last slice belongs to an inode that is gone: nothing can name it again. */
  private freeing = false;

  constructor(
    readonly tx: Transaction,
    readonly partition: number,
    readonly now: Time,
  ) {}

  /** An inode by number, the same Node each time. */
  load(inode: number): Node | undefined {
    const known = this.nodes.get(inode);
    if (known !== undefined) return known;
    const node = loadNode(this.tx, inode);
    if (node !== undefined) this.nodes.set(inode, node);
    return node;
  }

  require(inode: number): Node {
    const node = this.load(inode);
    if (node === undefined) throw new OfsError(Status.STALE, `inode ${inode} is gone: look its name up again`);
    return node;
  }

  /** A directory in which names may be made and removed. */
  directory(inode: number): Node {
    const node = this.require(inode);
    if (!isDirectory(node.attr)) throw new OfsError(Status.NOTDIR, `inode ${inode} is not a directory`);
    if (isNameless(node)) throw new OfsError(Status.NOENT, `directory ${inode} has been removed`);
    return node;
  }

  /** The inode that a dentry row names. */
  at(key: ByteString): Node | undefined {
    const node = nodeAt(this.tx, key);
    return node === undefined ? undefined : this.adopt(node);
  }

  /** The Node of an inode that was read from the view, or the one that this edit already has. */
  adopt(node: Node): Node {
    const known = this.nodes.get(node.attr.inode);
    if (known !== undefined) return known;
    this.nodes.set(node.attr.inode, node);
    return node;
  }

  /** Notes that the attributes are to be written. */
  touch(node: Node): Attr {
    this.changed.add(node);
    return node.attr;
  }

  nextInode(): number {
    return makeInode(this.partition, this.count().nextInode++);
  }

  addFiles(delta: number): void {
    const counters = this.count();
    counters.files += delta;
    assert(counters.files >= 0);
  }

  private count(): Counters {
    if (this.counters === null) {
      const value = this.tx.get(COUNTERS_KEY);
      assert(value !== undefined, 'a group without counters: bootstrap has not run');
      this.counters = decodeRow(countersRowCodec, value);
    }
    return this.counters;
  }

  /** Gives a new inode a name in a directory; times and link count of the directory are the caller's. */
  insert(parent: number, name: ByteString, attr: Attr): Node {
    const placed = dentryName(name, attr);
    const node: Node = { attr, key: keys.fileDentry(parent, placed), names: null };
    this.nodes.set(attr.inode, node);
    this.changed.add(node);
    this.tx.put(keys.parent(attr.inode), encodeRow(parentRowCodec, { parent, name: placed }));
    this.addFiles(1);
    return node;
  }

  /** Moves an inode's name; the row at the old place goes, unless something else has been put there since. */
  move(node: Node, source: { parent: number; name: ByteString }, target: { parent: number; name: ByteString }): void {
    const from = dentryName(source.name, node.attr);
    const to = dentryName(target.name, node.attr);
    this.tx.delete(keys.fileDentry(source.parent, from));
    const key = keys.fileDentry(target.parent, to);
    if (node.names === null) {
      node.key = key;
      this.tx.put(keys.parent(node.attr.inode), encodeRow(parentRowCodec, { parent: target.parent, name: to }));
    } else {
      const entry = node.names.find((item) => item.parent === source.parent && item.name === source.name);
      assert(entry !== undefined, 'a hard link that its link row does not list');
      entry.parent = target.parent;
      entry.name = target.name;
      this.putLinkDentry(key, node.attr.inode);
    }
    this.touch(node).ctime = this.now;
  }

  private putLinkDentry(key: ByteString, inode: number): void {
    this.tx.put(key, encodeRow(dentryCodec, { attr: null, link: inode }));
  }

  /** Puts the dentry of a moved hard link once more, where a later move of the same operation took it away. */
  restoreDentry(node: Node, place: { parent: number; name: ByteString }): void {
    if (node.names !== null) this.putLinkDentry(keys.fileDentry(place.parent, place.name), node.attr.inode);
  }

  /** A second or further name for a file. */
  addName(node: Node, parent: number, name: ByteString): void {
    const inode = node.attr.inode;
    if (node.names === null) {
      const row = this.tx.get(keys.parent(inode));
      assert(row !== undefined);
      const first = decodeRow(parentRowCodec, row);
      this.tx.delete(keys.parent(inode));
      this.putLinkDentry(keys.fileDentry(first.parent, first.name), inode);
      node.names = [first];
      node.key = keys.link(inode);
      node.attr.flags |= AttrFlag.LINKED;
    }
    node.names.push({ parent, name });
    this.putLinkDentry(keys.fileDentry(parent, name), inode);
    const attr = this.touch(node);
    attr.nlink = node.names.length;
    attr.ctime = this.now;
  }

  /**
   * Takes a name from a file. Down to one name the attributes go back into the dentry; without a name they wait in the
   * link table for those who have the file open, and reclaim has the inode.
   */
  removeName(node: Node, parent: number, name: ByteString): void {
    this.tx.delete(keys.fileDentry(parent, name));
    const attr = this.touch(node);
    attr.ctime = this.now;
    if (node.names === null) {
      this.orphan(node);
      return;
    }
    const rest = node.names.filter((item) => item.parent !== parent || item.name !== name);
    assert(rest.length === node.names.length - 1, 'a hard link that its link row does not list');
    attr.nlink = rest.length;
    node.names = rest;
    const last = rest[0];
    if (rest.length > 1 || last === undefined) return;
    this.tx.delete(node.key);
    node.names = null;
    node.key = keys.fileDentry(last.parent, last.name);
    attr.flags &= ~AttrFlag.LINKED;
    this.tx.put(keys.parent(attr.inode), encodeRow(parentRowCodec, last));
    // At once, since what the operation reads next must not find a hard link without a link row.
    this.write(node);
  }

  /** Takes its name from a directory, which must be empty. */
  removeDirectory(node: Node): void {
    this.tx.delete(node.key);
    this.touch(node).ctime = this.now;
    this.orphan(node);
  }

  private orphan(node: Node): void {
    const attr = node.attr;
    this.tx.delete(keys.parent(attr.inode));
    node.names = [];
    node.key = keys.link(attr.inode);
    attr.nlink = 0;
    attr.flags |= AttrFlag.LINKED;
    this.addFiles(-1);
    this.reclaimInode(attr.inode);
  }

  /** Hands the rows of an inode without names to reclaim. */
  reclaimInode(inode: number, atMs = timeMs(this.now)): void {
    this.putReclaim({ kind: ReclaimKind.INODE, timeMs: atMs, inode, blobs: [] });
  }

  putReclaim(row: ReclaimRow): number {
    const sequence = this.count().nextReclaim++;
    this.tx.put(keys.reclaim(sequence), encodeRow(reclaimRowCodec, row));
    return sequence;
  }

  /**
   * Replaces the slices of a chunk row. Blobs that `after` names and `before` does not are new, unless they were
   * `share`d.
   */
  setChunk(inode: number, chunk: number, before: readonly Slice[], after: Slice[]): void {
    for (const slice of before) {
      const reference = this.reference(slice, inode);
      reference.stood = true;
      reference.delta--;
      this.bytesDelta -= slice.length;
    }
    for (const slice of after) {
      this.reference(slice, inode).delta++;
      this.bytesDelta += slice.length;
    }
    const key = keys.chunk(inode, chunk);
    if (after.length > 0) this.tx.put(key, encodeRow(chunkRowCodec, { slices: after }));
    else if (before.length > 0) this.tx.delete(key);
  }

  /** Notes that a slice of a row which stays as it is names this blob. */
  share(slice: Slice, inode: number): void {
    this.reference(slice, inode).stood = true;
  }

  /** A slice that was handed over and is covered already: its blob is given up unless something names it. */
  offer(slice: Slice, inode: number): void {
    this.reference(slice, inode);
  }

  private reference(slice: Slice, inode: number): Reference {
    let reference = this.references.get(slice.blob);
    if (reference === undefined) {
      reference = { delta: 0, stood: false, blobLength: slice.blobLength, inode };
      this.references.set(slice.blob, reference);
    }
    if (slice.blobLength > reference.blobLength) reference.blobLength = slice.blobLength;
    return reference;
  }

  /** From here to the end of the edit, blobs that lose their last slice belong to inodes that are gone. */
  freeBlobs(): void {
    this.freeing = true;
  }

  /** Writes what has been collected. The edit may go on afterwards. */
  finish(): void {
    this.settleReferences();
    for (const node of this.changed) this.write(node);
    this.changed.clear();
    this.addBytes();
    if (this.counters !== null) this.tx.put(COUNTERS_KEY, encodeRow(countersRowCodec, this.counters));
  }

  private write(node: Node): void {
    if (node.names === null) {
      this.tx.put(node.key, encodeRow(dentryCodec, { attr: node.attr, link: 0 }));
      return;
    }
    const row = encodeRow(linkRowCodec, { attr: node.attr, names: node.names });
    if (row.length > limits.linkRowBytes)
      throw new OfsError(Status.MLINK, `inode ${node.attr.inode} has ${node.names.length} names, which is the most`);
    this.tx.put(node.key, row);
  }

  private addBytes(): void {
    if (this.bytesDelta === 0) return;
    const counters = this.count();
    const low = counters.bytesLow + this.bytesDelta;
    const carry = Math.floor(low / COUNTER_WORD);
    counters.bytesHigh += carry;
    counters.bytesLow = low - carry * COUNTER_WORD;
    assert(counters.bytesHigh >= 0);
    this.bytesDelta = 0;
  }

  private settleReferences(): void {
    const garbage = new Map<number, { blob: number; blocks: number }[]>();
    for (const [blob, reference] of this.references) {
      if (reference.stood && reference.delta === 0) continue;
      const key = keys.shared(blob);
      const row = this.tx.get(key);
      const base = row !== undefined ? decodeRow(countRowCodec, row).count : reference.stood ? 1 : 0;
      const count = base + reference.delta;
      assert(count >= 0, `blob ${blob} would be named by ${count} slices`);
      if (count > 1) this.tx.put(key, encodeRow(countRowCodec, { count, reclaim: 0 }));
      else if (row !== undefined) this.tx.delete(key);
      if (count > 0) continue;
      const list = garbage.get(reference.inode);
      const item = { blob, blocks: blocksOf(reference.blobLength) };
      if (list === undefined) garbage.set(reference.inode, [item]);
      else list.push(item);
    }
    this.references.clear();
    for (const [inode, blobs] of garbage) this.giveUp(inode, blobs);
  }

  private giveUp(inode: number, blobs: { blob: number; blocks: number }[]): void {
    const kind = this.freeing ? ReclaimKind.FREED : ReclaimKind.BLOBS;
    for (let start = 0; start < blobs.length; start += limits.reclaimBatch) {
      const batch = blobs.slice(start, start + limits.reclaimBatch);
      const reclaim = this.putReclaim({ kind, timeMs: timeMs(this.now), inode, blobs: batch });
      if (this.freeing) continue;
      for (const { blob } of batch) this.tx.put(keys.shared(blob), encodeRow(countRowCodec, { count: 0, reclaim }));
    }
  }
}

/** Clears the mark of a directory that a PUT made, since somebody has changed it or something in it. */
export function madeByHand(edit: Edit, directory: Node): void {
  if (hasFlag(directory.attr, AttrFlag.IMPLICIT)) edit.touch(directory).flags &= ~AttrFlag.IMPLICIT;
}

/** Times of a directory in which a name was made or removed. */
export function entriesChanged(edit: Edit, directory: Node): void {
  const attr = edit.touch(directory);
  attr.mtime = edit.now;
  attr.ctime = edit.now;
}
