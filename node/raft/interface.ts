// What the storage of a group and the raft driver of its thread are to each other. The driver (RaftHost) owns the log
// and drives the pure core of every group of its thread; a group's state machine applies what was committed.

export interface CommittedEntry {
  readonly index: number;
  readonly term: number;
  /** Empty for a leader's first entry and for configuration changes. Valid only while `apply` runs. */
  readonly payload: Buffer;
}

export interface StateMachine {
  /** Index of the last entry applied, from the engine. 0 when new. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /**
   * Entries up to `index` are committed and will be applied at the end of this turn. Nothing takes them back: answers that
   * stand on them may leave now, if `RaftGroup.acknowledging` was called first.
   */
  committed(index: number): void;
  /** Applies entries in order, in one transaction of the engine that also records index and term. Synchronous. */
  apply(entries: readonly CommittedEntry[]): void;
  /** This node leads the group from now on (the first entry of its term is applied), or no longer does. */
  leadership(leading: boolean, term: number): void;
  /** Proposals from this index on will never be committed by this node: forget all state that stands on them. */
  dropped(fromIndex: number): void;
}

export interface GroupStatus {
  readonly term: number;
  readonly leading: boolean;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly firstIndex: number;
  /** The disk has no room to grow the log: proposals are refused once what is prepared is used up. */
  readonly full?: boolean;
}

export interface RaftGroup {
  readonly status: GroupStatus;
  /**
   * Appends a proposal and returns the index that it will be applied at if it is committed; 0 when it is refused
   * (not leading, limits.raftUncommittedBytes reached, or no room in the log). `payload` is copied. It is applied after the driver has
   * synced the log: all proposals of one turn of the event loop share one write.
   */
  propose(payload: Uint8Array): number;
  /** Other threads do not read the group locally until entries up to this index, which are committed, are applied. */
  acknowledging(index: number): void;
  /** The log up to this index is in a checkpoint and may be cut. */
  compact(index: number): void;
}

export interface RaftHost {
  /** Joins a group that has its log (if any) in this host's WAL. For a new one, a group of this one voter begins. */
  addGroup(group: number, machine: StateMachine): RaftGroup;
  removeGroup(group: number): void;
  /** Bytes of log kept for a group, which decides when a checkpoint is due. */
  logBytes(group: number): number;
  /** Proposes nothing more, syncs what was proposed, applies it and closes the log. */
  close(): Promise<void>;
}
