// All that is watched. The order is that of the tables.

import type { CommittedEntry } from '../../../../node/raft/index.js';
import type { Message } from '../../../../proto/raft/index.js';
import { ASSERTION, PROGRESS, Reports } from '../../shell/reports.js';
import type { Broken } from '../../shell/simulation.js';
import type { DurableLog } from '../durable.js';
import { LeaderCompleteness, OneLeaderATerm, VotesOfAQuorum } from './elections.js';
import { FilesLinearizable, WholeTree } from './files.js';
import type { Acknowledged, Group, Invariant, Member, Read } from './invariant.js';
import { CommitsOwnTerm, EntriesOnAQuorum, LogMatching, NeverBack, StateMachineSafety } from './logs.js';
import { AnswersHold, BoundedQueues, ExclusiveLeases, IndexReads, LeaseReads, LeasesRest } from './service.js';
import {
  AppliedOnDisk,
  ConfigurationsFollowTheLog,
  EntriesOnDisk,
  EqualStates,
  NothingLost,
  VotesOnDisk,
  WholeSnapshots,
} from './stores.js';

export { ASSERTION, PROGRESS } from '../../shell/reports.js';
export type { Acknowledged, Group, Member, Read } from './invariant.js';

const modules = [
  OneLeaderATerm,
  VotesOfAQuorum,
  LeaderCompleteness,
  LogMatching,
  StateMachineSafety,
  EntriesOnAQuorum,
  CommitsOwnTerm,
  NeverBack,
  VotesOnDisk,
  EntriesOnDisk,
  AppliedOnDisk,
  NothingLost,
  EqualStates,
  WholeSnapshots,
  ConfigurationsFollowTheLog,
  LeaseReads,
  IndexReads,
  ExclusiveLeases,
  LeasesRest,
  AnswersHold,
  BoundedQueues,
  FilesLinearizable,
  WholeTree,
] as const;

export const invariantNames: readonly string[] = [
  ...modules.map((Module) => new Module(new Map(), () => undefined).name),
  ASSERTION,
  PROGRESS,
];

export class Invariants {
  readonly report: Reports['report'];
  readonly broken: readonly Broken[];
  private readonly all: readonly Invariant[];
  private readonly stepping: readonly Invariant[];
  private readonly sending: readonly Invariant[];
  private readonly applying: readonly Invariant[];

  constructor(groups: ReadonlyMap<number, Group>, nowUs: () => number) {
    const { report, broken } = new Reports(nowUs);
    this.report = report;
    this.broken = broken;
    this.all = modules.map((Module) => new Module(groups, report));
    this.stepping = this.all.filter(({ stepped }) => stepped !== undefined);
    this.sending = this.all.filter(({ sends }) => sends !== undefined);
    this.applying = this.all.filter(({ applied }) => applied !== undefined);
  }

  stepped(member: Member): void {
    for (const invariant of this.stepping) invariant.stepped?.(member);
  }

  sends(member: Member, message: Message): void {
    for (const invariant of this.sending) invariant.sends?.(member, message);
  }

  stores(node: number, group: number, durable: DurableLog, term: number, vote: number): void {
    for (const invariant of this.all) invariant.stores?.(node, group, durable, term, vote);
  }

  applied(member: Member, entry: CommittedEntry, result: number | undefined, first: boolean): void {
    for (const invariant of this.applying) invariant.applied?.(member, entry, result, first);
  }

  starts(member: Member): void {
    for (const invariant of this.all) invariant.starts?.(member);
  }

  installed(member: Member): void {
    for (const invariant of this.all) invariant.installed?.(member);
  }

  read(read: Read): void {
    for (const invariant of this.all) invariant.read?.(read);
  }

  acknowledged(acknowledged: Acknowledged): void {
    for (const invariant of this.all) invariant.acknowledged?.(acknowledged);
  }

  get undecided(): number {
    return this.all.reduce((sum, { undecided }) => sum + undecided, 0);
  }

  ends(): void {
    for (const invariant of this.all) invariant.ends?.();
  }
}
