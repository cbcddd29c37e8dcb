// One group of a host: its core, its place in the log and its state machine. Takes work from the core, lets the log
// stage it, applies what is committed and tells the state machine when it leads. Decides nothing about when to write.

import assert from 'node:assert';
import type { Message } from '../../../proto/raft/index.js';
import { MessageKind } from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { type LogStorage, Raft, type Ready, single, step, ready as takeReady } from '../core/index.js';
import type { StateMachine } from '../interface.js';
import { FOREVER, type LeaseWriter } from '../lease.js';
import type { GroupLog, Wal } from '../wal/index.js';

const HANDED_NOTHING: readonly Message[] = [];

/** The entries of a group in the log, as its core reads them. */
class GroupStorage implements LogStorage {
  constructor(
    private readonly wal: Wal,
    private readonly log: GroupLog,
  ) {}

  get firstIndex(): number {
    return this.log.firstIndex;
  }

  get lastIndex(): number {
    return this.log.lastIndex;
  }

  entryTerm(index: number): number {
    return this.log.entryTerm(index);
  }

  read(from: number, to: number, maxBytes: number) {
    return this.wal.read(this.log, from, to, maxBytes);
  }

  /** A group of one has nobody to give a snapshot to. */
  snapshot() {
    return null;
  }
}

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

export interface GroupOptions {
  readonly id: number;
  readonly wal: Wal;
  readonly log: GroupLog;
  readonly machine: StateMachine;
  readonly lease: LeaseWriter | undefined;
  readonly random: (bound: number) => number;
}

export class Group {
  readonly raft: Raft;
  readonly log: GroupLog;
  dirty = false;
  removed = false;
  /** Bytes of its unwritten entries that the host has counted. */
  counted = 0;
  private readonly wal: Wal;
  private readonly machine: StateMachine;
  private readonly lease: LeaseWriter | undefined;
  private cutTo = 0;
  private stored: Message | null = null;
  private afterStore: readonly Message[] = HANDED_NOTHING;
  private ready: Ready | undefined;
  /** The term in which the state machine was told that it leads; 0 when it was not. */
  private ledTerm = 0;

  /** Throws OfsError CORRUPT if log and state machine do not fit together. */
  constructor(options: GroupOptions) {
    const { id, wal, log, machine, random } = options;
    assertFits(log, machine);
    this.wal = wal;
    this.log = log;
    this.machine = machine;
    this.lease = options.lease;
    this.raft = new Raft({
      id,
      configuration: single(id),
      storage: new GroupStorage(wal, log),
      hardState: { term: log.term, vote: log.vote },
      appliedIndex: machine.appliedIndex,
      random,
    });
    this.lease?.clear(log.group);
    if (this.raft.alone) step(this.raft, this.raft.message(MessageKind.CAMPAIGN, id));
  }

  get leads(): boolean {
    return this.ledTerm !== 0 && this.ledTerm === this.raft.term;
  }

  get pending(): boolean {
    return !this.removed && (this.raft.hasReady() || this.cutTo >= this.log.firstIndex);
  }

  cut(index: number): void {
    assert(index <= this.raft.log.applied, 'a checkpoint holds no more than what was applied');
    if (index > this.cutTo) this.cutTo = index;
  }

  /** Cuts the log where `cut` asked for; true if there is something to be written for it. */
  takeCut(): boolean {
    if (this.cutTo < this.log.firstIndex) return false;
    this.log.keepFrom(this.cutTo + 1, this.log.entryTerm(this.cutTo));
    return true;
  }

  /** Stages what the core wants stored, up to `storeBytes`. Returns whether the log has something to write. */
  stage(storeBytes: number, applyBytes: number): boolean {
    const before = this.wal.stagedBytes;
    const ready = takeReady(this.raft, storeBytes, applyBytes);
    const { log } = this;
    if (ready.hardState !== null) {
      log.term = ready.hardState.term;
      log.vote = ready.hardState.vote;
    }
    if (this.takeCut() || ready.hardState !== null) this.wal.stageState(log);
    for (const entry of ready.entries) this.wal.stageEntry(log, entry);
    assert(ready.messages.length === 0, 'a group of one has nobody to talk to');
    this.ready = ready;
    this.stored = ready.stored;
    this.afterStore = ready.afterStore;
    return this.wal.stagedBytes > before;
  }

  /** What the last `stage` staged is on disk, or it staged nothing and all before it is. */
  storeDone(): void {
    const { stored, afterStore } = this;
    this.stored = null;
    this.afterStore = HANDED_NOTHING;
    if (this.removed) return;
    if (stored !== null) step(this.raft, stored);
    for (const message of afterStore) step(this.raft, message);
    this.followRole();
    if (this.leads && this.raft.log.hasCommitted) this.machine.committed(this.raft.log.committed);
  }

  acknowledging(index: number): void {
    assert(this.leads && index <= this.raft.log.committed, 'only what is committed is acknowledged');
    this.lease?.acknowledging(this.log.group, index);
  }

  /** Applies what the last `stage` found committed. */
  apply(): void {
    const entries = this.ready?.committed;
    this.ready = undefined;
    if (entries === undefined || entries.length === 0 || this.removed) return;
    const last = entries[entries.length - 1]!.index;
    this.machine.apply(entries);
    this.raft.applied(last);
    if (this.leads) this.lease?.applied(this.log.group, last);
    this.followRole();
  }

  remove(): void {
    this.removed = true;
    this.lease?.clear(this.log.group);
  }

  /** Tells the state machine what the core has become. */
  private followRole(): void {
    const { raft } = this;
    if (this.ledTerm !== 0 && !(raft.leading && raft.term === this.ledTerm)) {
      this.lease?.clear(this.log.group);
      this.ledTerm = 0;
      this.machine.leadership(false, raft.term);
      this.machine.dropped(raft.log.committed + 1);
    }
    if (this.ledTerm !== 0 || !raft.established) return;
    this.ledTerm = raft.term;
    this.machine.leadership(true, raft.term);
    if (raft.alone) {
      this.lease?.grant(this.log.group, {
        term: raft.term,
        deadlineUs: FOREVER,
        appliedIndex: raft.log.applied,
      });
    }
  }
}
