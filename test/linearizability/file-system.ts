// The file system as a model: histories in the terms of the metadata operations (proto/meta/operations.ts), from a real
// MetaClient or a simulation. An answer must name the right inode with its type, size and number of links, the right
// entries and content, or a status that applies. Nothing is said of times, owners and permissions.

import assert from 'node:assert';
import type { ByteString } from '../../proto/codec.js';
import type { Attr } from '../../proto/meta/index.js';
import { Status, statusName } from '../../proto/status.js';
import type { FileAnswer, FileHistory, FileOperation, FileRequest } from './file-operations.js';
import { type Model, UNKNOWN, type Unknown } from './history.js';
import { independentParts } from './independence.js';
import { changesNothing } from './kinds.js';
import { relations } from './relations.js';
import { type Answers, nameRefusals, type Requests, type Rule } from './rule.js';
import { rules } from './rules.js';
import { type Inode, isDirectory, linkCount, Tree } from './tree.js';

/** Refusals that the service may give for reasons of its own: nothing was done. */
const AT_WILL: ReadonlySet<Status> = new Set([Status.BUSY, Status.NO_SUCH_GROUP, Status.SESSION_ENDED, Status.NOSPC]);

export interface FileSystemOptions {
  readonly root: number;
  /** What was done before the history begins, one after the other. */
  readonly setup?: FileHistory;
}

export function fileSystem({ root, setup = [] }: FileSystemOptions): Model<Tree, FileRequest, FileAnswer> {
  let initial = Tree.rooted(root);
  for (const operation of setup) {
    const after = step(initial, operation.request, operation.answer);
    assert(after !== null && after.length === 1, `the setup cannot be: ${describe(operation)}`);
    initial = after[0]!; // one
  }
  return {
    name: 'file system',
    init: () => initial,
    step,
    changesNothing,
    hash: (tree) => tree.hash,
    equal: (left, right) => left.equals(right),
    partition: (history) => independentParts(initial, history),
    related: (part) => relations(initial, part),
    describe,
    show,
  };
}

function step(tree: Tree, { name, request }: FileRequest, answer: FileAnswer | Unknown): readonly Tree[] | null {
  // One name has one kind of request and answer.
  const rule = rules[name] as unknown as Rule<'mkdir'>;
  const asked = request as Requests['mkdir'];
  if (answer === UNKNOWN) {
    if (rule.effect === undefined || refusals(tree, rule, asked).length > 0) return [tree];
    return [rule.effect(tree, asked, 0)];
  }
  if (answer.status !== Status.OK) return refused(tree, rule, asked, answer.status);
  if (refusals(tree, rule, asked).length > 0) return null;
  const after = done(tree, rule, asked, answer.answer as Answers['mkdir']);
  return after === null ? null : [after];
}

function refusals(tree: Tree, rule: Rule<'mkdir'>, request: Requests['mkdir']): readonly Status[] {
  const badNames = rule.names(request).flatMap(({ name }) => nameRefusals(name));
  const malformed = [...badNames, ...(rule.malformed?.(request) ?? [])];
  const nodes = rule.inodes(request).map((id) => tree.get(id));
  if (!nodes.includes(undefined)) return [...malformed, ...rule.refusals(tree, request)];
  // What else may be named beside the inode that is gone: something about another.
  const others = nodes.flatMap((node) => {
    if (node === undefined) return [];
    return [isDirectory(node) ? Status.PERM : Status.NOTDIR, ...(node.names === 0 ? [Status.NOENT] : [])];
  });
  return [Status.STALE, ...malformed, ...others];
}

function refused(tree: Tree, rule: Rule<'mkdir'>, request: Requests['mkdir'], status: Status): readonly Tree[] | null {
  if (AT_WILL.has(status) || refusals(tree, rule, request).includes(status)) return [tree];
  if (status !== Status.STALE) return null;
  // An inode without a name is reclaimed some day, and from then on is no more.
  const nameless = rule.inodes(request).filter((id) => tree.get(id)?.names === 0);
  return nameless.length === 0 ? null : nameless.map((id) => tree.reclaim(id));
}

function done(tree: Tree, rule: Rule<'mkdir'>, request: Requests['mkdir'], answer: Answers['mkdir']): Tree | null {
  const told = rule.told(tree, request, answer);
  if (told === null) return null;
  let before = tree;
  for (const [id, number] of told) {
    const identified = before.identify(id, number);
    if (identified === null) return null;
    before = identified;
  }
  before = rule.shown?.(before, request, answer) ?? before;
  const made = rule.made?.(answer) ?? 0;
  if (made !== 0 && (rule.given?.(before, request, made) ?? before.knows(made))) return null;
  const after = rule.effect?.(before, request, made) ?? before;
  return rule.right(before, after, request, answer) ? after : null;
}

type Told = Partial<
  Omit<Answers['mknod'], 'attr'> & { attr: Attr | null } & { entries: { name: ByteString }[] } & Answers['append']
>;

function describe({ request: { name, request }, answer }: FileOperation): string {
  const fields = request as Partial<Record<string, unknown>>;
  const words: string[] = [name];
  if (fields.inode !== undefined) words.push(`#${short(fields.inode)}`);
  if (fields.parent !== undefined) words.push(`#${short(fields.parent)}/${fields.name}`);
  if (fields.newParent !== undefined) words.push(`#${short(fields.newParent)}/${fields.newName}`);
  if (fields.payload !== undefined) words.push(`${(fields.payload as Buffer).length} bytes at ${fields.offset}`);
  if (fields.flags !== undefined && fields.flags !== 0) words.push(fields.flags === 1 ? 'NOREPLACE' : 'EXCHANGE');
  if (fields.exclusive === true) words.push('exclusive');
  if (fields.size !== undefined && name !== 'mknod') words.push(`size ${fields.size}`);
  return `${words.join(' ')} → ${outcome(answer)}`;
}

function outcome(answer: FileAnswer | Unknown): string {
  if (answer === UNKNOWN) return '?';
  if (answer.status !== Status.OK) return statusName(answer.status);
  const told = answer.answer as Told | null;
  if (told?.entries !== undefined) {
    const near = told.attr === undefined ? [] : [told.attr === null ? 'none' : `#${short(told.attr.inode)}`, 'near'];
    return [...near, ...told.entries.map(({ name }) => name)].join(' ') || 'nothing';
  }
  if (told?.offset !== undefined) return `at ${told.offset}`;
  const { attr, created } = told ?? {};
  if (attr === undefined || attr === null) return 'OK';
  return `#${short(attr.inode)} size ${attr.size} nlink ${attr.nlink}${created === false ? ' (was there)' : ''}`;
}

/** An inode's number in its partition, as people tell them apart. */
function short(inode: unknown): number {
  return (inode as number) % 2 ** 38;
}

function show(tree: Tree): string {
  const lines: string[] = [];
  const visit = (id: number, path: ByteString): void => {
    const node = tree.require(id);
    lines.push(`${path === '' ? '/' : path}  ${inWords(id, node)}`);
    for (const name of [...node.children.keys()].sort()) visit(node.children.get(name)!, `${path}/${name}`); // its key
  };
  visit(tree.root, '');
  for (const [id, node] of tree.inodes()) if (node.names === 0) lines.push(`(no name)  ${inWords(id, node)}`);
  return lines.join('\n');
}

function inWords(id: number, node: Inode): string {
  const links = `nlink ${linkCount(node)}`;
  if (isDirectory(node)) return `#${short(id)} directory, ${links}`;
  const blobs = node.content.map(({ offset, length, blob }) => `${blob}@${offset}+${length}`);
  return `#${short(id)} size ${node.size}, ${links}${blobs.length > 0 ? `, ${blobs.join(' ')}` : ''}`;
}
