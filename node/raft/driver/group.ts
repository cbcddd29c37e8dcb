// One group of a host: its core, its place in the log and its state machine. Takes work from the core, lets the log
// stage it, lets messages leave when they may, applies what is committed and tells the state machine when it leads.
// Decides nothing about when to write.

import assert from 'node:assert';
import type { PieceAnswer, SnapshotPiece } from '../../../proto/raft/index.js';
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  EntryKind,
  type Message,
  MessageKind,
} from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import {
  type Change,
  changeMembers,
  cutLimit,
  leaseUs,
  Raft,
  type Ready,
  read,
  type Snapshot,
  single,
  step,
  ready as takeReady,
  tick,
} from '../core/index.js';
import type { CommittedEntry, StateMachine } from '../interface.js';
import type { LeaseWriter } from '../lease.js';
import type { GroupLog, Wal } from '../wal/index.js';
import { GroupStorage } from './group-storage.js';
import { LeaseKeeper } from './lease-keeper.js';
import { type OnRead, WaitingReads } from './reads.js';
import { SnapshotTraffic, type Surroundings } from './snapshot-traffic.js';
import type { Timing } from './timing.js';
import type { Outbox } from './transport.js';

const HANDED_NOTHING: readonly Message[] = [];
const ALL = Number.MAX_SAFE_INTEGER;

function assertFits(log: GroupLog, machine: StateMachine): void {
  const { appliedIndex, appliedTerm } = machine;
  const group = `group ${log.group}`;
  const stands = `${group}: the state machine stands at entry ${appliedIndex} of term ${appliedTerm}`;
  if (appliedIndex > log.lastIndex) {
    throw new OfsError(Status.CORRUPT, `${stands}, the log ends at ${log.lastIndex}: log segments are missing`);
  }
  if (appliedIndex < log.firstIndex - 1) {
    const begins = `the log begins at ${log.firstIndex}`;
    throw new OfsError(Status.CORRUPT, `${stands}, ${begins}: restore the checkpoint that the log was cut behind`);
  }
  if (log.entryTerm(appliedIndex) !== appliedTerm) {
    const term = log.entryTerm(appliedIndex);
    throw new OfsError(Status.CORRUPT, `${stands}, in the log it is of term ${term}: they are not of one history`);
  }
}

/** What a state machine gets to see: configurations apart from payloads. */
function committedEntries(entries: readonly Entry[]): readonly CommittedEntry[] {
  if (entries.every(({ kind }) => kind !== EntryKind.CONFIGURATION)) return entries;
  return entries.map((entry) => {
    if (entry.kind !== EntryKind.CONFIGURATION) return entry;
    const { index, term, payload } = entry;
    return { index, term, payload: payload.subarray(0, 0), configuration: decodeConfiguration(payload) };
  });
}

export interface GroupOptions {
  readonly id: number;
  readonly wal: Wal;
  readonly log: GroupLog;
  readonly machine: StateMachine;
  readonly lease: LeaseWriter | undefined;
  readonly random: (bound: number) => number;
  readonly timing: Timing;
  readonly outbox: Outbox;
  readonly snapshots: Surroundings;
  /** There is work that came from elsewhere than the host. */
  readonly onWork: (group: Group) => void;
  readonly onFailure: (error: Error) => void;
  readonly forced: Configuration | undefined;
}

export class Group {
  readonly raft: Raft;
  readonly log: GroupLog;
  dirty = false;
  removed = false;
  /** Bytes of its unwritten entries that the host has counted. */
  counted = 0;
  readonly reads = new WaitingReads();
  private readonly wal: Wal;
  private readonly machine: StateMachine;
  private readonly lease: LeaseKeeper;
  private readonly traffic: SnapshotTraffic;
  private cutTo = 0;
  private stored: Message | null = null;
  private afterStore: readonly Message[] = HANDED_NOTHING;
  private ready: Ready | undefined;
  /** The log names it, and the state machine is about to become it: nothing is taken from the core meanwhile. */
  private installing: Snapshot | null = null;
  /** The term in which the state machine was told that it leads; 0 when it was not. */
  private ledTerm = 0;
  /** What was committed when this member was last seen to lead: later entries may not be those that it proposed. */
  private committedLeading = 0;
  /** Answers that stand on entries up to this one may have left. */
  private acknowledged = 0;

  /** Throws OfsError CORRUPT if log and state machine do not fit together. */
  constructor(private readonly options: GroupOptions) {
    const { id, wal, log, machine, random, timing, forced } = options;
    assertFits(log, machine);
    this.wal = wal;
    this.log = log;
    this.machine = machine;
    this.raft = new Raft({
      id,
      configuration: machine.configuration ?? single(id),
      storage: new GroupStorage(wal, log, machine),
      hardState: { term: log.term, vote: log.vote },
      appliedIndex: machine.appliedIndex,
      random,
      electionTicks: timing.electionTicks,
      heartbeatTicks: timing.heartbeatTicks,
      quiesceTicks: timing.quiesceTicks,
      firstTicket: wal.starts * TICKETS_PER_START,
      ...(forced && { forced }),
    });
    this.lease = new LeaseKeeper(options.lease, log.group, leaseUs(timing));
    this.traffic = new SnapshotTraffic(log.group, this.raft, machine.snapshots, options.snapshots, (message) => {
      this.deliver(message);
      options.onWork(this);
    });
    if (this.raft.alone) step(this.raft, this.raft.message(MessageKind.CAMPAIGN, id));
  }

  get leads(): boolean {
    return this.ledTerm !== 0 && this.ledTerm === this.raft.term;
  }

  get pending(): boolean {
    return (
      !this.removed && this.installing === null && (this.raft.hasReady() || this.cutAllowed >= this.log.firstIndex)
    );
  }

  /** The state machine asks for entries up to `index` to be cut from the log. */
  cut(index: number): void {
    const { newest } = this.machine.snapshots ?? { newest: null };
    assert(index <= this.raft.log.applied, 'only what is applied can be in a checkpoint');
    assert(
      this.machine.snapshots === undefined || (newest !== null && index <= newest.index),
      'cut behind a checkpoint',
    );
    this.cutTo = Math.max(this.cutTo, index);
  }

  /** Moves the log's beginning to where it is wanted and allowed; returns whether that is news. */
  takeCut(): boolean {
    const index = this.cutAllowed;
    if (index < this.log.firstIndex) return false;
    this.log.keepFrom(index + 1, this.log.entryTerm(index));
    return true;
  }

  /** A message of another member, or of this one's surroundings. */
  deliver(message: Message): void {
    step(this.raft, message);
    this.followRole();
  }

  tick(): void {
    tick(this.raft);
    this.traffic.tick();
    this.followRole();
  }

  /** Asks for a linearizable read; false if there is nobody to ask. */
  read(onRead: OnRead): boolean {
    if (this.removed || this.reads.full) return false;
    const ticket = read(this.raft);
    if (ticket === 0) return false;
    this.reads.add(ticket, onRead);
    return true;
  }

  change(changes: readonly Change[]): number {
    const index = changeMembers(this.raft, changes);
    this.followRole();
    return index;
  }

  receivePiece(piece: SnapshotPiece): void {
    if (this.installing === null) this.traffic.receive(piece);
  }

  receivePieceAnswer(answer: PieceAnswer): void {
    this.traffic.receiveAnswer(answer);
  }

  /** Stages what the core wants stored, up to `storeBytes`. Returns whether the log has something to write. */
  stage(storeBytes: number, applyBytes: number, nowUs: number): boolean {
    const before = this.wal.stagedBytes;
    const { raft, log } = this;
    // What was acknowledged is applied in the turn that follows, all of it: nobody may read the state without it.
    const ready = takeReady(raft, storeBytes, this.acknowledged > raft.log.applying ? ALL : applyBytes);
    if (ready.hardState !== null) {
      log.term = ready.hardState.term;
      log.vote = ready.hardState.vote;
    }
    if (ready.snapshot !== null) this.stageSnapshot(ready.snapshot);
    else if (this.takeCut() || ready.hardState !== null) this.wal.stageState(log);
    for (const entry of ready.entries) this.wal.stageEntry(log, entry);
    this.lease.follow(raft);
    this.traffic.follow();
    if (ready.round !== 0) this.lease.leaves(raft, ready.round, nowUs);
    for (const message of ready.messages) this.post(message);
    if (ready.reads !== null) this.reads.grant(ready.reads);
    this.ready = ready;
    this.stored = ready.stored;
    this.afterStore = ready.afterStore;
    return this.wal.stagedBytes > before;
  }

  /** What the last `stage` staged is on disk, or it staged nothing and all before it is. */
  storeDone(): void {
    if (this.removed) return;
    const { installing } = this;
    const { snapshots } = this.machine;
    if (installing === null) {
      this.acknowledgeStore();
      return;
    }
    assert(snapshots !== undefined, 'who takes snapshots has where to keep them');
    snapshots.install(installing, (error) => {
      if (error !== null) this.options.onFailure(error);
      else if (!this.removed) this.installed(installing);
    });
  }

  /** Applies what the last `stage` found committed, and answers reads that waited for it. */
  apply(): void {
    const entries = this.ready?.committed;
    this.ready = undefined;
    if (this.removed || this.installing !== null) return;
    if (entries !== undefined && entries.length > 0) {
      const last = entries[entries.length - 1]!.index; // not empty
      if (this.leads && last > this.acknowledged) this.acknowledge(last);
      this.machine.apply(committedEntries(entries));
      this.raft.applied(last);
      this.lease.applied(last);
      this.followRole();
    }
    this.reads.applied(this.raft.log.applied);
  }

  acknowledging(index: number): void {
    assert(this.leads && index <= this.raft.log.committed, 'only what is committed is acknowledged');
    this.lease.acknowledging(index);
  }

  remove(): void {
    this.removed = true;
    this.lease.end();
    this.traffic.end();
    this.reads.end();
  }

  /** How far the log may be cut now: as far as is wanted, and the core lets go. */
  private get cutAllowed(): number {
    if (this.cutTo < this.log.firstIndex || this.installing !== null) return 0;
    return cutLimit(this.raft, this.cutTo);
  }

  private post(message: Message): void {
    if (message.kind === MessageKind.SNAPSHOT) this.traffic.send(message);
    else this.options.outbox.add(this.log.group, message);
  }

  /** The state and the entries behind it are one with what is staged: the log holds them whole or not at all. */
  private stageSnapshot(snapshot: Snapshot): void {
    this.installing = snapshot;
    this.log.reset(snapshot.index + 1, snapshot.term);
    this.wal.stageReset(this.log);
  }

  private installed(snapshot: Snapshot): void {
    const { appliedIndex, appliedTerm } = this.machine;
    assert(appliedIndex === snapshot.index && appliedTerm === snapshot.term, 'the state machine is the snapshot');
    this.installing = null;
    this.acknowledgeStore();
    this.reads.applied(this.raft.log.applied);
    this.options.onWork(this);
  }

  private acknowledgeStore(): void {
    const { stored, afterStore, raft } = this;
    this.stored = null;
    this.afterStore = HANDED_NOTHING;
    if (stored !== null) this.deliver(stored);
    for (const message of afterStore) {
      if (message.to === raft.id) this.deliver(message);
      else this.post(message);
    }
    // Nobody else reads a group of one, so that answers may leave earlier still; elsewhere a read that is asked for
    // between an answer and its entry's turn would miss it.
    if (raft.alone && this.leads && raft.log.hasCommitted) this.acknowledge(raft.log.committed);
  }

  private acknowledge(index: number): void {
    this.acknowledged = index;
    this.machine.committed(index);
  }

  /** Tells the state machine what the core has become, and readers whether they may read. */
  private followRole(): void {
    const { raft } = this;
    if (this.ledTerm !== 0 && !(raft.leading && raft.term === this.ledTerm)) {
      this.lease.end();
      this.ledTerm = 0;
      this.machine.leadership(false, raft.term);
      this.machine.dropped(this.committedLeading + 1);
    }
    if (this.ledTerm === 0 && raft.established) {
      this.ledTerm = raft.term;
      this.machine.leadership(true, raft.term);
    }
    if (this.ledTerm !== 0) this.committedLeading = raft.log.committed;
    this.lease.follow(raft);
  }
}

/** More reads than a member asks for between two starts. */
const TICKETS_PER_START = 2 ** 32;
