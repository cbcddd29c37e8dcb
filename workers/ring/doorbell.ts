// The doorbell of a thread: one shared word by which it sleeps until somebody has work for it. Ringing costs a load
// while the owner is awake, and a system call only when it sleeps. No wake-up is lost: the owner announces that it will
// sleep, looks at its rings once more, and only then waits; whoever rings has stored its work before it looks at the
// word. Both are sequentially consistent, so either the owner sees the work or the other sees the announcement.

const AWAKE = 0;
const SLEEPING = 1;
const WORD_BYTES = 128;

export function createDoorbell(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORD_BYTES);
}

export class Doorbell {
  private readonly word: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.word = new Int32Array(shared);
  }

  /** Wakes the owner if it sleeps. Called after the work was stored. */
  ring(): void {
    if (Atomics.load(this.word, 0) !== SLEEPING) return;
    // Of several who ring at once, one pays for the system call.
    if (Atomics.exchange(this.word, 0, AWAKE) === SLEEPING) Atomics.notify(this.word, 0);
  }

  /** Owner: says that it will sleep. It must look for work once more before it waits. */
  announce(): void {
    Atomics.store(this.word, 0, SLEEPING);
  }

  /** Owner: takes the announcement back. */
  withdraw(): void {
    Atomics.store(this.word, 0, AWAKE);
  }

  /** Owner, after `announce`: blocks this thread until it is rung or the time is over; false if the time was over. */
  wait(timeoutMs: number): boolean {
    const outcome = Atomics.wait(this.word, 0, SLEEPING, timeoutMs);
    if (outcome === 'timed-out') this.withdraw();
    return outcome !== 'timed-out';
  }

  /**
   * Owner, after `announce`: a promise fulfilled when it is rung, or null if it was rung already. The promise does not
   * keep the event loop alive: whoever sleeps this way holds a handle that does.
   */
  waitAsync(): Promise<unknown> | null {
    const result = Atomics.waitAsync(this.word, 0, SLEEPING);
    return result.async ? result.value : null;
  }
}
