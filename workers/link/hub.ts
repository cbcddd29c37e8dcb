// One per thread: everything that comes to the thread through rings is taken here, and everything that it sends is
// published here. Rings are drained round-robin, a bounded batch each, then the event loop has its turn, so neither a
// busy peer nor the rings together starve anything. What is sent in one turn is published at its end, together. With
// nothing to do the hub sleeps on the thread's doorbell and costs nothing.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { Reader } from '../../proto/codec.js';
import type { Status } from '../../proto/status.js';
import type { OnAnswer } from '../channel.js';
import type { Doorbell } from '../ring/index.js';

/** How long a hub that had work goes on looking, a look per turn of the event loop, before it sleeps. */
const LINGER_US = Number(process.env.LINGER_US ?? 0);
/** A timer that never fires while anybody lives: waiting on a doorbell does not keep the event loop alive. */
const FOREVER_MS = 0x7fffffff;

const NOTHING = Buffer.alloc(0);

/** One direction of asking over one link, as the hub drives it. */
export interface Endpoint {
  /** Takes a bounded batch of what has come, if it may; true if there was anything. */
  poll(): boolean;
  /** Whether `poll` or `flush` would get anywhere now. Asked after the doorbell was announced. */
  hasWork(): boolean;
  /** Publishes what was sent since the last flush. */
  flush(): void;
  close(): void;
}

export class Hub {
  private readonly endpoints: Endpoint[] = [];
  private readonly dirty: Endpoint[] = [];
  private refused: { onAnswer: OnAnswer; status: Status }[] = [];
  private first = 0;
  private polling = false;
  private flushScheduled = false;
  private closed = false;
  private lastWorkMs = 0;
  private readonly handle = setInterval(() => {}, FOREVER_MS);

  constructor(readonly bell: Doorbell) {
    setImmediate(this.drain);
  }

  add(endpoint: Endpoint): void {
    assert(!this.closed, 'endpoint added to a closed hub');
    this.endpoints.push(endpoint);
  }

  /** Takes one bounded batch from every ring now and publishes all that was sent; true if anything had come. */
  poll(): boolean {
    assert(!this.polling, 'hub polled from within its own poll');
    this.polling = true;
    let worked = false;
    const count = this.endpoints.length;
    for (let step = 0; step < count; step++) {
      if (this.endpoints[(this.first + step) % count]!.poll()) worked = true;
    }
    if (count > 0) this.first = (this.first + 1) % count;
    this.polling = false;
    this.flush();
    return worked;
  }

  /** Publishes all that was sent, without waiting for the end of the turn (threads that block need it). */
  readonly flush = (): void => {
    this.flushScheduled = false;
    for (let endpoint = this.dirty.pop(); endpoint !== undefined; endpoint = this.dirty.pop()) endpoint.flush();
    if (this.refused.length > 0) this.deliverRefused();
  };

  /** An endpoint has something to publish; it is flushed once, at the end of this turn or poll. */
  markDirty(endpoint: Endpoint): void {
    this.dirty.push(endpoint);
    this.scheduleFlush();
  }

  /** Answers a call that never left, after `call` has returned. */
  refuse(onAnswer: OnAnswer, status: Status): void {
    this.refused.push({ onAnswer, status });
    this.scheduleFlush();
  }

  /** Wakes the hub's own thread: something that its endpoints waited for has changed. */
  nudge(): void {
    this.bell.ring();
  }

  /** Closes all endpoints: calls without an answer get CLOSED, peers learn that nothing more will come. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const endpoint of this.endpoints) endpoint.close();
    this.flush();
    clearInterval(this.handle);
    this.bell.ring();
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.polling) return;
    this.flushScheduled = true;
    setImmediate(this.flush);
  }

  private deliverRefused(): void {
    const refused = this.refused;
    this.refused = [];
    const reader = new Reader(NOTHING);
    for (const { onAnswer, status } of refused) onAnswer(status, reader, NOTHING);
  }

  private readonly drain = (): void => {
    if (this.closed) return;
    const worked = this.poll();
    if (this.closed) return;
    if (worked || this.lingers()) {
      if (worked && LINGER_US > 0) this.lastWorkMs = performance.now();
      setImmediate(this.drain);
    } else this.sleep();
  };

  private lingers(): boolean {
    return LINGER_US > 0 && performance.now() - this.lastWorkMs < LINGER_US / 1000;
  }

  private sleep(): void {
    this.bell.announce();
    for (const endpoint of this.endpoints) {
      if (!endpoint.hasWork()) continue;
      this.bell.withdraw();
      setImmediate(this.drain);
      return;
    }
    const rung = this.bell.waitAsync();
    if (rung === null) setImmediate(this.drain);
    else void rung.then(this.drain);
  }
}
