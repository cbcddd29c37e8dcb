// What a group has done, as an observer knows it: the entries in their order, what each of them answered, and what the
// state was behind it, by a reference of its own; and what somebody outside knows to be done.

import type { Configuration } from '../../../proto/raft/index.js';
import type { FileOperation } from '../../linearizability/index.js';
import { decodeSwap, type Swap } from './kv-state.js';

export interface Done {
  readonly term: number;
  readonly payload: Buffer;
  /** What an operation has to answer; undefined for an entry that is none. */
  readonly result: number | undefined;
  /** The state's, as the first that applied it had it. */
  readonly hash: number;
  readonly configuration: Configuration;
  /** The term of who applied it first: it was committed in that term or before. */
  readonly committedIn: number;
}

export class History {
  /** By index, from 1. */
  private readonly entries: Done[] = [];
  /** What was asked of a file system, and answered. */
  readonly files: FileOperation[] = [];
  /** All up to here was acknowledged to, or seen by, somebody. */
  floor = 0;
  private readonly values = new Map<number, number>();
  private readonly ran = new Map<string, { readonly index: number; readonly result: number }>();
  private readonly latest = new Map<number, number>();
  /** Operations that were proposed more than once. */
  retries = 0;

  constructor(private readonly registers: boolean) {}

  get lastIndex(): number {
    return this.entries.length;
  }

  at(index: number): Done | undefined {
    return this.entries[index - 1];
  }

  /** An entry that is applied for the first time by anybody. */
  add(term: number, payload: Buffer, behind: Pick<Done, 'hash' | 'configuration' | 'committedIn'>): Done {
    const result = this.registers && payload.length > 0 ? this.run(decodeSwap(payload)) : undefined;
    const done = { term, payload: Buffer.from(payload), result, ...behind };
    this.entries.push(done);
    return done;
  }

  /** The index at which an operation was run, 0 if it was not. */
  ranAt(session: number, sequence: number): number {
    return this.ran.get(`${session}/${sequence}`)?.index ?? 0;
  }

  know(index: number): void {
    if (index > this.floor) this.floor = index;
  }

  /** What it has to answer; undefined where nobody waits for that any more. */
  private run({ session, sequence, key, value }: Swap): number | undefined {
    const name = `${session}/${sequence}`;
    const before = this.ran.get(name);
    if (before !== undefined) {
      this.retries++;
      return this.latest.get(session) === sequence ? before.result : undefined;
    }
    this.latest.set(session, sequence);
    const result = this.values.get(key) ?? 0;
    this.values.set(key, value);
    this.ran.set(name, { index: this.entries.length + 1, result });
    return result;
  }
}
