// What a node asks of the run that it is part of (universe.ts).

import type { CommittedEntry, TransportReceiver } from '../../../node/raft/index.js';
import type { Configuration } from '../../../proto/raft/index.js';
import type { Random } from '../random.js';
import type { World } from '../world.js';
import type { Group, Invariants, Member } from './invariants/index.js';
import type { Options } from './options.js';

/** A node, of which the run knows more. */
export interface SomeNode {
  readonly id: number;
}

/** Of a group by somebody who was told nothing. */
export const UNKNOWN: Configuration = { voters: [], outgoing: [], learners: [], learnersNext: [] };

/** The run that a node is part of. */
export interface NodeOwner {
  readonly world: World;
  readonly options: Options;
  readonly random: Random;
  readonly groups: ReadonlyMap<number, Group>;
  readonly invariants: Invariants;
  /** How likely a process ends at each write and send. */
  readonly crashAtIo: number;
  tell(node: SomeNode | undefined, what: string): void;
  say(node: SomeNode | undefined, what: string): void;
  crash(node: SomeNode, machine: boolean): void;
  send(source: number, target: number, tricky: boolean, deliver: (receiver: TransportReceiver) => void): void;
  applied(member: Member, entry: CommittedEntry, result: number | undefined): void;
  mayLose(node: SomeNode): boolean;
  seeConfiguration(member: Member): void;
  /** The state machine was set to a snapshot. */
  installed(member: Member): void;
  replace(lost: SomeNode): void;
}
