// Rows as the operations see them. A Node is an inode with the place where its attributes stand: its dentry row while
// it has one name, its link row otherwise. Nothing here changes anything. Decoded values own their bytes.

import assert from 'node:assert';
import type { Buffer } from 'node:buffer';
import { type ByteString, type Codec, Reader, Writer } from '../../../proto/codec.js';
import {
  type Attr,
  AttrFlag,
  dentryCodec,
  isDirectory,
  keys,
  linkRowCodec,
  parentRowCodec,
} from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { View } from '../view.js';

export interface LinkName {
  parent: number;
  name: ByteString;
}

/** An inode and where its attributes stand. */
export interface Node {
  attr: Attr;
  /** Key of the row: the dentry with `names` null, the link row otherwise. */
  key: ByteString;
  names: LinkName[] | null;
}

/** The dentry of a group's root stands under parent 0, which no inode has. */
export const ROOT_KEY = keys.directoryDentry(0, '');

const reader = new Reader();
const writer = new Writer(4096);

/** Encodes into a buffer of its own. */
export function encodeRow<T>(codec: Codec<T>, value: T): Buffer {
  writer.reset();
  codec.write(writer, value);
  return writer.take();
}

/** Bytes fields of the result are views into `value`. */
export function decodeRow<T>(codec: Codec<T>, value: Buffer): T {
  reader.reset(value);
  const row = codec.read(reader);
  assert(reader.remaining === 0, 'bytes after the end of a row');
  return row;
}

const NOTHING = new Uint8Array(0);

/** Lets `attr.object` outlive the row that it was decoded from. */
export function ownObject(attr: Attr): Attr {
  attr.object = attr.object.length === 0 ? NOTHING : Uint8Array.prototype.slice.call(attr.object);
  return attr;
}

/** Attributes as listings carry them: without what only a GET of the object needs, so that a page stays bounded. */
export function withoutObject(attr: Attr): Attr {
  attr.object = NOTHING;
  return attr;
}

/** The inode that a dentry row names, without decoding the rest: both kinds begin with it. */
export function dentryInode(value: Buffer): number {
  reader.reset(value, 1);
  return reader.varint();
}

/** How a dentry row begins: the inode, and its mode where the row has the attributes (0: it is a hard link). */
export function dentryHead(value: Buffer): { inode: number; mode: number } {
  reader.reset(value);
  const isLink = reader.byte() !== 0;
  const inode = reader.varint();
  return { inode, mode: isLink ? 0 : reader.varint() };
}

export function readLink(view: View, inode: number): Node | undefined {
  const key = keys.link(inode);
  const value = view.get(key);
  if (value === undefined) return undefined;
  const row = decodeRow(linkRowCodec, value);
  return { attr: ownObject(row.attr), key, names: row.names };
}

/** The inode that the dentry row of this key names. */
export function nodeAt(view: View, key: ByteString): Node | undefined {
  const value = view.get(key);
  if (value === undefined) return undefined;
  const dentry = decodeRow(dentryCodec, value);
  if (dentry.attr !== null) return { attr: ownObject(dentry.attr), key, names: null };
  const node = readLink(view, dentry.link);
  assert(node !== undefined, `dentry of a hard link without link row, inode ${dentry.link}`);
  return node;
}

/** The place of an inode with one name: parent, and name with `/` behind that of a directory. */
export function placeOf(view: View, inode: number): LinkName | undefined {
  const value = view.get(keys.parent(inode));
  return value === undefined ? undefined : decodeRow(parentRowCodec, value);
}

/** An inode by its number, named or not; undefined when it is gone. */
export function loadNode(view: View, inode: number): Node | undefined {
  const place = placeOf(view, inode);
  if (place === undefined) return readLink(view, inode);
  const node = nodeAt(view, keys.fileDentry(place.parent, place.name));
  assert(node !== undefined && node.attr.inode === inode, `parent row of inode ${inode} names another entry`);
  return node;
}

/** As `loadNode`; STALE when it is gone. */
export function requireNode(view: View, inode: number): Node {
  const node = loadNode(view, inode);
  if (node === undefined) throw new OfsError(Status.STALE, `inode ${inode} is gone: look its name up again`);
  return node;
}

/** A directory that still has its name. */
export function requireDirectory(view: View, inode: number): Node {
  const node = requireNode(view, inode);
  if (!isDirectory(node.attr)) throw new OfsError(Status.NOTDIR, `inode ${inode} is not a directory`);
  return node;
}

/** The part of a dentry key behind the parent: a name, with `/` for a directory. */
export function dentryName(name: ByteString, attr: { mode: number }): ByteString {
  return isDirectory(attr) ? `${name}/` : name;
}

export function isNameless(node: Node): boolean {
  return node.names !== null && node.names.length === 0;
}

export function hasFlag(attr: Attr, flag: number): boolean {
  return (attr.flags & flag) !== 0;
}

/** Whether S3 sees a directory as the key `name/`. */
export function isMarker(attr: Attr): boolean {
  return hasFlag(attr, AttrFlag.MARKER) || !hasFlag(attr, AttrFlag.IMPLICIT);
}
