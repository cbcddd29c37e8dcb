// What each operation of the file system does to a tree, and when it is refused. A refusal is named by the status that
// the service's client sees; where several apply the service may name any of them.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import {
  type Attr,
  isEscaped,
  isPlainName,
  type MetaOperations,
  Mode,
  RenameFlag,
  SetAttr,
} from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';
import { Status } from '../../proto/status.js';
import { contentOf, cut, overwrite, sameContent } from './content.js';
import { isDirectory, linkCount, type Place, type Tree } from './tree.js';

/** Operations of the metadata service that the model knows. */
type Known =
  | 'lookup'
  | 'getattr'
  | 'setattr'
  | 'mknod'
  | 'mkdir'
  | 'symlink'
  | 'unlink'
  | 'rmdir'
  | 'rename'
  | 'link'
  | 'readdir'
  | 'open'
  | 'chunkRead'
  | 'chunkCommit';

/** For simulations: a blob of this length is written where the file ends. */
interface Append {
  request: { inode: number; blob: number; length: number };
  /** Where it went. */
  answer: { offset: number };
}

export type Requests = { [K in Known]: RequestOf<MetaOperations[K]> } & { append: Append['request'] };
export type Answers = { [K in Known]: AnswerOf<MetaOperations[K]> } & { append: Append['answer'] };
export type OperationName = keyof Requests;

export interface Rule<K extends OperationName> {
  /** Inodes that must be there, with or without a name. */
  readonly inodes: (request: Requests[K]) => readonly number[];
  readonly names: (request: Requests[K]) => readonly Place[];
  /** Why it is not done, when all inodes are there and all names are possible. */
  readonly refusals: (tree: Tree, request: Requests[K]) => readonly Status[];
  /** Absent: a read. `made` is the number of what it makes, 0 if nobody knows. */
  readonly effect?: (tree: Tree, request: Requests[K], made: number) => Tree;
  readonly made?: (answer: Answers[K]) => number;
  /** Inodes whose numbers the answer tells, as they are before the effect. */
  readonly told: (
    tree: Tree,
    request: Requests[K],
    answer: Answers[K],
  ) => readonly (readonly [number, number])[] | null;
  /** Whether the answer is right, once the numbers are. */
  readonly right: (before: Tree, after: Tree, request: Requests[K], answer: Answers[K]) => boolean;
}

function when(...conditions: readonly (readonly [boolean, Status])[]): Status[] {
  return conditions.filter(([applies]) => applies).map(([, status]) => status);
}

/** Why no name can be made in or taken from a directory. */
function directoryRefusals(tree: Tree, id: number): Status[] {
  const node = tree.require(id);
  if (!isDirectory(node)) return [Status.NOTDIR];
  return node.names === 0 ? [Status.NOENT] : [];
}

export function nameRefusals(name: ByteString): Status[] {
  if (name.length > limits.nameBytes) return [Status.NAMETOOLONG];
  return isPlainName(name) && !isEscaped(name) ? [] : [Status.INVAL];
}

function attrIsRight(tree: Tree, { inode, mode, size, nlink }: Attr): boolean {
  const node = tree.get(inode);
  if (node === undefined || (mode & Mode.TYPE) !== node.type || nlink !== linkCount(node)) return false;
  return isDirectory(node) || size === node.size;
}

function tellsChild(tree: Tree, place: Place, attr: Attr): readonly (readonly [number, number])[] | null {
  const id = tree.child(place);
  return id === undefined ? null : [[id, attr.inode]];
}

const parentOf = (request: Place): readonly number[] => [request.parent];
const placeOf = (request: Place): readonly Place[] => [request];
const inodeOf = ({ inode }: { inode: number }): readonly number[] => [inode];
const none = (): readonly never[] => [];

function making<K extends 'mkdir' | 'symlink'>(
  made: (request: Requests[K]) => { type: number; size: number },
): Rule<K> {
  return {
    inodes: parentOf,
    names: placeOf,
    refusals: (tree, request) => [
      ...directoryRefusals(tree, request.parent),
      ...when([tree.child(request) !== undefined, Status.EXIST]),
    ],
    effect: (tree, request, number) => tree.make(request, number, made(request)),
    made: ({ attr }) => attr.inode,
    told: none,
    right: (_, after, request, { attr }) => after.child(request) === attr.inode && attrIsRight(after, attr),
  };
}

const mknod: Rule<'mknod'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const type = request.mode & Mode.TYPE;
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [type === Mode.DIRECTORY || type === Mode.SYMLINK, Status.INVAL],
        [request.exclusive && tree.child(request) !== undefined, Status.EXIST],
      ),
    ];
  },
  effect: (tree, request, number) => {
    if (tree.child(request) !== undefined) return tree;
    const type = request.mode & Mode.TYPE;
    return tree.make(request, number, { type: type === 0 ? Mode.FILE : type, size: 0 });
  },
  made: ({ attr, created }) => (created ? attr.inode : 0),
  told: (tree, request, { attr, created }) => (created ? [] : tellsChild(tree, request, attr)),
  right: (before, after, request, { attr, created }) =>
    created === (before.child(request) === undefined) &&
    after.child(request) === attr.inode &&
    attrIsRight(after, attr),
};

const lookup: Rule<'lookup'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) =>
    isDirectory(tree.require(request.parent))
      ? when([tree.child(request) === undefined, Status.NOENT])
      : [Status.NOTDIR],
  told: (tree, request, { attr }) => tellsChild(tree, request, attr),
  right: (before, _, __, { attr }) => attrIsRight(before, attr),
};

const getattr: Rule<'getattr'> = {
  inodes: inodeOf,
  names: none,
  refusals: none,
  told: none,
  right: (before, _, { inode }, { attr }) => attr.inode === inode && attrIsRight(before, attr),
};

function fileRefusals(tree: Tree, id: number): Status[] {
  const node = tree.require(id);
  return when([isDirectory(node), Status.ISDIR], [!isDirectory(node) && node.type !== Mode.FILE, Status.INVAL]);
}

const setattr: Rule<'setattr'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, valid, size }) =>
    (valid & SetAttr.SIZE) === 0 ? [] : [...fileRefusals(tree, inode), ...when([size > limits.fileBytes, Status.FBIG])],
  effect: (tree, { inode, valid, size }) =>
    (valid & SetAttr.SIZE) === 0 ? tree : tree.write(inode, cut(tree.require(inode).content, 0, size), size),
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

const unlink: Rule<'unlink'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const id = tree.child(request);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when([id === undefined, Status.NOENT], [id !== undefined && isDirectory(tree.require(id)), Status.ISDIR]),
    ];
  },
  effect: (tree, request) => tree.unname(request),
  told: (tree, request, { attr }) => tellsChild(tree, request, attr),
  right: (_, after, __, { attr }) => attrIsRight(after, attr),
};

const rmdir: Rule<'rmdir'> = {
  inodes: parentOf,
  names: placeOf,
  refusals: (tree, request) => {
    const id = tree.child(request);
    const node = id === undefined ? undefined : tree.require(id);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [node === undefined, Status.NOENT],
        [node !== undefined && !isDirectory(node), Status.NOTDIR],
        [node !== undefined && node.children.size > 0, Status.NOTEMPTY],
      ),
    ];
  },
  effect: (tree, request) => tree.unname(request),
  told: (tree, request, { inode }) => {
    const id = tree.child(request);
    return id === undefined ? null : [[id, inode]];
  },
  right: () => true,
};

const link: Rule<'link'> = {
  inodes: ({ inode, parent }) => [inode, parent],
  names: placeOf,
  refusals: (tree, request) => {
    const node = tree.require(request.inode);
    return [
      ...directoryRefusals(tree, request.parent),
      ...when(
        [isDirectory(node), Status.PERM],
        [node.names === 0, Status.NOENT],
        [node.names >= limits.hardLinks, Status.MLINK],
        [tree.child(request) !== undefined, Status.EXIST],
      ),
    ];
  },
  effect: (tree, request) => tree.name(request, request.inode),
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

function targetOf({ newParent, newName }: Requests['rename']): Place {
  return { parent: newParent, name: newName };
}

/** Why an inode cannot take the place of another, which goes. */
function replaceRefusals(tree: Tree, id: number, old: number): Status[] {
  const node = tree.require(id);
  const replaced = tree.require(old);
  if (!isDirectory(node)) return when([isDirectory(replaced), Status.ISDIR]);
  return when([!isDirectory(replaced), Status.NOTDIR], [replaced.children.size > 0, Status.NOTEMPTY]);
}

function isBelowItself(tree: Tree, id: number, directory: number): boolean {
  return isDirectory(tree.require(id)) && tree.isWithin(directory, id);
}

const rename: Rule<'rename'> = {
  inodes: ({ parent, newParent }) => [parent, newParent],
  names: (request) => [request, targetOf(request)],
  refusals: (tree, request) => {
    const { parent, newParent, flags } = request;
    const { NOREPLACE, EXCHANGE } = RenameFlag;
    const found = [...directoryRefusals(tree, parent), ...directoryRefusals(tree, newParent)];
    if (flags > EXCHANGE) found.push(Status.INVAL);
    const id = tree.child(request);
    const old = tree.child(targetOf(request));
    if (id === undefined) found.push(Status.NOENT);
    if (old !== undefined && (flags & NOREPLACE) !== 0) found.push(Status.EXIST);
    if (old === undefined && (flags & EXCHANGE) !== 0) found.push(Status.NOENT);
    if (id === undefined || id === old || found.length > 0) return found;
    if (isBelowItself(tree, id, newParent)) found.push(Status.INVAL);
    if (old === undefined) return found;
    if (flags !== EXCHANGE) found.push(...replaceRefusals(tree, id, old));
    else if (isBelowItself(tree, old, parent)) found.push(Status.INVAL);
    return found;
  },
  effect: (tree, request) => {
    const target = targetOf(request);
    const old = tree.child(target);
    if (old === tree.child(request)) return tree;
    if (request.flags === RenameFlag.EXCHANGE) return tree.exchange(request, target);
    return (old === undefined ? tree : tree.unname(target)).move(request, target);
  },
  told: (tree, request, { attr, replaced }) => {
    const id = tree.child(request);
    const old = tree.child(targetOf(request));
    if (id === undefined) return null;
    return old === undefined || replaced === 0
      ? [[id, attr.inode]]
      : [
          [id, attr.inode],
          [old, replaced],
        ];
  },
  right: (before, after, request, { attr, replaced }) => {
    const old = before.child(targetOf(request)) ?? 0;
    const goes = request.flags !== RenameFlag.EXCHANGE && old !== before.child(request);
    return attrIsRight(after, attr) && replaced === (goes ? old : 0);
  },
};

/** As entries are ordered: by name, with `/` behind that of a directory. */
function placedName(tree: Tree, name: ByteString, id: number): ByteString {
  return isDirectory(tree.require(id)) ? `${name}/` : name;
}

const readdir: Rule<'readdir'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, limit }) =>
    when([!isDirectory(tree.require(inode)), Status.NOTDIR], [limit === 0, Status.INVAL]),
  told: (tree, { inode }, { entries }) => {
    const told: (readonly [number, number])[] = [];
    for (const { name, attr } of entries) {
      const id = tree.child({ parent: inode, name });
      if (id === undefined) return null;
      told.push([id, attr.inode]);
    }
    return told;
  },
  right: (before, _, { inode, after, limit }, { entries, end, cursor }) => {
    const placed: (readonly [ByteString, number])[] = [];
    for (const [name, id] of before.require(inode).children) {
      const key = placedName(before, name, id);
      if (key > after) placed.push([key, id]);
    }
    placed.sort(([a], [b]) => (a < b ? -1 : 1));
    if (entries.length > limit || end !== (entries.length === placed.length)) return false;
    if (entries.length === 0 && placed.length > 0) return false;
    const last = entries.length === 0 ? after : placed[entries.length - 1]?.[0];
    return (
      cursor === last &&
      entries.every(({ name, attr }, at) => {
        const [key, id] = placed[at] ?? ['', 0];
        return id === attr.inode && key === placedName(before, name, id) && attrIsRight(before, attr);
      })
    );
  },
};

type Read = Answers['chunkRead'];

function contentIsRight(tree: Tree, { attr, chunks }: Read, range: { first: number; count: number }): boolean {
  const { content, size } = tree.require(attr.inode);
  const start = range.first * limits.chunkBytes;
  const end = Math.min(size, start + range.count * limits.chunkBytes);
  return attrIsRight(tree, attr) && sameContent(contentOf(chunks, size), cut(content, start, end));
}

const open: Rule<'open'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, held }) => when([!held && tree.require(inode).names === 0, Status.STALE]),
  told: none,
  right: (before, _, { inode }, answer) =>
    answer.attr.inode === inode && contentIsRight(before, answer, { first: 0, count: limits.chunksPerRead }),
};

const chunkRead: Rule<'chunkRead'> = {
  inodes: inodeOf,
  names: none,
  refusals: (_, { count }) => when([count > limits.chunksPerRead, Status.INVAL]),
  told: none,
  right: (before, _, { inode, first, count }, answer) =>
    answer.attr.inode === inode && contentIsRight(before, answer, { first, count }),
};

const chunkCommit: Rule<'chunkCommit'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, size }) => [...fileRefusals(tree, inode), ...when([size > limits.fileBytes, Status.FBIG])],
  effect: (tree, { inode, chunks, size }) => {
    const node = tree.require(inode);
    const grown = Math.max(node.size, size);
    return tree.write(inode, overwrite(node.content, contentOf(chunks, grown)), grown);
  },
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

const append: Rule<'append'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode }) => fileRefusals(tree, inode),
  effect: (tree, { inode, blob, length }) => {
    const { content, size } = tree.require(inode);
    return tree.write(inode, overwrite(content, [{ offset: size, length, blob, blobOffset: 0 }]), size + length);
  },
  told: none,
  right: (before, _, { inode }, { offset }) => offset === before.require(inode).size,
};

export const rules: { readonly [K in OperationName]: Rule<K> } = {
  lookup,
  getattr,
  setattr,
  mknod,
  mkdir: making<'mkdir'>(() => ({ type: Mode.DIRECTORY, size: 0 })),
  symlink: making<'symlink'>(({ target }) => ({ type: Mode.SYMLINK, size: target.length })),
  unlink,
  rmdir,
  rename,
  link,
  readdir,
  open,
  chunkRead,
  chunkCommit,
  append,
};
