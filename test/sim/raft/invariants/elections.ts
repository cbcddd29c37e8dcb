// Who leads: one member a term, elected by votes that are on disk, of a majority of each half of the configuration, and
// only with all that is committed.

import { Role } from '../../../../node/raft/core/index.js';
import type { DurableLog } from '../durable.js';
import { Invariant, type Member, quorum, where } from './invariant.js';

export class OneLeaderATerm extends Invariant {
  readonly name = 'one leader a term';
  private readonly leaders = new Map<string, number>();

  override stepped(member: Member): void {
    const { core, group, node } = member;
    if (core.role !== Role.LEADER) return;
    const key = `${group}/${core.term}`;
    const leader = this.leaders.get(key);
    if (leader === undefined) this.leaders.set(key, node);
    else if (leader !== node) this.broken(`${where(member)} leads, and so does member ${leader}`);
  }
}

/** Calls back once for each member that is seen to lead a term. */
abstract class NewLeaders extends Invariant {
  private readonly seen = new Map<Member, number>();

  override stepped(member: Member): void {
    const { core } = member;
    if (core.role !== Role.LEADER || this.seen.get(member) === core.term) return;
    this.seen.set(member, core.term);
    this.leads(member);
  }

  protected abstract leads(member: Member): void;
}

export class LeaderCompleteness extends NewLeaders {
  readonly name = 'leader completeness';

  protected leads(member: Member): void {
    const { core, group } = member;
    const { history } = this.group(group);
    for (let index = Math.max(1, core.log.firstIndex); index <= history.lastIndex; index++) {
      const done = history.at(index);
      // Who comes to lead an old term, late, need not have what later terms committed.
      if (done === undefined || done.committedIn >= core.term) return;
      if (index <= core.log.lastIndex && core.log.term(index) === done.term) continue;
      this.broken(`${where(member)} leads without entry ${index}, committed in term ${done.committedIn} or before`);
      return;
    }
  }
}

export class VotesOfAQuorum extends NewLeaders {
  readonly name = 'a leader has the votes of both majorities, on disk';
  /** By node, group and term: for whom the disk has a vote. */
  private readonly votes = new Map<string, number>();

  override stores(node: number, group: number, _durable: DurableLog, term: number, vote: number): void {
    if (vote !== 0) this.votes.set(`${node}/${group}/${term}`, vote);
  }

  protected leads(member: Member): void {
    const { core, group, node } = member;
    const voted = (id: number): boolean => this.votes.get(`${id}/${group}/${core.term}`) === node;
    if (!quorum(core.configuration, voted)) this.broken(`${where(member)} leads without the votes of a quorum`);
  }
}
