// Ticks of a host's groups. They come only while some group needs them: one that leads alone does not.

import type { Cancel, Clock } from '../clock.js';

export class Ticker {
  private cancel: Cancel | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly periodMs: number,
    private readonly onTick: () => void,
  ) {}

  get running(): boolean {
    return this.cancel !== undefined;
  }

  run(needed: boolean): void {
    if (needed && this.cancel === undefined) this.cancel = this.clock.every(this.periodMs, this.onTick);
    if (!needed && this.cancel !== undefined) {
      this.cancel();
      this.cancel = undefined;
    }
  }
}
