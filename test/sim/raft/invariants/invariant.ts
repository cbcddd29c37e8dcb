// What must hold, and what there is to look at. Each invariant is a module with a name; it is told what happens as it
// happens, and reports what is wrong. Reports are collected: one wrong does not hide another.

import type { Raft } from '../../../../node/raft/core/index.js';
import type { CommittedEntry } from '../../../../node/raft/index.js';
import type { Message } from '../../../../proto/raft/index.js';
import type { DurableLog } from '../durable.js';
import type { History } from '../history.js';
import type { SimState } from '../state.js';

/** One member of one group in one life of its process. */
export interface Member {
  readonly node: number;
  readonly group: number;
  /** Which life of the node's process this is. */
  readonly life: number;
  readonly core: Readonly<Raft>;
  readonly state: SimState;
  readonly durable: DurableLog;
  /** Whether other threads of its process may read at this moment. */
  leased(): boolean;
  leaseLeftUs(): number;
}

/** All that a group is, seen from outside. */
export interface Group {
  readonly id: number;
  readonly history: History;
  /** Members whose processes live. */
  members(): Iterable<Member>;
  /** What is on the disks, also of processes that do not live. */
  durable(node: number): DurableLog | undefined;
}

export interface Read {
  readonly group: number;
  readonly session: number;
  readonly node: number;
  readonly kind: 'lease' | 'index';
  /** All that somebody knew to be done when the read was asked for. */
  readonly floor: number;
  readonly appliedIndex: number;
}

export interface Acknowledged {
  readonly group: number;
  readonly session: number;
  readonly sequence: number;
  readonly index: number;
  /** What the register held before; undefined where the answer left before the entry was applied. */
  readonly result: number | undefined;
}

export abstract class Invariant {
  abstract readonly name: string;
  /** What it could not decide within its limits. */
  undecided = 0;
  constructor(
    protected readonly groups: ReadonlyMap<number, Group>,
    private readonly onBroken: (invariant: string, what: string) => void,
  ) {}

  /** Something happened in the member's process. */
  stepped?(member: Member): void;
  /** A message leaves. */
  sends?(member: Member, message: Message): void;
  /** The member's disk says so from now on; `durable` still has what it said before. */
  stores?(node: number, group: number, durable: DurableLog, term: number, vote: number): void;
  /** An entry was applied; `first`: by anybody. `result` is what its operation answered. */
  applied?(member: Member, entry: CommittedEntry, result: number | undefined, first: boolean): void;
  /** A member begins a life with what was on its disk. */
  starts?(member: Member): void;
  /** The state machine was set to a snapshot. */
  installed?(member: Member): void;
  read?(read: Read): void;
  acknowledged?(acknowledged: Acknowledged): void;
  /** The run is over, everything is healed and at rest. */
  ends?(): void;

  protected broken(what: string): void {
    this.onBroken(this.name, what);
  }

  protected group(id: number): Group {
    return this.groups.get(id)!; // members are of groups that there are
  }
}

/** Whether a majority of both halves has what `has` asks for. */
export function quorum(
  { voters, outgoing }: { readonly voters: readonly number[]; readonly outgoing: readonly number[] },
  has: (node: number) => boolean,
): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || half.filter(has).length > half.length / 2);
}

export function where({ node, group, life, core }: Member): string {
  return `member ${node} of group ${group} (life ${life}, term ${core.term})`;
}
