// The metadata: what sessions asked of a volume and were answered fits some order, and at the end every member holds a
// tree: each directory reached once, each file by as many names as it counts, a listing in order and complete.

import { partitionOf } from '../../../../node/meta/engine.js';
import { readHandlers } from '../../../../node/meta/operations/index.js';
import type { View } from '../../../../node/meta/view.js';
import { rootInode } from '../../../../proto/ids.js';
import { Mode } from '../../../../proto/meta/index.js';
import { check, fileSystem } from '../../../linearizability/index.js';
import { MapEngine } from '../map-engine.js';
import { Invariant, type Member, where } from './invariant.js';

/** Of the search for an order; a history that needs more is undecided, which is counted and never a pass. */
const STEPS = 100_000;
const PAGE = 1000;

export class FilesLinearizable extends Invariant {
  readonly name = 'what is asked of a volume is linearizable';
  override undecided = 0;

  override ends(): void {
    for (const { id, history } of this.groups.values()) {
      if (history.files.length === 0) continue;
      const model = fileSystem({ root: rootInode(id) });
      const found = check(model, history.files, { steps: STEPS, ms: Number.POSITIVE_INFINITY });
      if (found.verdict === 'unknown') this.undecided++;
      if (found.verdict !== 'illegal') continue;
      const stuck = found.operations[found.stuck];
      const what = stuck === undefined ? 'nothing' : model.describe(stuck);
      this.broken(
        `volume of group ${id}: ${what} fits nowhere behind ${found.prefixes[0]?.order.length ?? 0} operations`,
      );
    }
  }
}

interface Found {
  readonly directories: Set<number>;
  /** How many names lead to a file, and how many it says. */
  readonly names: Map<number, { count: number; nlink: number }>;
  readonly paths: string[];
}

export class WholeTree extends Invariant {
  readonly name = 'the tree has no orphan, cycle, double entry or wrong count';

  override ends(): void {
    for (const group of this.groups.values()) {
      for (const member of group.members()) {
        // A member that went before there was a volume has none.
        const { state } = member;
        if (state instanceof MapEngine && partitionOf(state) !== undefined) this.look(member, state);
      }
    }
  }

  private look(member: Member, view: MapEngine): void {
    const root = rootInode(member.group);
    const found: Found = { directories: new Set([root]), names: new Map(), paths: [] };
    this.walk(member, view, root, '', found);
    for (const [inode, { count, nlink }] of found.names) {
      if (count !== nlink) this.broken(`${where(member)}: file ${inode} has ${count} names and counts ${nlink}`);
    }
    this.list(member, view, found);
  }

  private walk(member: Member, view: View, inode: number, path: string, found: Found): void {
    const names = new Set<string>();
    let directories = 0;
    for (let after = ''; ; ) {
      const { entries, end, cursor } = readHandlers.readdir(view, { inode, after, limit: PAGE }, context(member));
      for (const { name, attr } of entries) {
        if (names.has(name)) this.broken(`${where(member)}: ${path}/${name} is there twice`);
        names.add(name);
        const directory = (attr.mode & Mode.TYPE) === Mode.DIRECTORY;
        if (!directory) {
          const known = found.names.get(attr.inode);
          found.names.set(attr.inode, { count: (known?.count ?? 0) + 1, nlink: attr.nlink });
          if ((attr.mode & Mode.TYPE) === Mode.FILE) found.paths.push(`${path}${name}`);
        } else if (found.directories.has(attr.inode)) {
          this.broken(`${where(member)}: directory ${attr.inode} is reached twice, at ${path}/${name}`);
        } else {
          found.directories.add(attr.inode);
          directories++;
          this.walk(member, view, attr.inode, `${path}${name}/`, found);
        }
      }
      if (end) break;
      after = cursor;
    }
    const { attr } = readHandlers.getattr(view, { inode }, context(member));
    if (attr.nlink === directories + 2) return;
    this.broken(`${where(member)}: directory ${path} holds ${directories} directories and counts ${attr.nlink}`);
  }

  /** The listing of all keys is in order, and has every file. */
  private list(member: Member, view: View, { paths }: Found): void {
    const request = { prefix: '', delimiter: '', marker: '', limit: PAGE };
    const { entries } = readHandlers.objectList(view, request, context(member));
    const keys = entries.map(({ key }) => key).filter((key) => !key.endsWith('/'));
    const sorted = [...paths].sort((left, right) => (left < right ? -1 : 1));
    if (keys.join('\n') !== sorted.join('\n')) {
      this.broken(`${where(member)}: listed ${keys.join(' ')}; there are ${sorted.join(' ')}`);
    }
  }
}

function context({ group }: Member) {
  return { partition: group, now: { sec: 0, nsec: 0 }, holds: () => false, blockBytes: () => null };
}
