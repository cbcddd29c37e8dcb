// What the storage of a group and the raft driver of its thread are to each other. The driver (RaftHost) owns the log
// and drives the pure core of every group of its thread; a group's state machine applies what was committed.

import type { Buffer } from 'node:buffer';
import type { Configuration } from '../../proto/raft/index.js';
import type { Change, ChangeRefusal } from './core/index.js';

export interface CommittedEntry {
  readonly index: number;
  readonly term: number;
  /** Empty for a leader's first entry and for configuration changes. Valid only while `apply` runs. */
  readonly payload: Buffer;
  /** In force from this entry on: to be kept with index and term. */
  readonly configuration?: Configuration;
}

/** A state that a state machine can be set to, and how many bytes it takes on its way. */
export interface SnapshotInfo {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly bytes: number;
}

export interface SnapshotReader {
  /** Calls back once, never before it returns. The data is not changed afterwards. */
  read(offset: number, length: number, onRead: (error: Error | null, data: Buffer) => void): void;
  close(): void;
}

/** Receives a snapshot from its first byte to its last. Each of its calls back once, never before it returns. */
export interface SnapshotWriter {
  /** Bytes that were written. */
  readonly received: number;
  write(data: Buffer, onWritten: (error: Error | null) => void): void;
  /** Checks all of it, and has it on disk beside what is in use. An error: it is no good, or there is no room. */
  finish(onFinished: (error: Error | null) => void): void;
  /** What was received, finished or not, is of no use. */
  discard(): void;
}

/** An entry, and with it all before it. */
export interface GroupStart {
  readonly index: number;
  readonly term: number;
}

/** Snapshots of a state machine: its checkpoints are what others are given. */
export interface SnapshotStore {
  /** The newest checkpoint. The log is cut only behind it. */
  readonly newest: SnapshotInfo | null;
  /** The newest checkpoint's bytes; they stay readable until it is closed, whatever becomes the newest meanwhile. */
  open(): SnapshotReader;
  /** Begins to receive a snapshot, in place of any that was received and not installed. */
  receive(snapshot: SnapshotInfo): SnapshotWriter;
  /**
   * The state machine, and its newest checkpoint, become the snapshot that was finished; calls back when that is so on
   * disk. The log names it already: when it does not come to its end the next start must, before it adds the group, if
   * `RaftHost.logStart` names what was received. Errors end the process.
   */
  install(snapshot: GroupStart, onInstalled: (error: Error | null) => void): void;
}

export interface StateMachine {
  /** Index of the last entry applied, from the engine. 0 when new. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /** The one in force at `appliedIndex`; absent for a group that is of this node alone. */
  readonly configuration?: Configuration;
  /** Absent for a group that is of this node alone. */
  readonly snapshots?: SnapshotStore;
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

/** What a group of several members can do besides. */
export interface ReplicatedGroup extends RaftGroup {
  /** The member that leads as far as this one knows; 0 for none. */
  readonly leader: number;
  /** The configuration in force: the newest in the log, committed or not. */
  readonly members: Configuration;
  /**
   * A linearizable read at this member, whatever its role: `onRead` is called once, with an index, when the state that is
   * applied holds all that was acknowledged anywhere before this call; with 0 if it never will. False: there is no
   * leader to ask, or too many wait.
   */
  readIndex(onRead: (index: number) => void): boolean;
  /** Proposes what some members shall be; returns the index, 0 if it is refused or changes nothing. */
  change(changes: readonly Change[]): number;
  /** Why `change` would refuse; null if it would not. */
  changeRefusal(changes: readonly Change[]): ChangeRefusal | null;
  /** Hands leadership to another voter. It has failed when this node still leads after an election timeout. */
  transfer(to: number): void;
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
