// What logs hold: equal entries have equal histories, an entry once committed is the only one of its index, and counts
// only as far as it is on disks.

import { Role } from '../../../../node/raft/core/index.js';
import type { CommittedEntry } from '../../../../node/raft/index.js';
import { Invariant, type Member, quorum, where } from './invariant.js';

/** Terms of a log as they were last looked at. */
class Seen {
  terms: number[] = [];
  first = 1;

  term(index: number): number {
    return this.terms[index - this.first] ?? 0;
  }
}

export class LogMatching extends Invariant {
  readonly name = 'log matching';
  private readonly seen = new Map<Member, Seen>();
  /** By group, index and term: the term of the entry before. */
  private readonly before = new Map<string, number>();

  override stepped(member: Member): void {
    const { core } = member;
    let seen = this.seen.get(member);
    if (seen === undefined) {
      seen = new Seen();
      this.seen.set(member, seen);
    }
    const { log } = core;
    const { firstIndex, lastIndex } = log;
    if (lastIndex - seen.first > 2000 || lastIndex < seen.first) {
      seen.first = Math.max(firstIndex, lastIndex - 1000);
      seen.terms = [];
    }
    const lowest = Math.max(firstIndex, seen.first);
    seen.terms.length = Math.min(seen.terms.length, Math.max(0, lastIndex - seen.first + 1));
    for (let index = lastIndex; index >= lowest; index--) {
      const term = log.term(index);
      if (seen.term(index) === term) break;
      seen.terms[index - seen.first] = term;
      this.look(member, index, term, log.term(index - 1));
    }
  }

  private look(member: Member, index: number, term: number, termBefore: number): void {
    const key = `${member.group}/${index}/${term}`;
    const known = this.before.get(key);
    if (known === undefined) this.before.set(key, termBefore);
    else if (known !== termBefore) {
      this.broken(
        `${where(member)}: entry ${index} of term ${term} follows one of term ${termBefore}, elsewhere ${known}`,
      );
    }
  }
}

export class StateMachineSafety extends Invariant {
  readonly name = 'state machine safety';
  private readonly next = new Map<Member, number>();

  override starts(member: Member): void {
    this.next.set(member, member.state.index + 1);
  }

  override installed(member: Member): void {
    this.next.set(member, member.state.index + 1);
  }

  override applied(member: Member, entry: CommittedEntry): void {
    const { index, term, payload } = entry;
    const due = this.next.get(member);
    if (due !== index) this.broken(`${where(member)} applies entry ${index}, due is ${due}`);
    this.next.set(member, index + 1);
    const done = this.group(member.group).history.at(index);
    if (done === undefined) return;
    if (done.term !== term || !done.payload.equals(payload)) {
      this.broken(
        `${where(member)} applies entry ${index} of term ${term}, elsewhere it is another, of term ${done.term}`,
      );
    }
  }
}

/** Watches what leaders commit. */
abstract class Commits extends Invariant {
  private readonly known = new Map<Member, number>();

  override stepped(member: Member): void {
    const { core } = member;
    const before = this.known.get(member) ?? 0;
    const { committed } = core.log;
    if (committed === before) return;
    this.known.set(member, committed);
    if (core.role === Role.LEADER && committed > before) this.commits(member, committed);
  }

  protected abstract commits(member: Member, index: number): void;
}

export class EntriesOnAQuorum extends Commits {
  readonly name = 'a committed entry is on disks of both majorities';

  protected commits(member: Member, index: number): void {
    const { core, group } = member;
    if (index < core.log.firstIndex || index < core.termStart) return;
    const term = core.log.term(index);
    const holds = (node: number): boolean => this.group(group).durable(node)?.holds(index, term) ?? false;
    if (!quorum(core.configuration, holds))
      this.broken(`${where(member)} commits entry ${index}, which is not on a quorum`);
  }
}

export class CommitsOwnTerm extends Commits {
  readonly name = 'a leader counts entries of its own term only';
  private readonly roles = new Map<Member, number>();

  override stepped(member: Member): void {
    super.stepped(member);
    this.roles.set(member, member.core.role);
  }

  protected commits(member: Member, index: number): void {
    const { core } = member;
    // What a member learned in the step before it came to lead was committed by another.
    if (this.roles.get(member) !== Role.LEADER || index < core.log.firstIndex) return;
    const term = core.log.term(index);
    if (term !== core.term) this.broken(`${where(member)} commits entry ${index} of term ${term} by counting`);
  }
}

export class NeverBack extends Invariant {
  readonly name = 'terms, votes and commits never go back';
  private readonly commits = new Map<Member, number>();
  private readonly terms = new Map<string, number>();

  override stepped(member: Member): void {
    const { core, group, node } = member;
    const before = this.commits.get(member) ?? 0;
    if (core.log.committed < before)
      this.broken(`${where(member)}: commit falls from ${before} to ${core.log.committed}`);
    this.commits.set(member, core.log.committed);
    const key = `${group}/${node}`;
    const term = this.terms.get(key) ?? 0;
    if (core.term < term) this.broken(`${where(member)}: the term was ${term} before`);
    this.terms.set(key, core.term);
  }

  override starts(member: Member): void {
    const { durable, core, group, node } = member;
    if (core.term < durable.term)
      this.broken(`${where(member)} starts behind term ${durable.term}, which is on its disk`);
    this.terms.set(`${group}/${node}`, core.term);
  }

  override stores(
    node: number,
    group: number,
    durable: { term: number; vote: number },
    term: number,
    vote: number,
  ): void {
    if (term < durable.term) this.broken(`node ${node} stores term ${term} of group ${group} behind ${durable.term}`);
    if (term === durable.term && durable.vote !== 0 && vote !== durable.vote) {
      this.broken(`node ${node} votes for ${durable.vote} and ${vote} in term ${term} of group ${group}`);
    }
  }
}
