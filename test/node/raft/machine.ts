// A state machine for tests that keeps what was applied, and helpers to wait and to make places on disk.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { CommittedEntry, StateMachine } from '../../../node/raft/index.js';

export class TestMachine implements StateMachine {
  readonly payloads: string[] = [];
  readonly batches: number[] = [];
  leading = false;
  term = 0;
  /** The last entry that was said to be committed. */
  heardOf = 0;
  onApply: ((entries: readonly CommittedEntry[]) => void) | undefined;

  constructor(
    public appliedIndex = 0,
    public appliedTerm = 0,
  ) {}

  apply(entries: readonly CommittedEntry[]): void {
    for (const entry of entries) {
      assert.strictEqual(entry.index, this.appliedIndex + 1, 'entries come in order, each once');
      assert(entry.term >= this.appliedTerm);
      this.appliedIndex = entry.index;
      this.appliedTerm = entry.term;
      if (entry.payload.length > 0) this.payloads.push(entry.payload.toString('latin1'));
    }
    this.batches.push(entries.length);
    this.onApply?.(entries);
  }

  committed(index: number): void {
    assert(this.leading && index > this.appliedIndex, 'a leader hears of entries before they are applied');
    this.heardOf = index;
  }

  leadership(leading: boolean, term: number): void {
    this.leading = leading;
    this.term = term;
  }

  dropped(): void {
    assert.fail('a group of one drops nothing');
  }
}

/** Waits until `condition` holds; fails after ten seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert(Date.now() < deadline, `waited ten seconds for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export function temporaryDirectory(): { directory: string; [Symbol.dispose](): void } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-raft-'));
  return { directory, [Symbol.dispose]: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

/** Fails the test that it is used in by an error that nobody catches. */
export function unexpected(what: Error | string): never {
  throw typeof what === 'string' ? new Error(what) : what;
}
