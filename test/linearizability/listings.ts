// The rules of operations that list what a directory has, and what their answers tell of it. Entries stand in order and
// without a gap; there may be fewer than asked for, but not none where there are some.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { type Attr, Mode } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import type { FileOperation } from './file-operations.js';
import { UNKNOWN } from './history.js';
import { type Answers, attrIsRight, inodeOf, none, parentOf, placeOf, type Requests, type Rule, when } from './rule.js';
import { isDirectory, type Tree } from './tree.js';

interface Entry {
  readonly name: ByteString;
  readonly inode: number;
}

export interface Listing {
  readonly directory: number;
  readonly entries: readonly Entry[];
}

const withInodes = (entries: readonly { name: ByteString; attr: Attr }[]): Entry[] =>
  entries.map(({ name, attr }) => ({ name, inode: attr.inode }));

/** What an answer lists; undefined if it lists nothing. */
export function listingOf({ request: { name, request }, answer }: FileOperation): Listing | undefined {
  if (answer === UNKNOWN || answer.answer === null) return undefined;
  // One name has one kind of request and answer.
  switch (name) {
    case 'readdir':
      return { directory: request.inode, entries: withInodes((answer.answer as Answers['readdir']).entries) };
    case 'readNames':
      return { directory: request.inode, entries: (answer.answer as Answers['readNames']).entries };
    case 'lookupNear':
      return { directory: request.parent, entries: withInodes((answer.answer as Answers['lookupNear']).entries) };
    default:
      return undefined;
  }
}

/** As entries are ordered: by name, with `/` behind that of a directory. */
function placedName(tree: Tree, name: ByteString, id: number): ByteString {
  return isDirectory(tree.require(id)) ? `${name}/` : name;
}

/** Numbers of what the names stand for; null if one stands for nothing. */
function tellsEntries(tree: Tree, { directory, entries }: Listing): readonly (readonly [number, number])[] | null {
  const told: (readonly [number, number])[] = [];
  for (const { name, inode } of entries) {
    const id = tree.child({ parent: directory, name });
    if (id === undefined) return null;
    told.push([id, inode]);
  }
  return told;
}

/** What a directory has behind `after`, in order. */
function behind(tree: Tree, directory: number, after: ByteString): (readonly [ByteString, number])[] {
  const placed: (readonly [ByteString, number])[] = [];
  for (const [name, id] of tree.require(directory).children) {
    const key = placedName(tree, name, id);
    if (key > after) placed.push([key, id]);
  }
  return placed.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether these are the first of what there is, at most so many, and some if there are any. */
function areFirst(tree: Tree, placed: ReturnType<typeof behind>, entries: readonly Entry[], limit: number): boolean {
  if (entries.length > limit || (entries.length === 0 && limit > 0 && placed.length > 0)) return false;
  return entries.every(({ name, inode }, at) => {
    const [key, id] = placed[at] ?? ['', 0];
    return id === inode && key === placedName(tree, name, id);
  });
}

function pageIsRight(
  tree: Tree,
  { inode, after, limit }: Requests['readNames'],
  { entries, end, cursor }: { entries: readonly Entry[]; end: boolean; cursor: ByteString },
): boolean {
  const placed = behind(tree, inode, after);
  const last = entries.length === 0 ? after : placed[entries.length - 1]?.[0];
  return end === (entries.length === placed.length) && cursor === last && areFirst(tree, placed, entries, limit);
}

function pageRefusals(tree: Tree, { inode, limit }: Requests['readNames']): Status[] {
  return when([!isDirectory(tree.require(inode)), Status.NOTDIR], [limit === 0, Status.INVAL]);
}

export const readdir: Rule<'readdir'> = {
  inodes: inodeOf,
  names: none,
  refusals: pageRefusals,
  told: (tree, { inode }, { entries }) => tellsEntries(tree, { directory: inode, entries: withInodes(entries) }),
  right: (before, _, request, { entries, ...page }) =>
    pageIsRight(before, request, { ...page, entries: withInodes(entries) }) &&
    entries.every(({ attr }) => attrIsRight(before, attr)),
};

export const readNames: Rule<'readNames'> = {
  inodes: inodeOf,
  names: none,
  refusals: pageRefusals,
  told: (tree, { inode }, { entries }) => tellsEntries(tree, { directory: inode, entries }),
  right: (before, _, request, answer) =>
    pageIsRight(before, request, answer) &&
    answer.entries.every(({ inode, mode }) => (mode & Mode.TYPE) === before.require(inode).type),
};

export const lookupNear: Rule<'lookupNear'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, { parent }) => when([!isDirectory(tree.require(parent)), Status.NOTDIR]),
  told: (tree, { parent, name }, { attr, entries }) => {
    // A directory stands behind its own name, for the `/`, and is told once.
    const others = withInodes(entries).filter((entry) => attr === null || entry.name !== name);
    const own = attr === null ? [] : [{ name, inode: attr.inode }];
    return tellsEntries(tree, { directory: parent, entries: [...own, ...others] });
  },
  right: (before, _, { parent, name, limit }, { attr, entries }) => {
    const id = before.child({ parent, name });
    if (attr === null ? id !== undefined : id !== attr.inode || !attrIsRight(before, attr)) return false;
    const most = Math.min(limit, limits.neighbours);
    return (
      areFirst(before, behind(before, parent, name), withInodes(entries), most) &&
      entries.every((entry) => attrIsRight(before, entry.attr))
    );
  },
};
