// The calls and returns of a history in their order, as a list from which an operation is lifted when it is placed and
// put back when it is taken back (Lowe 2017). Operations of unknown outcome have no return and are not in the list.

import assert from 'node:assert';
import { type History, UNKNOWN } from './history.js';

export const HEAD = 0;

interface Event {
  readonly time: number;
  readonly isReturn: boolean;
  readonly operation: number;
}

export class EventList {
  /** Operations with an answer, and those without, in the order of their calls. */
  readonly known: number[] = [];
  readonly floats: number[] = [];
  /** Where in its list each operation is. */
  readonly rank: number[] = [];
  readonly callOf: number[] = [];
  // By event, from 1.
  readonly operationOf: number[] = [-1];
  readonly isReturn: boolean[] = [false];
  readonly next: number[] = [HEAD];
  private readonly previous: number[] = [HEAD];
  private readonly returnOf: number[] = [];

  constructor(operations: History<unknown, unknown>) {
    let last = HEAD;
    eventsOf(operations).forEach(({ isReturn, operation }, index) => {
      const event = index + 1;
      const floating = operations[operation]!.answer === UNKNOWN; // the events are of operations
      this.operationOf.push(operation);
      this.isReturn.push(isReturn);
      if (isReturn) {
        this.returnOf[operation] = event;
      } else {
        const list = floating ? this.floats : this.known;
        this.callOf[operation] = event;
        this.rank[operation] = list.push(operation) - 1;
      }
      if (floating) return;
      this.next[last] = event;
      this.previous[event] = last;
      last = event;
    });
    this.next[last] = HEAD;
    this.previous[HEAD] = last;
  }

  get first(): number {
    return this.next[HEAD]!; // the list has its head
  }

  lift(operation: number): void {
    this.unlink(this.callOf[operation]!);
    this.unlink(this.returnOf[operation]!);
  }

  /** Undoes the newest `lift` that was not undone. */
  putBack(operation: number): void {
    this.relink(this.returnOf[operation]!);
    this.relink(this.callOf[operation]!);
  }

  private unlink(event: number): void {
    const before = this.previous[event]!;
    const behind = this.next[event]!;
    this.next[before] = behind;
    this.previous[behind] = before;
  }

  private relink(event: number): void {
    this.next[this.previous[event]!] = event;
    this.previous[this.next[event]!] = event;
  }
}

/** Calls before returns where they fall together. */
function eventsOf(operations: History<unknown, unknown>): Event[] {
  const events: Event[] = [];
  operations.forEach(({ invoked, returned, answer }, index) => {
    events.push({ time: invoked, isReturn: false, operation: index });
    if (answer === UNKNOWN) return;
    assert(returned !== null && returned >= invoked, `operation ${index} returns before it is invoked`);
    events.push({ time: returned, isReturn: true, operation: index });
  });
  return events.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
}
