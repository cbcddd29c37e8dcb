// A group as it stands on this node: its files, its database, its state machine and its log, opened in the order that
// makes a start exact, and closed so that the next start has nothing to repair.

import { limits } from '../../proto/limits.js';
import { keys, Table } from '../../proto/meta/index.js';
import type { RaftGroup, RaftHost } from '../raft/interface.js';
import { takeCheckpoint } from './checkpoint.js';
import { Engine } from './engine.js';
import { MetaGroup } from './group.js';
import type { GroupHome } from './home.js';
import { type BoundOperation, bindOperations, type MetaLogic } from './operation-table.js';
import { type ClusterInfo, countRows, type GroupStatusAnswer, handlersOf } from './service-handlers.js';
import type { Monotonic } from './sessions.js';

const BOOTSTRAPPED_KEY = keys.state('bootstrapped');
/** The volume is deleted: nothing of it is answered any more. */
export const DELETED_KEY = keys.state('deleted');
/** groupStatus counts reclaim rows no further. */
const RECLAIM_COUNT_LIMIT = 100_000;

export interface GroupSurroundings {
  readonly raft: RaftHost;
  readonly bootId: string;
  readonly logic: MetaLogic;
  readonly clusterInfo: ClusterInfo;
  readonly mayRead: (group: number) => boolean;
  readonly monotonic: Monotonic;
  readonly wallClock: () => number;
  readonly warn: (message: string) => void;
}

export class OpenGroup {
  readonly engine: Engine;
  readonly group: MetaGroup;
  readonly operations: readonly (BoundOperation | undefined)[];
  /** The volume is deleted, or on the way. */
  deleted = false;
  private readonly log: RaftGroup;
  private checkpointIndex = 0;
  private checkpointMs: number;
  private underWay: Promise<void> = Promise.resolve();

  private constructor(
    readonly id: number,
    partition: number,
    readonly home: GroupHome,
    private readonly surroundings: GroupSurroundings,
  ) {
    const start = home.prepare(surroundings.bootId);
    if (start === 'restored' || start === 'emptied') {
      surroundings.warn(`group ${id}: the machine ended without a clean stop; database ${start}, the log replays`);
    }
    this.engine = new Engine(home.data);
    home.beginWriting();
    const { monotonic, wallClock } = surroundings;
    const mayRead = (): boolean => surroundings.mayRead(id);
    this.group = new MetaGroup({ id, partition, engine: this.engine, mayRead, monotonic, wallClock });
    const { reads, writes } = handlersOf(this.group, surroundings.logic, {
      status: () => this.status(),
      clusterInfo: surroundings.clusterInfo,
    });
    this.operations = bindOperations(reads, writes);
    this.log = surroundings.raft.addGroup(id, this.group);
    this.group.attach(this.log);
    this.checkpointMs = monotonic();
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
    opened.deleted = opened.engine.get(DELETED_KEY) !== undefined;
    return opened;
  }

  /** A checkpoint when the log has outgrown its share of the database, or has long stood still. */
  checkpointIfDue(): Promise<void> {
    const { raft, monotonic } = this.surroundings;
    const dueBytes = Math.max(limits.checkpointLogBytes, this.engine.bytes * limits.checkpointLogShare);
    const idle = monotonic() - this.checkpointMs >= limits.checkpointIdleMs;
    const moved = this.group.appliedIndex > this.checkpointIndex;
    if (raft.logBytes(this.id) < dueBytes && !(idle && moved)) return Promise.resolve();
    return this.checkpoint();
  }

  /** Takes a checkpoint and cuts the log behind it; one at a time. */
  checkpoint(): Promise<void> {
    this.underWay = this.underWay.then(async () => {
      const { index } = await takeCheckpoint(this.engine, this.home);
      this.checkpointIndex = index;
      this.checkpointMs = this.surroundings.monotonic();
      this.log.compact(index);
    });
    return this.underWay;
  }

  /** The database is closed, synced and marked clean. The log must be closed or removed first, or right after. */
  async close(): Promise<void> {
    await this.underWay;
    await this.engine.close();
    this.home.endWriting();
  }

  private async bootstrap(logic: MetaLogic): Promise<void> {
    await this.group.run((transaction, context) => {
      if (transaction.get(BOOTSTRAPPED_KEY) !== undefined) return;
      logic.bootstrap(transaction, context);
      transaction.put(BOOTSTRAPPED_KEY, Buffer.alloc(0));
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
      databaseBytes: this.engine.bytes,
      checkpointIndex: this.checkpointIndex,
      pending: this.group.pending,
      sessions: this.group.sessions.size,
      reclaimRows: countRows(this.group.state, Table.RECLAIM, RECLAIM_COUNT_LIMIT),
    };
  }
}
