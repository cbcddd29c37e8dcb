// Parts of a file system's history that have nothing to do with each other: each touches inodes of its own, and the
// state of the whole is the states of the parts side by side, so the history is linearizable if and only if every part
// is. What an operation touches, beyond the inodes that request and answer name:
//   - what a name in the request stands for. It stood there at first, or was put there by an operation that names the
//     directory and the inode (or whose answer nobody heard; the inode is then named when somebody first meets it, by an
//     operation on a directory that a chain of renames joins to the first).
//   - for a rename that may move a directory, all directories above its target. Above a directory lies the one that it
//     stood in at first, or that an operation which names both has put it into.
// Reads without an answer say nothing, and are left out.

import type { FileHistory, FileOperation } from './file-operations.js';
import { UNKNOWN } from './history.js';
import { mayMoveDirectory } from './kinds.js';
import { listingOf } from './listings.js';
import type { Answers, Requests } from './rule.js';
import { rules } from './rules.js';
import { Sets } from './sets.js';
import type { Tree } from './tree.js';

export function independentParts(initial: Tree, history: FileHistory): FileOperation[][] {
  const sets = new Sets();
  const telling = history.filter(
    ({ request, answer }) => answer !== UNKNOWN || rules[request.name].effect !== undefined,
  );
  if (telling.some(mayMoveDirectory)) {
    for (const [id, { children }] of initial.inodes()) for (const child of children.values()) sets.join(id, child);
  }
  for (const operation of telling) {
    const [first, ...rest] = touched(initial, operation);
    for (const other of rest) sets.join(first!, other); // there are others
  }
  const parts = new Map<number, FileOperation[]>();
  for (const operation of telling) {
    const part = sets.find(touched(initial, operation)[0]!); // every operation names an inode
    const list = parts.get(part);
    if (list === undefined) parts.set(part, [operation]);
    else list.push(operation);
  }
  return [...parts.values()];
}

function touched(initial: Tree, operation: FileOperation): number[] {
  const {
    request: { name, request },
    answer,
  } = operation;
  const { inode, parent, newParent } = request as Partial<Requests['rename'] & Requests['link']>;
  const ids = [inode, parent, newParent];
  // One name has one kind of request.
  const places = rules[name].names as (asked: typeof request) => readonly { parent: number; name: string }[];
  for (const place of places(request)) ids.push(initial.child(place));
  if (answer !== UNKNOWN && answer.answer !== null) {
    const told = answer.answer as Partial<Answers['rename'] & Answers['rmdir']>;
    ids.push(told.attr?.inode, told.inode, told.replaced === 0 ? undefined : told.replaced);
  }
  for (const { inode: listed } of listingOf(operation)?.entries ?? []) ids.push(listed);
  return ids.filter((id) => id !== undefined);
}
