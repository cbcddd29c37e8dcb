// Requests that wait because the group takes no more at the moment: one queue for each file (by hash of what the
// request is about, R3.9), each in order of arrival, drained in turns so that a busy file does not hold up the others.
// Bounded in requests and bytes; a request that finds its queue full is answered BUSY by whoever offers it.

import { limits } from '../../proto/limits.js';

export interface Queued {
  readonly bytes: number;
}

export class FileQueues<T extends Queued> {
  private readonly queues = new Map<number, T[]>();
  /** Queues with requests, the next to be served first. */
  private readonly turns: number[] = [];
  private requests = 0;
  private bytes = 0;

  get size(): number {
    return this.requests;
  }

  /** Whether requests wait that one with this hash must not overtake. */
  holds(hash: number): boolean {
    return this.queues.has(hash % limits.fileQueues);
  }

  /** False: full. */
  offer(hash: number, item: T): boolean {
    if (this.requests >= limits.queueRequests || this.bytes + item.bytes > limits.queueBytes) return false;
    const slot = hash % limits.fileQueues;
    const queue = this.queues.get(slot);
    if (queue === undefined) {
      this.queues.set(slot, [item]);
      this.turns.push(slot);
    } else {
      if (queue.length >= limits.fileQueueRequests) return false;
      queue.push(item);
    }
    this.requests++;
    this.bytes += item.bytes;
    return true;
  }

  /** Gives the requests, one of each queue in turn, until `run` says that one must wait on: it stays where it is. */
  drain(run: (item: T) => boolean): void {
    while (this.turns.length > 0) {
      const slot = this.turns[0]!;
      const queue = this.queues.get(slot)!; // a turn stands for a queue that is not empty
      const item = queue[0]!;
      if (!run(item)) return;
      queue.shift();
      this.requests--;
      this.bytes -= item.bytes;
      this.turns.shift();
      if (queue.length > 0) this.turns.push(slot);
      else this.queues.delete(slot);
    }
  }
}

/** The number by which a queue is chosen for what a request is about. */
export function hashOf(target: number | string): number {
  if (typeof target === 'number') return target;
  let hash = 0x811c9dc5; // FNV-1a
  for (let at = 0; at < target.length; at++) hash = Math.imul(hash ^ target.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
