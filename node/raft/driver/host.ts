// The raft of one thread: its log and all its groups. What groups propose in one turn of the event loop is written as
// one batch; while it is on its way the next gathers. Then: acknowledge to the cores, start the next write, and while
// that is on its way apply what the last one committed. An error anywhere here ends in `fatal`, after which nothing is
// acknowledged.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import { ENTRY_OVERHEAD_BYTES } from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { RECORD_HEADER_BYTES } from '../../../proto/wal.js';
import { tick } from '../core/index.js';
import type { GroupStatus, RaftGroup, RaftHost, StateMachine } from '../interface.js';
import { LeaseWriter } from '../lease.js';
import { Wal, type WalStorage } from '../wal/index.js';
import { Group } from './group.js';
import { type Clock, systemClock, Ticker } from './ticker.js';

export interface RaftHostOptions {
  /** Where the log is; made if it is not there. One host at a time. */
  readonly directory: string;
  /** This node in its groups' configurations, from 1. */
  readonly id?: number;
  /** Memory from `createLeases`, if other threads read locally. */
  readonly leases?: SharedArrayBuffer;
  /** The log failed, or a state machine threw: end the process. By default it says why and exits. */
  readonly fatal?: (error: Error) => void;
  /** Something that a person should know: a torn tail that was cut, a full disk. */
  readonly warn?: (message: string) => void;
  readonly clock?: Clock;
  readonly random?: (bound: number) => number;
  readonly storage?: WalStorage;
  readonly segmentBytes?: number;
  readonly retryMs?: number;
}

export interface HostFigures {
  readonly syncs: number;
  readonly bytes: number;
  readonly records: number;
  /** Segments ready to be written. */
  readonly prepared: number;
}

function exit(error: Error): void {
  process.stderr.write(`raft log failed, ending: ${error.stack ?? error.message}\n`);
  process.exit(1);
}

/**
 * Opens the log of a thread. Rejects with WalDamaged if synced data is damaged: nothing may be started from it; with
 * OfsError NOSPC if there is no room for a log.
 */
export async function openRaftHost(options: RaftHostOptions): Promise<Host> {
  const fatal = options.fatal ?? exit;
  const warn = options.warn ?? ((message) => process.stderr.write(`${message}\n`));
  const relay: { host?: Host } = {};
  const wal = await Wal.open({
    directory: options.directory,
    ...(options.storage && { storage: options.storage }),
    ...(options.segmentBytes && { segmentBytes: options.segmentBytes }),
    ...(options.retryMs && { retryMs: options.retryMs }),
    fatal: (error) => (relay.host === undefined ? fatal(error) : relay.host.fail(error)),
    warn,
    onStalled: () => relay.host?.stalled(),
  });
  relay.host = new Host(wal, options, fatal);
  return relay.host;
}

/** A group's face to its state machine's service. */
class GroupHandle implements RaftGroup {
  constructor(
    private readonly host: Host,
    private readonly group: Group,
  ) {}

  get status(): GroupStatus {
    const { raft, log, leads } = this.group;
    return {
      term: raft.term,
      leading: leads,
      lastIndex: raft.log.lastIndex,
      commitIndex: raft.log.committed,
      appliedIndex: raft.log.applied,
      firstIndex: log.firstIndex,
      full: this.host.full,
    };
  }

  propose(payload: Uint8Array): number {
    return this.host.propose(this.group, payload);
  }

  acknowledging(index: number): void {
    this.group.acknowledging(index);
  }

  compact(index: number): void {
    this.group.cut(index);
    this.host.wake(this.group);
    this.host.relieve();
  }
}

export class Host implements RaftHost {
  private readonly groups = new Map<number, Group>();
  private readonly ticker: Ticker;
  private readonly lease: LeaseWriter | undefined;
  private readonly id: number;
  /** Groups with something to do, in the order in which it came up. */
  private dirty: Group[] = [];
  private storing: Group[] = [];
  private readonly removals: number[] = [];
  /** Bytes of entries that were proposed and not yet given to the log. */
  private pendingBytes = 0;
  private scheduled = false;
  private closing = false;
  private failed = false;
  private onIdle: (() => void) | undefined;
  private proofTimer: NodeJS.Timeout | undefined;
  private readonly pumpNow = (): void => this.pump();
  private readonly committed = (): void => this.storeDone();

  constructor(
    private readonly wal: Wal,
    private readonly options: RaftHostOptions,
    private readonly fatal: (error: Error) => void,
  ) {
    this.id = options.id ?? 1;
    this.lease = options.leases === undefined ? undefined : new LeaseWriter(options.leases);
    this.ticker = new Ticker(options.clock ?? systemClock, () => this.tick());
  }

  /** Counts of the log's work since it was opened. */
  get figures(): HostFigures {
    return { ...this.wal.figures, prepared: this.wal.prepared };
  }

  /** The disk has no room for a further log segment: proposals are refused when the last one on disk is full. */
  get full(): boolean {
    return this.wal.full;
  }

  get ticking(): boolean {
    return this.ticker.running;
  }

  addGroup(group: number, machine: StateMachine): RaftGroup {
    assert(!this.closing && !this.groups.has(group), `group ${group} is here already`);
    if (this.removals.includes(group)) throw new OfsError(Status.BUSY, `group ${group} is being removed: try again`);
    const found = new Group({
      id: this.id,
      wal: this.wal,
      log: this.wal.group(group) ?? this.wal.addGroup(group),
      machine,
      lease: this.lease,
      random: this.options.random ?? ((bound) => Math.floor(Math.random() * bound)),
    });
    this.groups.set(group, found);
    this.wake(found);
    return new GroupHandle(this, found);
  }

  removeGroup(group: number): void {
    const found = this.groups.get(group);
    assert(found !== undefined, `group ${group} is not here`);
    this.groups.delete(group);
    this.pendingBytes -= found.counted;
    found.remove();
    this.removals.push(group);
    this.schedule();
  }

  logBytes(group: number): number {
    return this.wal.group(group)?.bytes ?? 0;
  }

  /** Resolves when all that was proposed is applied and the log is closed. */
  async close(): Promise<void> {
    assert(!this.closing);
    this.closing = true;
    if (!this.failed && !this.idle()) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
        this.schedule();
      });
    }
    this.ticker.run(false);
    clearTimeout(this.proofTimer);
    for (const group of this.groups.values()) group.remove();
    await this.wal.close();
  }

  propose(group: Group, payload: Uint8Array): number {
    assert(payload.length <= limits.raftEntryBytes, 'a proposal within its limit');
    if (this.closing || this.failed || group.removed || !group.leads) return 0;
    const bytes = payload.length + ENTRY_OVERHEAD_BYTES + RECORD_HEADER_BYTES;
    if (!this.wal.hasRoom(this.pendingBytes + this.wal.stagedBytes + bytes)) return 0;
    const copy = Buffer.allocUnsafe(payload.length);
    copy.set(payload);
    const index = group.raft.propose(copy);
    if (index !== 0) {
      this.count(group);
      this.wake(group);
    }
    return index;
  }

  wake(group: Group): void {
    if (!group.dirty) {
      group.dirty = true;
      this.dirty.push(group);
    }
    this.schedule();
  }

  fail(error: Error): void {
    if (this.failed) return;
    this.failed = true;
    this.ticker.run(false);
    for (const group of this.groups.keys()) this.lease?.clear(group);
    this.fatal(error);
    this.onIdle?.();
  }

  /** A log that waits for room does not hold up a close: what it would write was acknowledged to nobody. */
  stalled(): void {
    this.relieve();
    this.onIdle?.();
  }

  /** If the log waits for room: writes what groups no longer need, which may give it some. */
  relieve(): void {
    if (this.failed || !this.wal.stalled) return;
    const cut = [...this.groups.values()].filter((group) => group.takeCut());
    if (cut.length > 0) this.wal.relieve(cut.map((group) => group.log));
  }

  private schedule(): void {
    if (this.scheduled || this.wal.busy) return;
    this.scheduled = true;
    setImmediate(this.pumpNow);
  }

  private pump(): void {
    this.scheduled = false;
    if (this.failed) return;
    if (this.wal.busy) return;
    try {
      this.turn();
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    if (this.onIdle !== undefined && this.idle()) this.onIdle();
    else if (this.proofTimer === undefined && this.wal.wantsProof) this.proveLater();
  }

  /** When the log has been at rest for a while, a last batch proves that all before it was synced. */
  private proveLater(): void {
    this.proofTimer = setTimeout(() => {
      this.proofTimer = undefined;
      if (!this.closing && !this.failed && this.wal.wantsProof) this.wal.commit(this.committed);
    }, limits.walProofMs);
    this.proofTimer.unref();
  }

  /** Stages the work of all groups up to a batch, writes it, and applies what was committed meanwhile. */
  private turn(): void {
    const turn = this.dirty;
    this.dirty = [];
    let write = this.removals.length > 0;
    for (const group of this.removals) if (this.wal.group(group) !== undefined) this.wal.stageRemoval(group);
    this.removals.length = 0;
    for (const group of turn) {
      group.dirty = false;
      if (group.removed) continue;
      const room = this.wal.batchBytes - this.wal.stagedBytes;
      if (room <= 0) {
        this.wake(group);
        continue;
      }
      if (group.stage(room, limits.raftApplyBytes)) {
        write = true;
        this.storing.push(group);
      } else {
        group.storeDone();
      }
      this.count(group);
    }
    if (write) this.wal.commit(this.committed);
    for (const group of turn) {
      group.apply();
      if (group.pending) this.wake(group);
    }
    this.updateTicker(turn);
  }

  private storeDone(): void {
    if (this.failed) return;
    const stored = this.storing;
    this.storing = [];
    try {
      for (const group of stored) {
        group.storeDone();
        if (group.pending) this.wake(group);
      }
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    // Answers that may leave before their entries are applied leave in microtasks queued before this one.
    queueMicrotask(this.pumpNow);
  }

  private count(group: Group): void {
    const { unhandedBytes } = group.raft.log;
    this.pendingBytes += unhandedBytes - group.counted;
    group.counted = unhandedBytes;
  }

  private updateTicker(turn: readonly Group[]): void {
    if (!this.ticker.running && turn.every((group) => group.raft.quiet)) return;
    let needed = false;
    for (const group of this.groups.values()) needed ||= !group.raft.quiet;
    this.ticker.run(needed && !this.closing);
  }

  private tick(): void {
    for (const group of this.groups.values()) {
      if (group.raft.quiet) continue;
      tick(group.raft);
      if (group.pending) this.wake(group);
    }
  }

  private idle(): boolean {
    if (this.wal.stalled) return true;
    return !this.wal.busy && !this.scheduled && this.dirty.length === 0 && this.removals.length === 0;
  }
}
