// The metadata service's own state machine: its pending state, its table of answers for retries and its operations, as
// node/meta runs them, over an ordered map.

import type { Caller } from '../../../node/meta/caller.js';
import { partitionOf, setPartition } from '../../../node/meta/engine.js';
import { MetaGroup } from '../../../node/meta/group.js';
import { type BoundOperation, bindOperations } from '../../../node/meta/operation-table.js';
import * as operations from '../../../node/meta/operations/index.js';
import { handlersOf } from '../../../node/meta/service-handlers.js';
import type { CommittedEntry, ReplicatedGroup } from '../../../node/raft/index.js';
import { Reader } from '../../../proto/codec.js';
import { Machine, type MachineOptions } from './machine.js';
import type { MapEngine } from './map-engine.js';
import type { SimState } from './state.js';

const HELD_BACK = { stands: true, giveUp: () => false };

export interface MetaTimes {
  /** Milliseconds since 1970, by this machine. */
  wallClock(): number;
  /** Work was begun that goes on in promises. */
  promisesSettled(): void;
}

export class MetaMachine extends Machine {
  private readonly meta: MetaGroup;
  private readonly handlers: readonly (BoundOperation | undefined)[];

  constructor(
    group: number,
    readonly state: MapEngine,
    options: MachineOptions,
    private readonly times: MetaTimes,
  ) {
    super(group, options);
    this.meta = new MetaGroup({
      id: group,
      partition: group,
      engine: state,
      holdsLease: () => this.holdsLease(),
      monotonic: () => options.process.nowUs() / 1000,
      wallClock: () => Math.floor(times.wallClock()),
      readBlock: () => null,
      hashTarget: operations.hashTarget,
      reserve: HELD_BACK,
      onApplied: () => undefined,
    });
    const { reads, writes } = handlersOf(this.meta, operations, {
      status: () => {
        throw new Error('nobody asks');
      },
      clusterInfo: { node: 'simulated', bootId: '', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
    });
    this.handlers = bindOperations(reads, writes);
  }

  override attach(raft: ReplicatedGroup): void {
    super.attach(raft);
    this.meta.attach(raft);
  }

  /** False: not now, not here. `caller` is answered once, or never if the process ends. */
  receive(code: number, body: Buffer, caller: Caller): boolean {
    const operation = this.handlers[code];
    if (!this.leading || operation === undefined || partitionOf(this.meta.state) === undefined) return false;
    this.meta.receive(operation, new Reader().reset(body), caller);
    this.times.promisesSettled();
    return true;
  }

  committed(index: number): void {
    if (this.options.process.alive) this.meta.committed(index);
  }

  dropped(fromIndex: number): void {
    this.meta.dropped(fromIndex);
  }

  override leadership(leading: boolean, term: number): void {
    super.leadership(leading, term);
    this.meta.leadership(leading, term);
    if (leading) this.bootstrap();
  }

  become(state: SimState): void {
    this.state.become(state as MapEngine);
    this.meta.restored();
  }

  protected applyEntry(entry: CommittedEntry): void {
    if (entry.configuration !== undefined) this.state.configuration = entry.configuration;
    this.meta.apply([entry]);
    this.options.onApplied(entry, undefined);
    this.times.promisesSettled();
  }

  private bootstrap(): void {
    const begun = this.meta.run((transaction, context) => {
      if (partitionOf(transaction) !== undefined) return;
      operations.bootstrap(transaction, context);
      setPartition(transaction, context.partition);
    });
    // Whoever leads next begins anew.
    begun.catch(() => undefined);
    this.times.promisesSettled();
  }
}
