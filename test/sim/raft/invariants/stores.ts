// What disks are good for: nothing that a member says or counts is ahead of its disk, and what is on it is there after
// the next start, whole.

import type { CommittedEntry } from '../../../../node/raft/index.js';
import { type Message, MessageKind } from '../../../../proto/raft/index.js';
import { Invariant, type Member, where } from './invariant.js';

export class VotesOnDisk extends Invariant {
  readonly name = 'a vote leaves when it is on disk';

  override sends(member: Member, { kind, to, term, reject }: Message): void {
    if (kind !== MessageKind.VOTE_ANSWER || reject) return;
    const { durable } = member;
    const stored = durable.term > term || (durable.term === term && durable.vote === to);
    if (!stored) this.broken(`${where(member)} votes for ${to}, its disk does not know`);
  }
}

export class EntriesOnDisk extends Invariant {
  readonly name = 'an acknowledgement leaves when its entries are on disk';

  override sends(member: Member, { kind, index, term, reject }: Message): void {
    const { durable } = member;
    const answers =
      kind === MessageKind.APPEND_ANSWER || kind === MessageKind.HEARTBEAT_ANSWER || kind === MessageKind.VOTE_ANSWER;
    if (answers && durable.term < term)
      this.broken(`${where(member)} answers in term ${term}, its disk is at ${durable.term}`);
    if (kind !== MessageKind.APPEND_ANSWER || reject) return;
    if (durable.lastIndex < index) {
      this.broken(`${where(member)} acknowledges entry ${index}, its disk ends at ${durable.lastIndex}`);
    }
  }
}

export class AppliedOnDisk extends Invariant {
  readonly name = 'what is applied is on the own disk';

  override applied(member: Member, { index, term }: CommittedEntry): void {
    if (!member.durable.holds(index, term)) this.broken(`${where(member)} applies entry ${index}, its disk lacks it`);
  }
}

export class NothingLost extends Invariant {
  readonly name = 'what is on disk is there after a start';

  override starts(member: Member): void {
    const { core, durable } = member;
    if (core.term === durable.term && durable.vote !== 0 && core.vote !== durable.vote) {
      this.broken(`${where(member)} starts without its vote for ${durable.vote}`);
    }
    const base = core.log.firstIndex - 1;
    // A snapshot that was under way may have taken the place of all entries: of those that are older, or that it contradicts.
    const known = durable.termAt(base);
    if (base > durable.lastIndex || (known !== 0 && known < core.log.term(base))) return;
    for (let index = Math.max(core.log.firstIndex, durable.firstIndex); index <= durable.lastIndex; index++) {
      const term = durable.termAt(index);
      const found = index <= core.log.lastIndex ? core.log.term(index) : 0;
      if (found === term) continue;
      // A batch that was under way may have put entries of a later term in its place.
      if (found < term) this.broken(`${where(member)} starts without entry ${index} of term ${term}`);
      return;
    }
  }
}

export class EqualStates extends Invariant {
  readonly name = 'equal states at equal indexes';

  override applied(member: Member, entry: CommittedEntry, result: number | undefined): void {
    const done = this.group(member.group).history.at(entry.index);
    if (done === undefined) return;
    if (member.state.hash !== done.hash) this.broken(`${where(member)} differs behind entry ${entry.index}`);
    if (done.result !== undefined && result !== done.result) {
      this.broken(`${where(member)}: entry ${entry.index} answers ${result} instead of ${done.result}`);
    }
  }

  override ends(): void {
    for (const group of this.groups.values()) for (const member of group.members()) this.compare(member);
  }

  private compare(member: Member): void {
    const { state } = member;
    if (state.computedHash() !== state.hash) this.broken(`${where(member)}: the state is not what its hash says`);
  }
}

export class WholeSnapshots extends Invariant {
  readonly name = 'a state is whole after a start or a snapshot';

  override starts(member: Member): void {
    this.look(member);
  }

  override installed(member: Member): void {
    this.look(member);
  }

  private look(member: Member): void {
    const { state, group } = member;
    if (state.index === 0) return;
    const done = this.group(group).history.at(state.index);
    if (done === undefined) {
      this.broken(`${where(member)} has a state at ${state.index}, which nobody has applied`);
      return;
    }
    if (state.hash !== done.hash || state.computedHash() !== done.hash || state.term !== done.term) {
      this.broken(`${where(member)} begins with a state at ${state.index} that is not the one there`);
    }
  }
}

export class ConfigurationsFollowTheLog extends Invariant {
  readonly name = 'the configuration is that of the log';

  override starts(member: Member): void {
    this.look(member);
  }

  override installed(member: Member): void {
    this.look(member);
  }

  override applied(member: Member): void {
    this.look(member);
  }

  private look(member: Member): void {
    const { state, group, core } = member;
    const done = this.group(group).history.at(state.index);
    if (done === undefined || state.configuration.voters.length === 0) return;
    const text = JSON.stringify(state.configuration);
    if (text !== JSON.stringify(done.configuration)) {
      this.broken(`${where(member)} has another configuration at ${state.index} than others`);
    }
    if (core.membership.currentIndex <= state.index && JSON.stringify(core.configuration) !== text) {
      this.broken(`${where(member)} goes by another configuration than its log's`);
    }
  }
}
