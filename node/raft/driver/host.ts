// The raft of one thread: its log and all its groups. What groups propose in one turn of the event loop is written as
// one batch; while it is on its way the next gathers. Then: acknowledge to the cores, start the next write, and while
// that is on its way apply what the last one committed. An error anywhere here ends in `fatal`, after which nothing is
// acknowledged.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import {
  type Configuration,
  ENTRY_OVERHEAD_BYTES,
  type GroupMessage,
  isLocal,
  type Message,
  MessageKind,
  memberNode,
  type PieceAnswer,
  type SnapshotPiece,
} from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { RECORD_HEADER_BYTES } from '../../../proto/wal.js';
import { type Cancel, type Clock, systemClock } from '../clock.js';
import type { Change } from '../core/index.js';
import type { GroupStart, RaftHost, ReplicatedGroup, StateMachine } from '../interface.js';
import { LeaseWriter } from '../lease.js';
import { FilePublisher } from '../lease-file.js';
import { Wal, type WalStorage } from '../wal/index.js';
import { Group } from './group.js';
import { GroupHandle } from './group-handle.js';
import { Peers } from './peers.js';
import type { OnRead } from './reads.js';
import type { Surroundings } from './snapshot-traffic.js';
import { Ticker } from './ticker.js';
import { type Timing, timing } from './timing.js';
import { noTransport, Outbox, type Transport, type TransportReceiver } from './transport.js';

export interface RaftHostOptions {
  /** Where the log is; made if it is not there. One host at a time. */
  readonly directory: string;
  /** This node, from 1. */
  readonly id?: number;
  /** Memory from `createLeases`, if other threads read locally. */
  readonly leases?: SharedArrayBuffer;
  /** Path of the node's LeaseFile, if other processes read locally. */
  readonly leaseFile?: string;
  /** The log failed, or a state machine threw: end the process. By default it says why and exits. */
  readonly fatal?: (error: Error) => void;
  /** Something that a person should know: a torn tail that was cut, a full disk. */
  readonly warn?: (message: string) => void;
  readonly clock?: Clock;
  readonly timing?: Timing;
  /** To the other nodes; without one no group has other members. */
  readonly transport?: Transport;
  /** Bytes of entries that a group applies in one turn. */
  readonly applyBytes?: number;
  readonly random?: (bound: number) => number;
  readonly storage?: WalStorage;
  readonly segmentBytes?: number;
  readonly retryMs?: number;
}

export interface AddOptions {
  /** This node's member of the group, where it is not its first (proto/raft/member.ts). */
  readonly member?: number;
  /**
   * The configuration that holds whatever the log says, for the one survivor of a group whose quorum is gone for good
   * (core's RaftOptions.forced).
   */
  readonly forced?: Configuration;
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
    ...(options.clock && { clock: options.clock }),
    fatal: (error) => (relay.host === undefined ? fatal(error) : relay.host.fail(error)),
    warn,
    onStalled: () => relay.host?.stalled(),
  });
  relay.host = new Host(wal, options, fatal);
  return relay.host;
}

export class Host implements RaftHost, TransportReceiver {
  private readonly groups = new Map<number, Group>();
  private readonly ticker: Ticker;
  private readonly clock: Clock;
  private readonly timing: Timing;
  private readonly outbox: Outbox;
  private readonly peers: Peers;
  private readonly snapshots: Surroundings;
  private readonly published: FilePublisher | null;
  private readonly lease: LeaseWriter | undefined;
  private readonly id: number;
  private readonly applyBytes: number;
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
  private cancelProof: Cancel | undefined;
  private readonly pumpNow = (): void => this.pump();
  private readonly committed = (): void => this.storeDone();

  constructor(
    private readonly wal: Wal,
    private readonly options: RaftHostOptions,
    private readonly fatal: (error: Error) => void,
  ) {
    const { transport = noTransport } = options;
    this.id = options.id ?? 1;
    this.clock = options.clock ?? systemClock;
    this.timing = options.timing ?? timing;
    this.applyBytes = options.applyBytes ?? limits.raftApplyBytes;
    this.published = options.leaseFile === undefined ? null : new FilePublisher(options.leaseFile);
    this.lease = options.leases === undefined ? undefined : new LeaseWriter(options.leases, this.published);
    this.ticker = new Ticker(this.clock, this.timing.tickMs, () => this.tick());
    this.outbox = new Outbox(transport);
    this.peers = new Peers(this.timing.electionTicks);
    this.snapshots = { transport, sending: 0 };
    transport.attach(this);
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

  /** As RaftHost says. */
  addGroup(group: number, machine: StateMachine, { member = this.id, forced }: AddOptions = {}): ReplicatedGroup {
    assert(memberNode(member) === this.id, 'a member of a group that is on this node');
    assert(!this.closing && !this.groups.has(group), `group ${group} is here already`);
    if (this.removals.includes(group)) throw new OfsError(Status.BUSY, `group ${group} is being removed: try again`);
    const found = new Group({
      id: member,
      wal: this.wal,
      log: this.wal.group(group) ?? this.wal.addGroup(group),
      machine,
      lease: this.lease,
      random: this.options.random ?? ((bound) => Math.floor(Math.random() * bound)),
      timing: this.timing,
      outbox: this.outbox,
      snapshots: this.snapshots,
      onWork: (worked) => this.wake(worked),
      onFailure: (error) => this.fail(error),
      forced,
    });
    this.groups.set(group, found);
    this.wake(found);
    return new GroupHandle(this, found);
  }

  /** The entry that a group's log begins behind; undefined if the log knows nothing of the group. */
  logStart(group: number): GroupStart | undefined {
    const log = this.wal.group(group);
    return log === undefined ? undefined : { index: log.firstIndex - 1, term: log.previousTerm };
  }

  /** Of a group that was not added, too: a removal that did not come to its end goes on so. */
  removeGroup(group: number): void {
    const found = this.groups.get(group);
    if (found !== undefined) {
      this.groups.delete(group);
      this.pendingBytes -= found.counted;
      found.remove();
    }
    if (this.wal.group(group) === undefined) return;
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
    this.cancelProof?.();
    for (const group of this.groups.values()) group.remove();
    await this.wal.close();
    this.published?.close();
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

  change(group: Group, changes: readonly Change[]): number {
    if (this.closing || this.failed || group.removed) return 0;
    const index = group.change(changes);
    if (index !== 0) this.wake(group);
    return index;
  }

  /** What a group's surroundings have to say to its core. */
  tell(group: Group, message: Message): void {
    if (this.closing || this.failed || group.removed) return;
    this.guarded(() => group.deliver(message));
    this.wake(group);
  }

  /** False: there is nobody to ask, or too many wait. */
  readIndex(group: Group, onRead: OnRead): boolean {
    // A ticket must not leave before it is certain that no later start gives it again.
    if (this.closing || this.failed || !(this.wal.startStored || group.raft.alone)) return false;
    const asked = group.read(onRead);
    if (asked) this.wake(group);
    return asked;
  }

  receive(node: number, batch: readonly GroupMessage[]): void {
    if (this.closing || this.failed) return;
    this.peers.heard(node);
    for (const { group, message } of batch) {
      if (memberNode(message.from) !== node || memberNode(message.to) !== this.id || isLocal(message.kind))
        throw this.malformed(node, 'message');
      const found = this.groups.get(group);
      if (found?.raft.id !== message.to) continue; // of an earlier stay
      this.guarded(() => found.deliver(message));
      this.wake(found);
    }
  }

  receivePiece(node: number, piece: SnapshotPiece): void {
    if (this.closing || this.failed) return;
    if (memberNode(piece.from) !== node || memberNode(piece.to) !== this.id) throw this.malformed(node, 'snapshot');
    const found = this.groups.get(piece.group);
    if (found?.raft.id === piece.to) this.guarded(() => found.receivePiece(piece));
  }

  receivePieceAnswer(node: number, answer: PieceAnswer): void {
    if (this.closing || this.failed) return;
    if (memberNode(answer.from) !== node || memberNode(answer.to) !== this.id) throw this.malformed(node, 'answer');
    const found = this.groups.get(answer.group);
    if (found?.raft.id === answer.to) this.guarded(() => found.receivePieceAnswer(answer));
  }

  lost(node: number): void {
    if (this.closing || this.failed) return;
    for (const group of this.groups.values()) {
      const { raft } = group;
      for (const from of raft.leading ? [...raft.tracker.progress.keys()] : []) {
        if (memberNode(from) !== node) continue;
        this.guarded(() => group.deliver({ ...raft.message(MessageKind.UNREACHABLE, raft.id), from }));
        this.wake(group);
      }
    }
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
    this.clock.soon(this.pumpNow);
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
    else if (this.cancelProof === undefined && this.wal.wantsProof) this.proveLater();
  }

  /** When the log has been at rest for a while, a last batch proves that all before it was synced. */
  private proveLater(): void {
    this.cancelProof = this.clock.after(limits.walProofMs, () => {
      this.cancelProof = undefined;
      if (!this.closing && !this.failed && this.wal.wantsProof) this.wal.commit(this.committed);
    });
  }

  /** Stages the work of all groups up to a batch, writes it, and applies what was committed meanwhile. */
  private turn(): void {
    const turn = this.dirty;
    this.dirty = [];
    let write = this.removals.length > 0;
    for (const group of this.removals) if (this.wal.group(group) !== undefined) this.wal.stageRemoval(group);
    this.removals.length = 0;
    const nowUs = this.clock.nowUs();
    for (const group of turn) {
      group.dirty = false;
      if (!group.pending) continue;
      if (!this.wal.startStaged && !group.raft.alone) {
        this.wal.stageStart();
        write = true;
      }
      const room = this.wal.batchBytes - this.wal.stagedBytes;
      if (room <= 0) {
        this.wake(group);
        continue;
      }
      if (group.stage(room, this.applyBytes, nowUs)) {
        write = true;
        this.storing.push(group);
      } else {
        group.storeDone();
      }
      this.count(group);
    }
    if (write) this.wal.commit(this.committed);
    this.outbox.flush();
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
      this.outbox.flush();
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    // Answers that may leave before their entries are applied leave in microtasks queued before this one.
    this.clock.next(this.pumpNow);
  }

  private count(group: Group): void {
    const { unhandedBytes } = group.raft.log;
    this.pendingBytes += unhandedBytes - group.counted;
    group.counted = unhandedBytes;
  }

  private updateTicker(turn: readonly Group[]): void {
    if (!this.ticker.running && turn.every((group) => isAtRest(group))) return;
    let needed = false;
    for (const group of this.groups.values()) needed ||= !isAtRest(group);
    this.ticker.run(needed && !this.closing);
  }

  private tick(): void {
    this.peers.tick();
    for (const group of this.groups.values()) {
      if (group.raft.quiescent) this.watch(group);
      if (!group.raft.quiet) this.guarded(() => group.tick());
      if (group.pending) this.wake(group);
    }
    this.outbox.flush();
  }

  /** A silent group relies on its leader's node, and a leader lets the others hear that its node lives. */
  private watch(group: Group): void {
    const { raft } = group;
    if (raft.leading) {
      for (const id of raft.tracker.progress.keys()) if (id !== raft.id) this.outbox.greet(memberNode(id));
    } else if (this.peers.silent(memberNode(raft.leader))) {
      this.guarded(() => group.deliver(raft.message(MessageKind.WAKE, raft.id)));
    }
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private malformed(node: number, what: string): OfsError {
    return new OfsError(Status.MALFORMED, `node ${node} sends a ${what} that it may not send to node ${this.id}`);
  }

  private idle(): boolean {
    if (this.wal.stalled) return true;
    return !this.wal.busy && !this.scheduled && this.dirty.length === 0 && this.removals.length === 0;
  }
}

/** It needs no ticks, and nobody needs to hear of it. */
function isAtRest({ raft }: Group): boolean {
  return raft.leading && raft.alone;
}
