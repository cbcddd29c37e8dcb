// The state machine of one member in one life of its process: applies, answers those who wait, takes checkpoints. Its
// state is the machine's: it outlives the process, as a database does that is not synced.

import type { CommittedEntry, LeaseReader, ReplicatedGroup, StateMachine } from '../../node/raft/index.js';
import type { Configuration } from '../../proto/raft/index.js';
import { decodeSwap, encodeSwap, type KvState, type Swap } from './kv-state.js';
import type { KvStore } from './kv-store.js';
import type { Process } from './process.js';

/** What became of a swap: where it is in the log, and what the register held, unless the answer left before that. */
export type OnSwapped = (index: number, result: number | undefined) => void;

interface Waiter {
  readonly session: number;
  readonly sequence: number;
  readonly onSwapped: OnSwapped;
}

export interface MachineOptions {
  readonly process: Process;
  readonly store: KvStore;
  readonly checkpointEntries: number;
  readonly earlyAnswers: boolean;
  readonly leases: LeaseReader;
  readonly onApplied: (machine: KvMachine, entry: CommittedEntry, result: number | undefined) => void;
  readonly onFailure: (error: Error) => void;
}

export class KvMachine implements StateMachine {
  raft!: ReplicatedGroup; // set right after the group was added
  leading = false;
  private readonly waiters = new Map<number, Waiter>();
  private checkpointing = false;
  private checkpointIndex: number;

  constructor(
    readonly group: number,
    public state: KvState,
    private readonly options: MachineOptions,
  ) {
    this.checkpointIndex = options.store.newest?.index ?? 0;
  }

  get snapshots(): KvStore {
    return this.options.store;
  }

  get appliedIndex(): number {
    return this.state.index;
  }

  get appliedTerm(): number {
    return this.state.term;
  }

  get configuration(): Configuration {
    return this.state.configuration;
  }

  /** False: not now, not here. */
  swap(swap: Swap, paddingBytes: number, onSwapped: OnSwapped): boolean {
    const index = this.raft.propose(encodeSwap(swap, paddingBytes));
    if (index === 0) return false;
    this.waiters.set(index, { ...swap, onSwapped });
    return true;
  }

  mayReadByLease(): boolean {
    return this.options.leases.mayRead(this.group);
  }

  holdsLease(): boolean {
    return this.options.leases.inForce(this.group);
  }

  committed(index: number): void {
    if (!this.options.earlyAnswers || !this.options.process.alive) return;
    this.raft.acknowledging(index);
    for (const [at, { onSwapped }] of this.waiters) {
      if (at > index) break;
      this.waiters.delete(at);
      onSwapped(at, undefined);
    }
  }

  apply(entries: readonly CommittedEntry[]): void {
    const { options, state } = this;
    for (const entry of entries) {
      // A process that was killed within this turn does nothing more.
      if (!options.process.alive) return;
      const swap = entry.payload.length > 0 ? decodeSwap(entry.payload) : undefined;
      const result = swap === undefined ? undefined : state.swap(swap);
      state.index = entry.index;
      state.term = entry.term;
      if (entry.configuration !== undefined) state.configuration = entry.configuration;
      options.onApplied(this, entry, result);
      this.answer(entry.index, swap, result);
    }
    if (state.index - this.checkpointIndex >= options.checkpointEntries) this.checkpoint();
  }

  leadership(leading: boolean): void {
    this.leading = leading;
  }

  dropped(fromIndex: number): void {
    for (const index of this.waiters.keys()) if (index >= fromIndex) this.waiters.delete(index);
  }

  /** Takes a checkpoint of what is applied, and lets the log be cut behind it. */
  checkpoint(): void {
    const { process, store, onFailure } = this.options;
    if (this.checkpointing || this.state.index === 0 || this.state.configuration.voters.length === 0) return;
    this.checkpointing = true;
    this.checkpointIndex = this.state.index;
    store.checkpoint(this.state).then(
      (index) => {
        this.checkpointing = false;
        if (index > 0 && process.alive) this.raft.compact(index);
      },
      (error: Error) => {
        this.checkpointing = false;
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') onFailure(error);
      },
    );
  }

  private answer(index: number, swap: Swap | undefined, result: number | undefined): void {
    const waiter = this.waiters.get(index);
    if (waiter === undefined) return;
    this.waiters.delete(index);
    // What is at the place of a proposal is that proposal, or its proposer was told that it is not.
    if (swap?.session === waiter.session && swap.sequence === waiter.sequence) waiter.onSwapped(index, result);
    else this.options.onFailure(new Error(`entry ${index} is not what was proposed there, and nobody said so`));
  }
}
