// A thread's side of the process: what it was born with, its channels, and how it says that it is ready or is told to
// stop. Whatever a thread's module does not catch ends the thread, and with it the process.

import assert from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import type { Channel, Service } from './channel.js';
import { Hub, openLink, type RingAnswerer, type RingChannel } from './link/index.js';
import { Doorbell } from './ring/index.js';
import { Slab } from './slab/index.js';
import type { ThreadBirth, ToMain, ToThread } from './topology.js';

export class ThreadHost<Data = unknown> {
  readonly name: string;
  readonly data: Data;
  readonly shared: Readonly<Record<string, SharedArrayBuffer>>;
  /** This thread's own slab, if the topology gives it one. */
  readonly slab: Slab | undefined;
  private readonly hub: Hub;
  private readonly channels = new Map<string, RingChannel>();
  private readonly answerers: RingAnswerer[] = [];
  private readonly stopHooks: (() => Promise<void> | void)[] = [];
  private messageCallback: ((message: unknown) => void) | null = null;
  private readonly early: unknown[] = [];

  constructor(
    birth: ThreadBirth,
    private readonly port: NonNullable<typeof parentPort>,
  ) {
    this.name = birth.name;
    this.data = birth.data as Data;
    this.shared = birth.shared;
    this.slab = birth.slab === undefined ? undefined : new Slab(birth.slab);
    this.hub = new Hub(new Doorbell(birth.bell));
    for (const end of birth.links) {
      const { channel, answerer } = openLink(this.hub, end, this.slab);
      this.channels.set(end.peer, channel);
      this.answerers.push(answerer);
    }
    port.on('message', (message: ToThread) => this.take(message));
  }

  /** The channel to a linked thread. */
  channel(peer: string): Channel {
    const channel = this.channels.get(peer);
    assert(channel, `${this.name} has no link to ${peer}`);
    return channel;
  }

  /** Names of linked threads that begin with `prefix`, in the order of the topology's links. */
  peers(prefix = ''): string[] {
    return [...this.channels.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Answers the requests of all peers. Until this is called their requests wait. Once per thread. */
  serve(service: Service): void {
    for (const answerer of this.answerers) answerer.serve(service);
  }

  /** Tells the main thread that this one does its work from now on. */
  ready(): void {
    this.send({ type: 'ready' });
  }

  /** Runs when the thread is told to stop, before its channels close; the last one named runs first. */
  onStop(hook: () => Promise<void> | void): void {
    this.stopHooks.unshift(hook);
  }

  /** Sends a control message to the main thread. */
  post(message: unknown): void {
    this.send({ type: 'post', message });
  }

  /** Hears the main thread's control messages, also those that came before. */
  onMessage(callback: (message: unknown) => void): void {
    assert(this.messageCallback === null, 'one listener hears messages');
    this.messageCallback = callback;
    for (const message of this.early.splice(0)) callback(message);
  }

  /** Publishes what was sent now: for a thread that will block before the running callback ends. */
  flush(): void {
    this.hub.flush();
  }

  /** Takes what has come now: for a thread whose event loop does not run. True if there was anything. */
  poll(): boolean {
    return this.hub.poll();
  }

  private take(message: ToThread): void {
    if (message.type === 'stop') void this.stop();
    else if (this.messageCallback === null) this.early.push(message.message);
    else this.messageCallback(message.message);
  }

  private async stop(): Promise<void> {
    const errors: unknown[] = [];
    for (const hook of this.stopHooks) {
      try {
        await hook();
      } catch (error) {
        errors.push(error);
      }
    }
    this.hub.close();
    // Calls that were cut off hear CLOSED before the thread ends; handles that the hooks left open do not keep it.
    setImmediate(() => {
      this.send({ type: 'stopped', errors });
      process.exit(0);
    });
  }

  private send(message: ToMain): void {
    this.port.postMessage(message);
  }
}

let joined: ThreadHost | null = null;

/** The host of the thread that this runs on, which `startThreads` started; the same one at every call. */
export function joinHost<Data = unknown>(): ThreadHost<Data> {
  const birth = workerData as ThreadBirth | null;
  assert(parentPort !== null && birth?.orangefsThread === true, 'joinHost is called on threads of startThreads');
  joined ??= new ThreadHost(birth, parentPort);
  return joined as ThreadHost<Data>;
}
