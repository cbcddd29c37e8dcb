// The clock of a host's groups. It runs only while some group needs it: one that leads alone does not.

import { limits } from '../../../proto/limits.js';

/** Calls `onTick` every so often until the function that it returns is called. */
export type Clock = (periodMs: number, onTick: () => void) => () => void;

export const systemClock: Clock = (periodMs, onTick) => {
  const timer = setInterval(onTick, periodMs);
  timer.unref();
  return () => clearInterval(timer);
};

export class Ticker {
  private stopClock: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly onTick: () => void,
  ) {}

  get running(): boolean {
    return this.stopClock !== undefined;
  }

  run(needed: boolean): void {
    if (needed && this.stopClock === undefined) this.stopClock = this.clock(limits.raftTickMs, this.onTick);
    if (!needed && this.stopClock !== undefined) {
      this.stopClock();
      this.stopClock = undefined;
    }
  }
}
