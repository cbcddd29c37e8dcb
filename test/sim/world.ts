// Simulated time: events in a queue, run one after another on one thread. Whatever happens in a run is an event here,
// so the order is the run's and repeats with the seed. Real code may use promises; when an event may have settled one,
// it says so, and what waits for it runs before the next event. The history is hashed as it goes and told to whoever
// wants to read it.

import { mix } from './random.js';

interface Event {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
}

function before(left: Event, right: Event): boolean {
  return left.atUs < right.atUs || (left.atUs === right.atUs && left.order < right.order);
}

/** A binary heap. */
class Queue {
  private readonly heap: Event[] = [];

  get size(): number {
    return this.heap.length;
  }

  get first(): Event | undefined {
    return this.heap[0];
  }

  push(event: Event): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): Event | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** Several times what the busiest runs need. */
const LIMIT_OF_EVENTS = 600_000;

export class World {
  nowUs = 0;
  /** Events that have run. */
  events = 0;
  /** A number that two runs share only if they had the same history. */
  hash = 0;
  private orders = 0;
  private settled = false;
  private readonly queue = new Queue();

  /** `tell` gets the history in words; undefined costs nothing. */
  constructor(readonly tell: ((line: string) => void) | undefined) {}

  after(delayUs: number, run: () => void): void {
    this.queue.push({ atUs: this.nowUs + Math.max(0, delayUs), order: this.orders++, run });
  }

  /** What has just run may have settled promises: the next event waits for what follows from them. */
  promisesSettled(): void {
    this.settled = true;
  }

  /** Makes a fact part of the history. `what` is a small number, the others say more. */
  note(what: number, first = 0, second = 0): void {
    this.hash = mix(this.hash ^ mix(what + Math.imul(first, 31) + Math.imul(second, 1009) + Math.floor(this.nowUs)));
  }

  /** Runs events until `until` says that it is enough, or time is up, or nothing is left to happen. */
  async run(untilUs: number, until: () => boolean): Promise<void> {
    while (!until()) {
      const next = this.queue.first;
      if (next === undefined || next.atUs > untilUs) {
        this.nowUs = Math.max(this.nowUs, untilUs);
        return;
      }
      this.queue.pop();
      this.nowUs = next.atUs;
      this.events++;
      if (this.events > LIMIT_OF_EVENTS) throw new Error('a run without end');
      next.run();
      if (this.settled) {
        this.settled = false;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  }
}
