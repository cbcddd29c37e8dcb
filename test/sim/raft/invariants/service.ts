// What those who use a group may rely on: reads that miss nothing, answers that hold, work that is done once, and
// nothing that grows without bound.

import { leaseRound } from '../../../../node/raft/core/index.js';
import type { CommittedEntry } from '../../../../node/raft/index.js';
import { limits } from '../../../../proto/limits.js';
import { type Acknowledged, Invariant, type Member, type Read, where } from './invariant.js';

const TICK_US = 100_000;
/** No entry of the simulation takes more. */
const ENTRY_BYTES = 1024;

abstract class Reads extends Invariant {
  protected abstract readonly kind: Read['kind'];

  override read({ kind, group, session, node, floor, appliedIndex }: Read): void {
    if (kind !== this.kind || appliedIndex >= floor) return;
    this.broken(
      `session ${session} reads group ${group} at member ${node} as of ${appliedIndex}, ${floor} was known before`,
    );
  }
}

export class LeaseReads extends Reads {
  readonly name = 'reads by lease are linearizable';
  protected readonly kind = 'lease';
}

export class IndexReads extends Reads {
  readonly name = 'reads by index are linearizable';
  protected readonly kind = 'index';
}

export class ExclusiveLeases extends Invariant {
  readonly name = 'nothing is applied that a lease holder has not applied';

  override applied(member: Member, entry: CommittedEntry, _result: number | undefined, first: boolean): void {
    if (!first) return;
    for (const other of this.group(member.group).members()) {
      if (other.node === member.node || other.state.index >= entry.index || !other.leased()) continue;
      this.broken(
        `${where(other)} reads by its lease at ${other.state.index}, ${where(member)} applies ${entry.index}`,
      );
    }
  }
}

export class LeasesRest extends Invariant {
  readonly name = 'who holds a lease leads and was confirmed';

  override stepped(member: Member): void {
    const { core } = member;
    if (!member.leased()) return;
    if (!core.established) this.broken(`${where(member)} has a lease and does not lead`);
    else if (core.alone) return;
    else if (leaseRound(core as never) === 0) this.broken(`${where(member)} has a lease without a round`);
    // Nobody may be elected for an election timeout after the round that it rests on, and not for longer.
    else if (member.leaseLeftUs() > core.electionTicks * TICK_US) {
      this.broken(`${where(member)} has a lease for ${member.leaseLeftUs()} us`);
    }
  }
}

export class AnswersHold extends Invariant {
  readonly name = 'what is acknowledged is done, once, and stays';
  private readonly acknowledgements: Acknowledged[] = [];

  override acknowledged(acknowledged: Acknowledged): void {
    this.acknowledgements.push(acknowledged);
  }

  override applied(member: Member, entry: CommittedEntry, result: number | undefined, first: boolean): void {
    const done = this.group(member.group).history.at(entry.index);
    if (first && done?.result !== undefined && result !== done.result) {
      this.broken(`${where(member)}: entry ${entry.index} is run again`);
    }
  }

  override ends(): void {
    for (const { group, session, sequence, index, result } of this.acknowledgements) {
      const { history } = this.group(group);
      const ran = history.ranAt(session, sequence);
      const what = `operation ${sequence} of session ${session} in group ${group}`;
      if (ran === 0) this.broken(`${what} was acknowledged and is not there`);
      else if (ran > index) this.broken(`${what} was acknowledged at ${index} and runs at ${ran}`);
      else if (result !== undefined && history.at(ran)?.result !== result) this.broken(`${what} answered ${result}`);
    }
  }
}

export class BoundedQueues extends Invariant {
  readonly name = 'queues are bounded';

  override stepped(member: Member): void {
    const { core } = member;
    const { log, tracker, reads } = core;
    if (core.uncommittedBytes > limits.raftUncommittedBytes + ENTRY_BYTES) {
      this.broken(`${where(member)}: ${core.uncommittedBytes} bytes are not committed`);
    }
    // Each answered heartbeat frees a place of a full window, as its answers may be lost: some windows, then, not one.
    const sent = limits.raftInflightBytes + limits.raftMessageBytes + ENTRY_BYTES;
    const window = limits.raftUncommittedBytes + 10 * sent;
    if (log.unhandedBytes > window) this.broken(`${where(member)}: ${log.unhandedBytes} bytes wait for the store`);
    if (reads.rounds.length > limits.raftReadRounds) this.broken(`${where(member)}: ${reads.rounds.length} rounds`);
    for (const [id, { inflights }] of tracker.progress) {
      if (inflights.count > limits.raftInflightMessages)
        this.broken(`${where(member)}: ${inflights.count} messages to ${id}`);
    }
  }
}
