// The state machine of one member in one life of its process: applies, takes checkpoints, says to those who watch what
// it did. Its state is the machine's: it outlives the process, as a database does that is not synced. What it keeps and
// answers is its kind's: kv-machine.ts, meta-machine.ts.

import type { CommittedEntry, LeaseReader, ReplicatedGroup, StateMachine } from '../../../node/raft/index.js';
import type { Configuration } from '../../../proto/raft/index.js';
import type { Process } from '../process.js';
import type { Checkpoints } from './checkpoints.js';
import type { SimState } from './state.js';

export interface MachineOptions {
  readonly process: Process;
  readonly store: Checkpoints;
  readonly checkpointEntries: number;
  readonly earlyAnswers: boolean;
  readonly leases: LeaseReader;
  readonly onApplied: (entry: CommittedEntry, result: number | undefined) => void;
  readonly onFailure: (error: Error) => void;
}

export abstract class Machine implements StateMachine {
  leading = false;
  abstract readonly state: SimState;
  private attached: ReplicatedGroup | undefined;
  private readonly lease = { term: 0, deadlineUs: 0, appliedIndex: 0, acknowledgedIndex: 0 };
  private checkpointing = false;
  private checkpointIndex: number;

  constructor(
    readonly group: number,
    protected readonly options: MachineOptions,
  ) {
    this.checkpointIndex = options.store.newest?.index ?? 0;
  }

  get raft(): ReplicatedGroup {
    return this.attached!; // attached right after it was made
  }

  get snapshots(): Checkpoints {
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

  attach(raft: ReplicatedGroup): void {
    this.attached = raft;
  }

  mayReadByLease(): boolean {
    return this.options.leases.mayRead(this.group);
  }

  holdsLease(): boolean {
    return this.options.leases.inForce(this.group);
  }

  /** By the machine's own clock, whose time is what a lease is given in. */
  leaseLeftUs(): number {
    const { leases, process } = this.options;
    return leases.read(this.group, this.lease) ? this.lease.deadlineUs - process.nowUs() : 0;
  }

  apply(entries: readonly CommittedEntry[]): void {
    const { options } = this;
    for (const entry of entries) {
      // A process that was killed within this turn does nothing more.
      if (!options.process.alive) return;
      this.applyEntry(entry);
    }
    if (this.state.index - this.checkpointIndex >= options.checkpointEntries) this.checkpoint();
  }

  leadership(leading: boolean, _term: number): void {
    this.leading = leading;
  }

  abstract committed(index: number): void;
  abstract dropped(fromIndex: number): void;
  /** A snapshot takes the place of the state. */
  abstract become(state: SimState): void;
  /** Sets index, term and configuration with it, and tells who watches. */
  protected abstract applyEntry(entry: CommittedEntry): void;

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
}
