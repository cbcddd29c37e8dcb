// Which operations of a file system's history may depend on each other, told from requests and answers alone. Each has
// cells: places (a name in a directory), inodes, directories as a whole, their numbers of links, and the shape of the
// tree. Two are related that share one and do not both only read. What a name may stand for at some time: the inodes
// that were ever told of it, or of a place that a chain of renames joins to it.

import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import type { FileHistory, FileOperation } from './file-operations.js';
import { UNKNOWN } from './history.js';
import { changesNothing, mayMoveDirectory } from './kinds.js';
import { listingOf } from './listings.js';
import type { Answers, OperationName, Requests } from './rule.js';
import { rules } from './rules.js';
import { Sets } from './sets.js';
import type { Place, Tree } from './tree.js';

interface Cells {
  readonly reads: boolean;
  readonly places: ReadonlySet<string>;
  readonly inodes: ReadonlySet<number>;
  /** Inodes in which it names a place; what matters of them is that they are there. */
  readonly parents: ReadonlySet<number>;
  /** Inodes that it lists, takes a name from, or finds gone. */
  readonly wholes: ReadonlySet<number>;
  /** Directories that may get one link more or less. */
  readonly linked: ReadonlySet<number>;
  /** May move a directory, which decides and depends on what lies above what. */
  readonly moves: boolean;
}

const WHOLE: ReadonlySet<OperationName> = new Set(['readdir', 'readNames', 'unlink', 'rmdir', 'rename']);
const NONE: ReadonlySet<never> = new Set();

export function relations(initial: Tree, history: FileHistory): (left: number, right: number) => boolean {
  const places = new Places(initial, history);
  const cells = history.map((operation) => cellsOf(places, operation));
  return (left, right) => related(cells[left]!, cells[right]!); // places in the history
}

function related(left: Cells, right: Cells): boolean {
  if (left.reads && right.reads) return false;
  if (left.moves && right.moves) return true;
  if (meet(left.places, right.places) || meet(left.inodes, right.inodes)) return true;
  return (
    meet(left.wholes, right.parents) ||
    meet(left.parents, right.wholes) ||
    meet(left.linked, right.inodes) ||
    meet(left.inodes, right.linked)
  );
}

function meet<T>(left: ReadonlySet<T>, right: ReadonlySet<T>): boolean {
  if (left.size > right.size) return meet(right, left);
  for (const one of left) if (right.has(one)) return true;
  return false;
}

function cellsOf(places: Places, operation: FileOperation): Cells {
  const { request, answer } = operation;
  const { name } = request;
  const asked = placesOf(name, request.request);
  const listing = listingOf(operation);
  const inodes = new Set<number>([...toldInodes(answer), ...(listing?.entries ?? []).map(({ inode }) => inode)]);
  const { inode } = request.request as Partial<Requests['getattr']>;
  if (inode !== undefined) inodes.add(inode);
  for (const place of asked) for (const id of places.inodesAt(place)) inodes.add(id);
  const parents = new Set(asked.map(({ parent }) => parent));
  const moves = mayMoveDirectory(operation);
  const foundGone = answer !== UNKNOWN && answer.status === Status.STALE;
  return {
    reads: changesNothing(request, answer),
    places: new Set(asked.map(keyOf)),
    inodes,
    parents,
    wholes: foundGone ? new Set([...inodes, ...parents]) : wholesOf(name, inodes, parents),
    linked: name === 'mkdir' || name === 'rmdir' || moves ? parents : NONE,
    moves,
  };
}

function wholesOf(name: OperationName, inodes: ReadonlySet<number>, parents: ReadonlySet<number>): ReadonlySet<number> {
  if (name === 'lookupNear') return parents;
  return WHOLE.has(name) ? inodes : NONE;
}

function placesOf(name: OperationName, request: object): readonly Place[] {
  // One name has one kind of request.
  return (rules[name].names as (asked: object) => readonly Place[])(request);
}

function toldInodes(answer: FileOperation['answer']): number[] {
  if (answer === UNKNOWN || answer.answer === null) return [];
  const told = answer.answer as Partial<Answers['rename'] & Answers['rmdir']>;
  const ids = [told.attr?.inode, told.inode, told.replaced];
  return ids.filter((id): id is number => id !== undefined && id !== 0);
}

function keyOf({ parent, name }: Place): string {
  return `${parent}/${name.slice(0, limits.nameBytes + 1)}`;
}

/** Which inodes each place may have had. */
class Places {
  private readonly ids = new Map<string, number>();
  private readonly joined = new Sets();
  private readonly inodes = new Map<number, Set<number>>();

  constructor(initial: Tree, history: FileHistory) {
    for (const { request } of history) {
      if (request.name !== 'rename') continue;
      const [source, target] = placesOf(request.name, request.request);
      this.joined.join(this.idOf(source!), this.idOf(target!)); // it has two
    }
    for (const [parent, { children }] of initial.inodes())
      for (const [name, id] of children) this.add({ parent, name }, id);
    for (const operation of history) {
      const { request, answer } = operation;
      const told = toldInodes(answer);
      if (request.name === 'link') told.push(request.request.inode);
      for (const place of placesOf(request.name, request.request)) for (const id of told) this.add(place, id);
      const listing = listingOf(operation);
      if (listing === undefined) continue;
      for (const { name, inode } of listing.entries) this.add({ parent: listing.directory, name }, inode);
    }
  }

  inodesAt(place: Place): Iterable<number> {
    return this.inodes.get(this.joined.find(this.idOf(place))) ?? [];
  }

  private idOf(place: Place): number {
    const key = keyOf(place);
    let id = this.ids.get(key);
    if (id === undefined) {
      id = this.ids.size + 1;
      this.ids.set(key, id);
    }
    return id;
  }

  private add(place: Place, inode: number): void {
    const set = this.joined.find(this.idOf(place));
    const inodes = this.inodes.get(set);
    if (inodes === undefined) this.inodes.set(set, new Set([inode]));
    else inodes.add(inode);
  }
}
