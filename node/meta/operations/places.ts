// From a name that a mount gives to the entry it stands for (proto/meta/names.ts), and the rules for names.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { isDirectory, isEscaped, keys, parseShownName, showName } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { View } from '../view.js';
import type { Edit } from './edit.js';
import { loadNode, type Node, nodeAt, placeOf } from './store.js';

/** A name in a directory, as it is stored, and what it names. `twin` names the file beside a directory of its name. */
export interface Place {
  parent: number;
  name: ByteString;
  twin: boolean;
  /** An entry of this name could not be made, only found. */
  found: boolean;
  node: Node | undefined;
}

function stored(name: ByteString): ByteString {
  return name.endsWith('/') ? name.slice(0, -1) : name;
}

/** The entry that is shown by its inode because its name is too long to show. */
function findByInode(view: View, parent: number, shown: ByteString, inode: number): Place {
  const missing: Place = { parent, name: '', twin: false, found: true, node: undefined };
  const node = loadNode(view, inode);
  if (node === undefined) return missing;
  const only = node.names === null ? placeOf(view, inode) : undefined;
  const names = node.names ?? (only === undefined ? [] : [only]);
  for (const item of names) {
    if (item.parent !== parent) continue;
    const name = stored(item.name);
    const twin = !isDirectory(node.attr) && view.get(keys.directoryDentry(parent, name)) !== undefined;
    if (showName(name, { inode, twin }) === shown) return { parent, name, twin, found: true, node };
  }
  return missing;
}

/** What a shown name stands for in a directory. NAMETOOLONG, or INVAL when no entry could ever have the name. */
export function locate(view: View, parent: number, shown: ByteString): Place {
  if (shown.length > limits.nameBytes)
    throw new OfsError(Status.NAMETOOLONG, `a name of ${shown.length} bytes, the limit is ${limits.nameBytes}`);
  const meant = parseShownName(shown);
  if (meant === null) {
    if (!isEscaped(shown)) throw new OfsError(Status.INVAL, `'${shown}' cannot be the name of an entry`);
    return { parent, name: shown, twin: false, found: true, node: undefined };
  }
  if (meant.form === 'inode') return findByInode(view, parent, shown, meant.inode);
  const { name } = meant;
  const directory = nodeAt(view, keys.directoryDentry(parent, name));
  if (meant.form === 'plain') {
    const node = directory ?? nodeAt(view, keys.fileDentry(parent, name));
    return { parent, name, twin: false, found: false, node };
  }
  if (directory === undefined) return { parent, name, twin: true, found: true, node: undefined };
  return { parent, name, twin: true, found: false, node: nodeAt(view, keys.fileDentry(parent, name)) };
}

/** As `locate`, with the node that the edit holds. */
export function locateIn(edit: Edit, parent: number, shown: ByteString): Place {
  const place = locate(edit.tx, parent, shown);
  if (place.node !== undefined) place.node = edit.adopt(place.node);
  return place;
}

/** As `locateIn`; NOENT when there is nothing of this name. */
export function requireIn(edit: Edit, parent: number, shown: ByteString): Place & { node: Node } {
  const place = locateIn(edit, parent, shown);
  if (place.node === undefined) throw noEntry(parent, shown);
  return { ...place, node: place.node };
}

export function noEntry(parent: number, shown: ByteString): OfsError {
  return new OfsError(Status.NOENT, `no entry '${shown}' in directory ${parent}`);
}

/** Refuses to make an entry where it would not be shown by the name that it was made under. */
export function checkMayMake(place: Place, shown: ByteString, directory: { directory: boolean }): void {
  if (place.found || (place.twin && directory.directory))
    throw new OfsError(Status.INVAL, `'${shown}' is an escaped name, under which nothing new can be made`);
}
