// Extended attributes: one row each. The flag XATTRS in the inode's attributes spares the look-up where there are none.

import { Buffer } from 'node:buffer';
import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { AttrFlag, keys, Table, XattrFlag } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { ReadHandler, View } from '../view.js';
import { type Edit, madeByHand } from './edit.js';
import type { EditHandler } from './handler.js';
import { rangeOf } from './slices.js';
import { hasFlag, requireNode } from './store.js';

/** Where the name stands in the key of a row. */
const NAME_AT = 9;

function noData(inode: number, name: ByteString): OfsError {
  return new OfsError(Status.NODATA, `inode ${inode} has no attribute '${name}'`);
}

function namesOf(view: View, inode: number, limit: number): ByteString[] {
  const names: ByteString[] = [];
  view.scan(...rangeOf(Table.XATTR, inode), (key) => {
    names.push(key.slice(NAME_AT));
    return names.length < limit;
  });
  return names;
}

export const xattrGet: ReadHandler<'xattrGet'> = (view, { inode, name }) => {
  const node = requireNode(view, inode);
  const value = hasFlag(node.attr, AttrFlag.XATTRS) ? view.get(keys.xattr(inode, name)) : undefined;
  if (value === undefined) throw noData(inode, name);
  return { value: Uint8Array.prototype.slice.call(value) };
};

export const xattrList: ReadHandler<'xattrList'> = (view, { inode }) => {
  const node = requireNode(view, inode);
  return { names: hasFlag(node.attr, AttrFlag.XATTRS) ? namesOf(view, inode, limits.xattrsPerInode) : [] };
};

export const xattrSet: EditHandler<'xattrSet'> = (edit, { inode, name, value, flags }) => {
  if (name === '' || name.includes('\0')) throw new OfsError(Status.INVAL, 'an attribute needs a name without NUL');
  if (name.length > limits.xattrNameBytes)
    throw new OfsError(Status.RANGE, `attribute name of ${name.length} bytes, the limit is ${limits.xattrNameBytes}`);
  const both = XattrFlag.CREATE | XattrFlag.REPLACE;
  if ((flags & ~both) !== 0 || flags === both) throw new OfsError(Status.INVAL, `xattr flags ${flags}`);
  const node = edit.require(inode);
  const key = keys.xattr(inode, name);
  const some = hasFlag(node.attr, AttrFlag.XATTRS);
  const stands = some && edit.tx.get(key) !== undefined;
  if (stands && flags === XattrFlag.CREATE)
    throw new OfsError(Status.EXIST, `inode ${inode} has an attribute '${name}' already`);
  if (!stands && flags === XattrFlag.REPLACE) throw noData(inode, name);
  if (!stands && some && namesOf(edit.tx, inode, limits.xattrsPerInode).length >= limits.xattrsPerInode)
    throw new OfsError(Status.NOSPC, `inode ${inode} has ${limits.xattrsPerInode} attributes, which is the most`);
  edit.tx.put(key, Buffer.from(value));
  const attr = edit.touch(node);
  attr.flags |= AttrFlag.XATTRS;
  attr.ctime = edit.now;
  madeByHand(edit, node);
  return {};
};

export const xattrRemove: EditHandler<'xattrRemove'> = (edit, { inode, name }) => {
  const node = edit.require(inode);
  const key = keys.xattr(inode, name);
  if (!hasFlag(node.attr, AttrFlag.XATTRS) || edit.tx.get(key) === undefined) throw noData(inode, name);
  edit.tx.delete(key);
  const attr = edit.touch(node);
  if (namesOf(edit.tx, inode, 1).length === 0) attr.flags &= ~AttrFlag.XATTRS;
  attr.ctime = edit.now;
  madeByHand(edit, node);
  return {};
};

/** Removes the attributes of an inode that is being freed, at most `limit`; false: more stand there. */
export function dropXattrs(edit: Edit, inode: number, limit: number): boolean {
  const names = namesOf(edit.tx, inode, limit + 1);
  for (const name of names.slice(0, limit)) edit.tx.delete(keys.xattr(inode, name));
  return names.length <= limit;
}
