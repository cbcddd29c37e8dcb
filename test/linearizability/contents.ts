// The rules of operations on a file's content.

import { crc32 } from 'node:zlib';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import { type Content, contentOf, cut, freshBlob, identified, overwrite, sameContent } from './content.js';
import { type Answers, attrIsRight, fileRefusals, inodeOf, none, type Requests, type Rule, when } from './rule.js';
import type { Tree } from './tree.js';

interface Window {
  readonly first: number;
  readonly count: number;
}

type Read = Answers['chunkRead'];

function windowOf(tree: Tree, inode: number, { first, count }: Window): { start: number; end: number } {
  const start = first * limits.chunkBytes;
  return { start, end: Math.min(tree.require(inode).size, start + count * limits.chunkBytes) };
}

function contentIsRight(tree: Tree, { attr, chunks }: Read, window: Window): boolean {
  const { content, size } = tree.require(attr.inode);
  const { start, end } = windowOf(tree, attr.inode, window);
  return attrIsRight(tree, attr) && sameContent(contentOf(chunks, size), cut(content, start, end));
}

function withBlobs(tree: Tree, inode: number, { chunks }: Read, window: Window): Tree {
  const { content, size } = tree.require(inode);
  const { start, end } = windowOf(tree, inode, window);
  const known = identified(content, cut(content, start, end), contentOf(chunks, size));
  return known === content ? tree : tree.write(inode, known, size);
}

const FIRST_CHUNKS: Window = { first: 0, count: limits.chunksPerRead };

export const open: Rule<'open'> = {
  inodes: inodeOf,
  names: none,
  refusals: (tree, { inode, held }) => when([!held && tree.require(inode).names === 0, Status.STALE]),
  told: none,
  shown: (tree, { inode }, answer) => withBlobs(tree, inode, answer, FIRST_CHUNKS),
  right: (before, _, { inode }, answer) => answer.attr.inode === inode && contentIsRight(before, answer, FIRST_CHUNKS),
};

export const chunkRead: Rule<'chunkRead'> = {
  inodes: inodeOf,
  names: none,
  refusals: (_, { count }) => when([count > limits.chunksPerRead, Status.INVAL]),
  told: none,
  shown: (tree, request, answer) => withBlobs(tree, request.inode, answer, request),
  right: (before, _, request, answer) => answer.attr.inode === request.inode && contentIsRight(before, answer, request),
};

export const chunkCommit: Rule<'chunkCommit'> = {
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

/** What it writes; `blob` is 0 when nobody has told where the bytes lie. */
function writtenBy({ offset, payload: { length } }: Requests['writeCommit'], blob: number, content: Content): Content {
  return [{ offset, length, blob: blob === 0 ? freshBlob(content) : blob, blobOffset: 0 }];
}

export const writeCommit: Rule<'writeCommit'> = {
  inodes: inodeOf,
  names: none,
  malformed: ({ offset, payload, crc }) =>
    when(
      [payload.length === 0 || payload.length > limits.inlineBytes, Status.INVAL],
      [(offset % limits.chunkBytes) + payload.length > limits.chunkBytes, Status.INVAL],
      [crc32(payload) !== crc, Status.CORRUPT],
    ),
  refusals: (tree, { inode, offset, size, payload }) => [
    ...fileRefusals(tree, inode),
    ...when(
      [size > limits.fileBytes, Status.FBIG],
      [offset + payload.length > Math.max(size, tree.require(inode).size), Status.INVAL],
    ),
  ],
  effect: (tree, request, blob) => {
    const { content, size } = tree.require(request.inode);
    const written = overwrite(content, writtenBy(request, blob, content));
    return tree.write(request.inode, written, Math.max(size, request.size));
  },
  // Of a retry it is known that it was done, not where.
  made: ({ blob }) => blob,
  given: (tree, { inode }, made) => tree.require(inode).content.some(({ blob }) => blob === made),
  told: none,
  right: (_, after, { inode }, { attr }) => attr.inode === inode && attrIsRight(after, attr),
};

export const append: Rule<'append'> = {
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
