// A group's face to its state machine's service, and to whoever places groups on nodes.

import { type Configuration, type Message, MessageKind } from '../../../proto/raft/index.js';
import { type Change, type ChangeRefusal, changeRefusal, type Raft } from '../core/index.js';
import type { GroupStatus, ReplicatedGroup } from '../interface.js';
import type { Group } from './group.js';

/** What a face needs of the host that drives the group. */
export interface Driver {
  /** The disk has no room for a further log segment. */
  readonly full: boolean;
  propose(group: Group, payload: Uint8Array): number;
  readIndex(group: Group, onRead: (index: number) => void): boolean;
  change(group: Group, changes: readonly Change[]): number;
  tell(group: Group, message: Message): void;
  wake(group: Group): void;
  relieve(): void;
}

export class GroupHandle implements ReplicatedGroup {
  constructor(
    private readonly host: Driver,
    private readonly group: Group,
  ) {}

  /** To look at: only the host may change it. */
  get core(): Readonly<Raft> {
    return this.group.raft;
  }

  get status(): GroupStatus {
    const { raft, log, leads } = this.group;
    return {
      term: raft.term,
      leading: leads,
      lastIndex: raft.log.lastIndex,
      commitIndex: raft.log.committed,
      appliedIndex: raft.log.applied,
      firstIndex: log.firstIndex,
      full: this.host.full,
    };
  }

  get leader(): number {
    return this.group.raft.leader;
  }

  get members(): Configuration {
    return this.group.raft.configuration;
  }

  propose(payload: Uint8Array): number {
    return this.host.propose(this.group, payload);
  }

  acknowledging(index: number): void {
    this.group.acknowledging(index);
  }

  readIndex(onRead: (index: number) => void): boolean {
    return this.host.readIndex(this.group, onRead);
  }

  change(changes: readonly Change[]): number {
    return this.host.change(this.group, changes);
  }

  changeRefusal(changes: readonly Change[]): ChangeRefusal | null {
    return changeRefusal(this.group.raft, changes);
  }

  transfer(to: number): void {
    const { raft } = this.group;
    this.host.tell(this.group, { ...raft.message(MessageKind.TRANSFER, raft.id), from: to });
  }

  compact(index: number): void {
    this.group.cut(index);
    this.host.wake(this.group);
    this.host.relieve();
  }
}
