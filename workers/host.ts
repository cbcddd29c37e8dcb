// The main thread's side of a process: starts the threads of a topology, hears of their death, stops them in order.
// No request passes through here. A thread that dies is not started again: whoever asked for the threads is told, and
// ends the process (recovery is a start like any other).

import assert from 'node:assert';
import { Worker } from 'node:worker_threads';
import { limits } from '../proto/limits.js';
import { closeLinkEnd, createLink, type LinkEnd } from './link/index.js';
import { createDoorbell } from './ring/index.js';
import { createSlab } from './slab/index.js';
import type { ThreadBirth, ThreadSpec, ToMain, Topology, ToThread } from './topology.js';

export type OnDeath = (name: string, error: Error) => void;
export type OnThreadMessage = (name: string, message: unknown) => void;

/**
 * Starts all threads; resolves when each has said `ready`. When one dies before, the others are stopped as they would be
 * by `stop`, and it rejects with the reason of the death. (They are not cut off: Node 22 aborts the whole process when a
 * thread is terminated while it evaluates a module behind one with a top-level await.)
 */
export async function startThreads(topology: Topology): Promise<Threads> {
  const threads = new Threads(topology, createBirths(topology));
  try {
    await threads.started;
  } catch (error) {
    await threads.stop().catch((late: AggregateError) => {
      throw new AggregateError([error, ...late.errors], `${error}; then ${late.message}`);
    });
    throw error;
  }
  return threads;
}

export class Threads {
  /** Resolved when all are ready. */
  readonly started: Promise<void>;
  private readonly members = new Map<string, Thread>();
  private readonly deaths: { name: string; error: Error }[] = [];
  private deathCallback: OnDeath | null = null;
  private messageCallback: OnThreadMessage | null = null;
  private stopping: Promise<void> | null = null;

  constructor(
    private readonly topology: Topology,
    births: readonly ThreadBirth[],
  ) {
    for (const [index, spec] of topology.threads.entries()) {
      this.members.set(spec.name, new Thread(spec, births[index]!, this.onThreadDeath, this.onThreadMessage));
    }
    this.started = Promise.all([...this.members.values()].map((thread) => thread.ready)).then(() => {});
  }

  /** Calls back for each thread that ends without having been stopped, also for those that did before this call. */
  onDeath(callback: OnDeath): void {
    assert(this.deathCallback === null, 'one listener hears of deaths');
    this.deathCallback = callback;
    for (const { name, error } of this.deaths.splice(0)) callback(name, error);
  }

  /** Hears what threads `post`. Control only: requests travel over channels. */
  onMessage(callback: OnThreadMessage): void {
    assert(this.messageCallback === null, 'one listener hears messages');
    this.messageCallback = callback;
  }

  /** Sends a control message to a thread. */
  post(name: string, message: unknown): void {
    const thread = this.members.get(name);
    assert(thread, `no thread is named ${name}`);
    thread.send({ type: 'post', message });
  }

  /**
   * Stops one thread after the other: its onStop hooks run, its links close, it ends. Rejects with AggregateError, after
   * all have been stopped, if hooks failed or a thread had to be cut off because it took longer than `timeoutMs`.
   */
  stop(timeoutMs: number = limits.threadStopMs): Promise<void> {
    this.stopping ??= this.stopInOrder(timeoutMs);
    return this.stopping;
  }

  private async stopInOrder(timeoutMs: number): Promise<void> {
    const named = this.topology.stopOrder ?? [];
    const rest = this.topology.threads.map((spec) => spec.name).filter((name) => !named.includes(name));
    const errors: unknown[] = [];
    for (const name of [...named, ...rest.reverse()]) {
      const thread = this.members.get(name);
      assert(thread, `no thread is named ${name}`);
      errors.push(...(await thread.stop(timeoutMs)));
    }
    if (errors.length > 0) throw new AggregateError(errors, `stopping threads: ${errors.map(String).join('; ')}`);
  }

  private readonly onThreadDeath: OnDeath = (name, error) => {
    if (this.deathCallback === null) this.deaths.push({ name, error });
    else this.deathCallback(name, error);
  };

  private readonly onThreadMessage: OnThreadMessage = (name, message) => {
    this.messageCallback?.(name, message);
  };
}

/** One worker thread, from birth to end. */
class Thread {
  readonly ready: Promise<void>;
  private readonly worker: Worker;
  private readonly ended: Promise<void>;
  private cause: Error | null = null;
  private isEnded = false;
  private isStopping = false;
  private stopErrors: unknown[] = [];
  private becomeReady: () => void = () => {};
  private failReady: (error: Error) => void = () => {};

  constructor(
    private readonly spec: ThreadSpec,
    private readonly birth: ThreadBirth,
    private readonly onDeath: OnDeath,
    private readonly onMessage: OnThreadMessage,
  ) {
    this.ready = new Promise((resolve, reject) => {
      this.becomeReady = resolve;
      this.failReady = reject;
    });
    this.worker = new Worker(spec.module, { workerData: birth, name: spec.name });
    this.worker.on('message', (message: ToMain) => this.take(message));
    this.worker.on('error', (error) => {
      this.cause ??= error instanceof Error ? error : new Error(String(error));
    });
    this.ended = new Promise((resolve) => {
      this.worker.on('exit', (code) => {
        this.end(code);
        resolve();
      });
    });
  }

  send(message: ToThread): void {
    this.worker.postMessage(message);
  }

  /** Runs the thread's hooks and ends it; gives what went wrong. Bounded by `timeoutMs`. */
  async stop(timeoutMs: number): Promise<unknown[]> {
    if (this.isEnded) return [];
    this.isStopping = true;
    this.send({ type: 'stop' });
    if (!(await within(this.ended, timeoutMs))) {
      this.stopErrors.push(new Error(`thread ${this.spec.name} did not stop within ${timeoutMs} ms`));
      await this.terminate();
    }
    if (this.cause !== null) this.stopErrors.push(this.cause);
    return this.stopErrors;
  }

  /** Ends the thread where it stands. One that is blocked in a system call ends with the process. */
  private async terminate(): Promise<void> {
    await within(this.worker.terminate(), 1000);
  }

  private take(message: ToMain): void {
    if (message.type === 'ready') this.becomeReady();
    else if (message.type === 'stopped') this.stopErrors = message.errors;
    else this.onMessage(this.spec.name, message.message);
  }

  private end(code: number): void {
    this.isEnded = true;
    for (const link of this.birth.links) closeLinkEnd(link);
    const error = this.cause ?? new Error(`thread ${this.spec.name} ended with code ${code}`);
    this.failReady(error);
    if (!this.isStopping) this.onDeath(this.spec.name, error);
  }
}

function createBirths(topology: Topology): ThreadBirth[] {
  assert(topology.threads.length <= limits.threads, 'more threads than limits.threads');
  const births = new Map<string, ThreadBirth>();
  for (const { name, data } of topology.threads) {
    assert(!births.has(name), `two threads are named ${name}`);
    const slabBytes = topology.slabBytes?.[name];
    births.set(name, {
      orangefsThread: true,
      name,
      data,
      shared: topology.shared ?? {},
      bell: createDoorbell(),
      slab: slabBytes === undefined ? undefined : createSlab(slabBytes),
      links: [],
    });
  }
  for (const [one, other] of topology.links) link(births.get(one), births.get(other));
  return [...births.values()];
}

function link(one: ThreadBirth | undefined, other: ThreadBirth | undefined): void {
  assert(one && other && one !== other, 'a link joins two threads of the topology');
  const known: LinkEnd | undefined = one.links.find((end) => end.peer === other.name);
  assert(known === undefined, `${one.name} and ${other.name} are linked twice`);
  const [ofOne, ofOther] = createLink(one, other);
  one.links.push(ofOne);
  other.links.push(ofOther);
}

/** Whether the promise is fulfilled in time. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
