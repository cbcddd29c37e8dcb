// What a leader remembers of handing its leadership over: transfer.ts says what for.

import assert from 'node:assert';

const NEVER = -1;

export class Transfer {
  /** Who shall lead; 0 for nobody. */
  target = 0;
  elapsed = 0;
  /** TIMEOUT_NOW has left for the target of the transfer under way. */
  asked = false;
  /** The last round of heartbeats that began before TIMEOUT_NOW last left in this term. */
  private round = NEVER;

  reset(): void {
    this.end();
    this.round = NEVER;
  }

  begin(target: number): void {
    this.end();
    this.target = target;
  }

  end(): void {
    this.target = 0;
    this.elapsed = 0;
    this.asked = false;
  }

  ask(round: number): void {
    assert(round >= this.round);
    this.asked = true;
    this.round = round;
  }

  /** H1, H2. */
  allowsLease(round: number): boolean {
    return this.target === 0 && round > this.round;
  }
}
