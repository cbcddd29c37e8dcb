// A pool of threads for processor work without state, on piscina. Its queue is bounded: past limits.poolQueueTasks a
// task is refused with BUSY. Threads that own something are never pool threads: they are started by startThreads.

import { Piscina } from 'piscina';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Tasks } from './tasks.js';

export interface TaskPoolOptions {
  /** Threads at most; they are started as tasks come, and end when they had nothing to do for a while. */
  threads: number;
  queueTasks?: number;
}

type Input<K extends keyof Tasks> = Parameters<Tasks[K]>[0];
type Output<K extends keyof Tasks> = ReturnType<Tasks[K]>;

const IDLE_MS = 10_000;

export class TaskPool {
  private readonly piscina: Piscina;
  private readonly queueTasks: number;

  constructor(options: TaskPoolOptions) {
    this.queueTasks = options.queueTasks ?? limits.poolQueueTasks;
    this.piscina = new Piscina({
      filename: new URL('./tasks.js', import.meta.url).href,
      minThreads: 1,
      maxThreads: options.threads,
      idleTimeout: IDLE_MS,
      maxQueue: this.queueTasks,
    });
  }

  /**
   * Does a task on some thread. Rejects with OfsError BUSY when the queue is full, with an AbortError when `signal`
   * fires first (a task that runs already is cut off with its thread), else with what the task threw. The range must stay
   * as it is until then.
   */
  async run<K extends keyof Tasks>(name: K, input: Input<K>, signal?: AbortSignal): Promise<Output<K>> {
    if (this.piscina.queueSize >= this.queueTasks) {
      throw new OfsError(Status.BUSY, `task ${name}: ${this.queueTasks} tasks wait already, try again later`);
    }
    return (await this.piscina.run(input, { name, signal: signal ?? null })) as Output<K>;
  }

  /** Tasks that no thread has begun. */
  get waiting(): number {
    return this.piscina.queueSize;
  }

  /** Ends the threads; tasks without a result are rejected. */
  async close(): Promise<void> {
    await this.piscina.destroy();
  }
}
