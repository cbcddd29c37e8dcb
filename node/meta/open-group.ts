// A group as it stands on this node: its files, its database, its state machine and its log, opened in the order that
// makes a start exact, and closed so that the next start has nothing to repair.

import { limits } from '../../proto/limits.js';
import { Table } from '../../proto/meta/index.js';
import { isNoSpace, type Reserve } from '../disk/index.js';
import type { RaftGroup, RaftHost } from '../raft/interface.js';
import { takeCheckpoint } from './checkpoint.js';
import type { ReadBlock } from './context.js';
import { Engine, partitionOf, setPartition } from './engine.js';
import { MetaGroup } from './group.js';
import type { GroupHome } from './home.js';
import { type BoundOperation, bindOperations, type MetaLogic } from './operation-table.js';
import { type ClusterInfo, countRows, type GroupStatusAnswer, handlersOf } from './service-handlers.js';
import type { Monotonic } from './sessions.js';
import { isMarkedDeleted } from './volumes.js';

/** groupStatus counts reclaim rows no further. */
const RECLAIM_COUNT_LIMIT = 100_000;

export interface GroupSurroundings {
  readonly raft: RaftHost;
  readonly bootId: string;
  readonly logic: MetaLogic;
  readonly clusterInfo: ClusterInfo;
  readonly holdsLease: (group: number) => boolean;
  readonly readBlock: ReadBlock;
  readonly monotonic: Monotonic;
  readonly wallClock: () => number;
  readonly warn: (message: string) => void;
  readonly reserve: Reserve;
  /** Bytes of log that all groups of the thread have applied since the start. */
  readonly progress: { loggedBytes: number };
}

export class OpenGroup {
  readonly engine: Engine;
  readonly group: MetaGroup;
  readonly operations: readonly (BoundOperation | undefined)[];
  /** The volume is deleted: nothing of it is answered any more. */
  deleted = false;
  /** Where the next round of reclaiming goes on. */
  reclaimFrom = 0;
  /** When ended sessions' rows are looked through next, milliseconds since 1970. */
  forgetSessionsMs = 0;
  private readonly log: RaftGroup;
  private checkpointIndex = 0;
  private loggedAtCheckpoint: number;
  private checkpointAfterMs = 0;
  private underWay: Promise<void> = Promise.resolve();
  private readonly ending = new AbortController();
  private readonly works = new Set<Promise<unknown>>();

  private constructor(
    readonly id: number,
    readonly partition: number,
    readonly home: GroupHome,
    private readonly surroundings: GroupSurroundings,
  ) {
    const { raft, bootId, monotonic, wallClock, progress } = surroundings;
    const start = home.prepare(bootId);
    if (start === 'restored' || start === 'emptied') {
      surroundings.warn(`group ${id}: the machine ended without a clean stop; database ${start}, the log replays`);
    }
    this.engine = new Engine(home.data);
    home.beginWriting();
    this.group = new MetaGroup({
      id,
      partition,
      engine: this.engine,
      holdsLease: () => surroundings.holdsLease(id),
      monotonic,
      wallClock,
      readBlock: surroundings.readBlock,
      hashTarget: surroundings.logic.hashTarget,
      reserve: surroundings.reserve,
      onApplied: (bytes) => {
        progress.loggedBytes += bytes;
      },
    });
    const { reads, writes } = handlersOf(this.group, surroundings.logic, {
      status: () => this.status(),
      clusterInfo: surroundings.clusterInfo,
    });
    this.operations = bindOperations(reads, writes);
    this.log = raft.addGroup(id, this.group);
    this.group.attach(this.log);
    this.loggedAtCheckpoint = progress.loggedBytes - raft.logBytes(id);
  }

  /** Resolves when this node leads the group and its first rows stand. */
  static async open(
    id: number,
    partition: number,
    home: GroupHome,
    surroundings: GroupSurroundings,
  ): Promise<OpenGroup> {
    const opened = new OpenGroup(id, partition, home, surroundings);
    await opened.group.whenLeading();
    if (id !== 0) await opened.bootstrap(surroundings.logic);
    opened.deleted = isMarkedDeleted(opened.group.state);
    return opened;
  }

  /** Work on the group that takes several turns: the database is not closed under it. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.works.add(running);
    try {
      return await running;
    } finally {
      this.works.delete(running);
    }
  }

  /** Milliseconds since 1970. */
  wallClock(): number {
    return this.surroundings.wallClock();
  }

  /**
   * A checkpoint when what the log of this thread has grown since the last one, by all groups, outgrows a share of the
   * database: the entries of a quiet group hold back the segments of the busy ones, too.
   */
  checkpointIfDue(): Promise<void> {
    const dueBytes = Math.max(limits.checkpointLogBytes, this.home.bytes * limits.checkpointLogShare);
    const grownBytes = this.surroundings.progress.loggedBytes - this.loggedAtCheckpoint;
    const moved = this.group.appliedIndex > this.checkpointIndex;
    const due = grownBytes >= dueBytes && moved && this.surroundings.monotonic() >= this.checkpointAfterMs;
    return due ? this.checkpoint() : Promise.resolve();
  }

  /** Takes a checkpoint and cuts the log behind it; one at a time. Rejects when a sync fails: end the process. */
  checkpoint(): Promise<void> {
    this.underWay = this.underWay.then(() => this.takeCheckpoint());
    return this.underWay;
  }

  private async takeCheckpoint(): Promise<void> {
    const { progress, monotonic, warn } = this.surroundings;
    const { loggedBytes } = progress;
    try {
      const state = await takeCheckpoint(this.engine, this.home, this.ending.signal);
      if (state === undefined) return;
      this.checkpointIndex = state.index;
      this.loggedAtCheckpoint = loggedBytes;
      this.log.compact(state.index);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      this.checkpointAfterMs = monotonic() + limits.checkpointRetryMs;
      warn(`group ${this.id}: no room for a checkpoint, the log goes on growing: ${(error as Error).message}`);
    }
  }

  /** After the log was closed: the database is closed, synced and marked clean. */
  async close(): Promise<void> {
    await this.quiesce();
    await this.engine.close();
    this.home.endWriting();
  }

  /** Of a deleted volume: the database is synced and marked clean, then the log is removed. The files stay. */
  async retire(): Promise<void> {
    await this.quiesce();
    await this.group.run(() => undefined);
    await this.home.syncData();
    this.home.endWriting();
    this.surroundings.raft.removeGroup(this.id);
    await this.engine.close();
  }

  private async quiesce(): Promise<void> {
    this.ending.abort();
    await Promise.allSettled(this.works);
    await this.underWay;
  }

  private async bootstrap(logic: MetaLogic): Promise<void> {
    await this.group.run((transaction, context) => {
      if (partitionOf(transaction) !== undefined) return;
      logic.bootstrap(transaction, context);
      setPartition(transaction, context.partition);
    });
  }

  private status(): GroupStatusAnswer {
    const { term, lastIndex, commitIndex, appliedIndex } = this.log.status;
    return {
      term,
      lastIndex,
      commitIndex,
      appliedIndex,
      logBytes: this.surroundings.raft.logBytes(this.id),
      databaseBytes: this.home.bytes,
      checkpointIndex: this.checkpointIndex,
      pending: this.group.pending,
      sessions: this.group.sessions.size,
      reclaimRows: countRows(this.group.state, Table.RECLAIM, RECLAIM_COUNT_LIMIT),
    };
  }
}
