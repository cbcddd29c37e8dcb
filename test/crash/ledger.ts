// What a writer was promised: for each name the newest acknowledged generation, and the later ones whose outcome nobody
// knows. After a crash a name must show one of these, whole.

import assert from 'node:assert';
import { contentOf, generationOf } from '../support/content.js';

/** A generation that stands for "the name is gone". */
const GONE = 'gone';

interface Promised {
  acknowledged: number | typeof GONE;
  /** Tried after it, not acknowledged. */
  possible: Set<number | typeof GONE>;
}

export class Ledger {
  private readonly names = new Map<string, Promised>();
  private generation = 0;
  acknowledged = 0;

  constructor(private readonly maxBytes: number) {}

  content(name: string, generation: number): Buffer {
    return contentOf(name, generation, this.maxBytes);
  }

  beginPut(name: string): number {
    const generation = ++this.generation;
    this.notePut(name, generation);
    return generation;
  }

  /** For a writer that counts generations itself. */
  notePut(name: string, generation: number): void {
    this.promised(name).possible.add(generation);
  }

  beginDelete(name: string): void {
    this.promised(name).possible.add(GONE);
  }

  acknowledgePut(name: string, generation: number): void {
    this.settle(name, generation);
  }

  acknowledgeDelete(name: string): void {
    this.settle(name, GONE);
  }

  all(): string[] {
    return [...this.names.keys()];
  }

  /** Checks what a name shows after a crash (null: it is not there) and takes it as what stands from now on. */
  check(name: string, content: Buffer | null): void {
    const { acknowledged, possible } = this.promised(name);
    const shown = content === null ? GONE : generationOf(content);
    const allowed = [acknowledged, ...possible];
    assert(allowed.includes(shown), `${name} shows ${shown}, promised were ${allowed.join(', ')}`);
    if (content !== null && typeof shown === 'number') {
      assert(content.equals(this.content(name, shown)), `${name} of generation ${shown} has wrong bytes`);
    }
    this.names.set(name, { acknowledged: shown, possible: new Set() });
  }

  private promised(name: string): Promised {
    let promised = this.names.get(name);
    if (promised === undefined) {
      promised = { acknowledged: GONE, possible: new Set() };
      this.names.set(name, promised);
    }
    return promised;
  }

  private settle(name: string, outcome: number | typeof GONE): void {
    // Requests for one name are made one after the other, so older unknown outcomes are overwritten by this one.
    this.names.set(name, { acknowledged: outcome, possible: new Set() });
    this.acknowledged++;
  }
}
