// One life of a simulated process: what it has under way ends with it. Its timers and completions run while it lives and
// is not paused; its clock goes at the machine's rate.

import type { Cancel, Clock } from '../../node/raft/index.js';
import type { Random } from './random.js';
import type { World } from './world.js';

/** A machine's clock: what it shows moves at a rate within its error, which may change. */
export class MachineClock {
  private rate = 1;
  private sinceUs = 0;
  private shownUs: number;

  constructor(
    private readonly world: World,
    startUs: number,
  ) {
    this.shownUs = startUs;
  }

  nowUs(): number {
    return this.shownUs + (this.world.nowUs - this.sinceUs) * this.rate;
  }

  setRate(rate: number): void {
    this.shownUs = this.nowUs();
    this.sinceUs = this.world.nowUs;
    this.rate = rate;
  }

  /** How long a time of this clock takes. */
  trueUs(us: number): number {
    return us / this.rate;
  }
}

export interface ProcessTimes {
  /** How long work that is due at once waits for its turn, on average. */
  readonly turnUs: number;
  /** How much too early timers may fire. */
  readonly earlyUs: number;
  /** How much too late they fire, on average. */
  readonly lateUs: number;
}

export class Process implements Clock {
  alive = true;
  private paused = false;
  private held: (() => void)[] = [];

  constructor(
    private readonly world: World,
    private readonly machine: MachineClock,
    private readonly random: Random,
    private readonly times: ProcessTimes,
    /** Called after whatever happened in this process. */
    private readonly onHappened: () => void,
  ) {}

  readonly soon = (run: () => void): void => {
    this.later(this.random.below(this.times.turnUs * 2), run);
  };

  readonly next = (run: () => void): void => this.later(0, run);

  nowUs(): number {
    return this.machine.nowUs();
  }

  after(ms: number, run: () => void): Cancel {
    let cancelled = false;
    this.later(this.timerUs(ms), () => {
      if (!cancelled) run();
    });
    return () => {
      cancelled = true;
    };
  }

  every(ms: number, run: () => void): Cancel {
    let cancelled = false;
    const next = (): void => {
      if (cancelled) return;
      run();
      this.later(this.timerUs(ms), next);
    };
    this.later(this.timerUs(ms), next);
    return () => {
      cancelled = true;
    };
  }

  /** Something that happens to this process after a while of true time, if it lives then. */
  later(delayUs: number, run: () => void): void {
    this.world.after(delayUs, () => this.happen(run));
  }

  happen(run: () => void): void {
    if (!this.alive) return;
    if (this.paused) {
      this.held.push(run);
      return;
    }
    run();
    if (this.alive) this.onHappened();
  }

  pause(): void {
    this.paused = true;
  }

  /** All that was held back happens at once, in order. */
  resume(): void {
    this.paused = false;
    const { held } = this;
    this.held = [];
    for (const run of held) this.world.after(0, () => this.happen(run));
  }

  end(): void {
    this.alive = false;
    this.held = [];
  }

  private timerUs(ms: number): number {
    const late = this.times.lateUs === 0 ? 0 : this.random.exponential(this.times.lateUs);
    return this.machine.trueUs(ms * 1000) - this.random.below(this.times.earlyUs + 1) + late;
  }
}
