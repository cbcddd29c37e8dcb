// Time as raft sees it, so that a simulation can be in charge of it: nothing in the log and the driver takes it from
// anywhere else. None of its timers keeps a process alive, except work that is due at once.

import { monotonicUs } from './lease.js';

export type Cancel = () => void;

export interface Clock {
  /** Microseconds of the machine's monotonic clock. */
  nowUs(): number;
  /** Runs after what runs now, and after what came in meanwhile. */
  readonly soon: (run: () => void) => void;
  /** Runs as soon as what runs now, and what it has set off, is done. */
  readonly next: (run: () => void) => void;
  after(ms: number, run: () => void): Cancel;
  /** Runs every so often until it is cancelled; what was missed is not made up for. */
  every(ms: number, run: () => void): Cancel;
}

export const systemClock: Clock = {
  nowUs: monotonicUs,
  soon: setImmediate,
  next: queueMicrotask,
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
