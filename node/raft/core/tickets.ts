// The reads that a member waits for, and those that it has to answer as a leader: reads.ts says how.

import assert from 'node:assert';

/** Reads with tickets up to `ticket` may be answered when all up to `index` is applied. */
export interface ReadGrant {
  readonly ticket: number;
  readonly index: number;
}

interface Round {
  readonly round: number;
  readonly index: number;
  /** The newest ticket of each reader. */
  readonly tickets: ReadonlyMap<number, number>;
}

export class Reads {
  /** As a reader: the newest ticket, whether reads may still join it, and the newest that was answered. */
  asked: number;
  open = false;
  answered: number;
  /** As a leader: the newest ticket of each reader that waits for a round to begin. */
  waiting = new Map<number, number>();
  rounds: Round[] = [];
  private grant: ReadGrant | null = null;

  constructor(firstTicket: number) {
    this.asked = firstTicket;
    this.answered = firstTicket;
  }

  get due(): boolean {
    return this.open || this.grant !== null;
  }

  get outstanding(): boolean {
    return this.asked > this.answered || this.waiting.size > 0 || this.rounds.length > 0;
  }

  /** Whoever waits for this member's answer asks the next leader. */
  follow(): void {
    if (this.waiting.size > 0) this.waiting.clear();
    if (this.rounds.length > 0) this.rounds = [];
  }

  /** A leader answers what it had asked of another. */
  lead(self: number): void {
    if (this.asked > this.answered && !this.open) this.waiting.set(self, this.asked);
  }

  /** An index taken for a ticket was taken after all before it were asked for: it serves them as well, I1. */
  answer(ticket: number, index: number): void {
    assert(ticket <= this.asked, 'I4');
    if (ticket <= this.answered) return;
    this.answered = ticket;
    this.grant = { ticket, index };
  }

  takeGrant(): ReadGrant | null {
    const { grant } = this;
    if (grant !== null) this.grant = null;
    return grant;
  }
}
