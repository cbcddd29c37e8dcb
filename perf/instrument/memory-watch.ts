// The memory of a process over time, read from outside.

import { memoryBytes } from './observed.js';

export class MemoryWatch {
  /** Seconds since it began, and bytes. */
  readonly points: [number, number][] = [];
  private readonly begun = performance.now();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly pid: number,
    periodMs: number,
  ) {
    this.look();
    this.timer = setInterval(() => this.look(), periodMs);
  }

  stop(): void {
    clearInterval(this.timer);
    this.look();
  }

  /** Bytes: at first, the most, and at last. */
  get summary(): { readonly first: number; readonly most: number; readonly last: number } {
    const values = this.points.map(([, bytes]) => bytes);
    return { first: values[0] ?? 0, most: Math.max(0, ...values), last: values.at(-1) ?? 0 };
  }

  private look(): void {
    this.points.push([(performance.now() - this.begun) / 1000, memoryBytes(this.pid)]);
  }
}
