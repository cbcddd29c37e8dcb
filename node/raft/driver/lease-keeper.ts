// Keeps the lease record of one group true: given when a quorum has answered a round of heartbeats, counted from before
// the round left, and taken back before anything leaves that could let another lead (core/lease.ts says why). What the
// record says of applied and acknowledged entries is not touched when a lease is only made longer.

import { leaseRound, type Raft } from '../core/index.js';
import { FOREVER, type LeaseWriter } from '../lease.js';

/** Rounds under way whose times are kept: older ones are of no use when so many are not answered. */
const ROUNDS = 64;

interface Sent {
  readonly round: number;
  readonly atUs: number;
}

export class LeaseKeeper {
  private readonly sent: Sent[] = [];
  private term = 0;
  private held = false;
  private acknowledged = 0;
  private deadlineUs = 0;

  constructor(
    private readonly writer: LeaseWriter | undefined,
    private readonly group: number,
    private readonly leaseUs: number,
  ) {
    this.writer?.clear(group);
  }

  /** A round leaves after `nowUs`. */
  leaves(raft: Raft, round: number, nowUs: number): void {
    if (this.term !== raft.term) {
      this.term = raft.term;
      this.sent.length = 0;
    }
    if (round <= (this.sent.at(-1)?.round ?? 0)) return;
    if (this.sent.length === ROUNDS) this.sent.shift();
    this.sent.push({ round, atUs: nowUs });
  }

  /** To be called after the core has changed, and before what it has to say leaves. */
  follow(raft: Raft): void {
    if (this.writer === undefined) return;
    const deadlineUs = this.due(raft);
    // A group of one that gets another member has to ask from then on.
    if (deadlineUs === 0 || (this.deadlineUs === FOREVER && deadlineUs !== FOREVER)) this.end();
    if (deadlineUs === 0) return;
    if (!this.held) this.begin(raft, deadlineUs);
    else if (deadlineUs > this.deadlineUs) this.extend(deadlineUs);
  }

  applied(index: number): void {
    if (this.held) this.writer?.applied(this.group, index);
  }

  acknowledging(index: number): void {
    this.acknowledged = index;
    if (this.held) this.writer?.acknowledging(this.group, index);
  }

  end(): void {
    if (!this.held) return;
    this.held = false;
    this.deadlineUs = 0;
    this.writer?.clear(this.group);
  }

  private begin(raft: Raft, deadlineUs: number): void {
    this.held = true;
    this.deadlineUs = deadlineUs;
    const appliedIndex = raft.log.applied;
    this.writer?.grant(this.group, { term: raft.term, deadlineUs, appliedIndex });
    if (this.acknowledged > appliedIndex) this.writer?.acknowledging(this.group, this.acknowledged);
  }

  private extend(deadlineUs: number): void {
    this.deadlineUs = deadlineUs;
    this.writer?.extend(this.group, deadlineUs);
  }

  /** Until when the lease holds; 0 for no lease. */
  private due(raft: Raft): number {
    if (raft.alone) return raft.established ? FOREVER : 0;
    const round = leaseRound(raft);
    if (round === 0 || this.term !== raft.term) return 0;
    // The newest that left no later than the round that was answered: what answers a round has heard those before it.
    while (this.sent.length > 1 && this.sent[1]!.round <= round) this.sent.shift();
    const [sent] = this.sent;
    if (sent !== undefined && sent.round <= round) return sent.atUs + this.leaseUs;
    return this.deadlineUs === FOREVER ? 0 : this.deadlineUs;
  }
}
