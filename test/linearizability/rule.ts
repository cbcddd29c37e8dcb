// What the model says of an operation, and what the rules of several have in common.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { type Attr, isEscaped, isPlainName, type MetaOperations, Mode } from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';
import { Status } from '../../proto/status.js';
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
  | 'lookupNear'
  | 'readdir'
  | 'readNames'
  | 'open'
  | 'chunkRead'
  | 'chunkCommit';

/** For simulations: a blob of this length is written where the file ends. */
interface Append {
  request: { inode: number; blob: number; length: number };
  /** Where it went. */
  answer: { offset: number };
}

interface WriteCommit {
  request: RequestOf<MetaOperations['writeCommit']> & { readonly payload: Buffer };
  answer: AnswerOf<MetaOperations['writeCommit']>;
}

interface Others {
  append: Append;
  writeCommit: WriteCommit;
}

export type Requests = { [K in Known]: RequestOf<MetaOperations[K]> } & { [K in keyof Others]: Others[K]['request'] };
export type Answers = { [K in Known]: AnswerOf<MetaOperations[K]> } & { [K in keyof Others]: Others[K]['answer'] };
export type OperationName = keyof Requests;

export interface Rule<K extends OperationName> {
  /** Inodes that must be there, with or without a name. */
  readonly inodes: (request: Requests[K]) => readonly number[];
  readonly names: (request: Requests[K]) => readonly Place[];
  /** Why it is not done, whatever there is. */
  readonly malformed?: (request: Requests[K]) => readonly Status[];
  /** Why it is not done, when all inodes are there and all names are possible. */
  readonly refusals: (tree: Tree, request: Requests[K]) => readonly Status[];
  /** Absent: a read. `made` is the number of the inode or blob that it makes, 0 if nobody knows. */
  readonly effect?: (tree: Tree, request: Requests[K], made: number) => Tree;
  readonly made?: (answer: Answers[K]) => number;
  /** Whether a number that was made had been given away. Absent: as one of inodes. */
  readonly given?: (tree: Tree, request: Requests[K], made: number) => boolean;
  /** Inodes whose numbers the answer tells, as they are before the effect. */
  readonly told: (
    tree: Tree,
    request: Requests[K],
    answer: Answers[K],
  ) => readonly (readonly [number, number])[] | null;
  /** The tree as it is when the answer tells which blobs some bytes are in. */
  readonly shown?: (tree: Tree, request: Requests[K], answer: Answers[K]) => Tree;
  /** Whether the answer is right, once the numbers are. */
  readonly right: (before: Tree, after: Tree, request: Requests[K], answer: Answers[K]) => boolean;
}

export function when(...conditions: readonly (readonly [boolean, Status])[]): Status[] {
  return conditions.filter(([applies]) => applies).map(([, status]) => status);
}

/** Why no name can be made in or taken from a directory. */
export function directoryRefusals(tree: Tree, id: number): Status[] {
  const node = tree.require(id);
  if (!isDirectory(node)) return [Status.NOTDIR];
  return node.names === 0 ? [Status.NOENT] : [];
}

export function nameRefusals(name: ByteString): Status[] {
  if (name.length > limits.nameBytes) return [Status.NAMETOOLONG];
  return isPlainName(name) && !isEscaped(name) ? [] : [Status.INVAL];
}

export function attrIsRight(tree: Tree, { inode, mode, size, nlink }: Attr): boolean {
  const node = tree.get(inode);
  if (node === undefined || (mode & Mode.TYPE) !== node.type || nlink !== linkCount(node)) return false;
  return isDirectory(node) || size === node.size;
}

export function tellsChild(tree: Tree, place: Place, attr: Attr): readonly (readonly [number, number])[] | null {
  const id = tree.child(place);
  return id === undefined ? null : [[id, attr.inode]];
}

export const parentOf = (request: Place): readonly number[] => [request.parent];
export const placeOf = (request: Place): readonly Place[] => [request];
export const inodeOf = ({ inode }: { inode: number }): readonly number[] => [inode];
export const none = (): readonly never[] => [];

export function fileRefusals(tree: Tree, id: number): Status[] {
  const node = tree.require(id);
  return when([isDirectory(node), Status.ISDIR], [!isDirectory(node) && node.type !== Mode.FILE, Status.INVAL]);
}
