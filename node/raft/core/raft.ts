// One member of a raft group: state, and the moves between roles (Ongaro, "Consensus: Bridging Theory and Practice",
// 2014; pre-vote and check-quorum as in its sections 9.6 and 6.2). Pure: messages and ticks in, `ready` out; no I/O, no
// clock, no randomness of its own. What a message does in a role stands in follower.ts, candidate.ts and leader.ts,
// reached through the table in steps.ts; changes.ts, reads.ts, transfer.ts, snapshots.ts and quiescence.ts are the
// matters that go beyond the paper's core. Guarantees:
//   R1  At most one vote a term, in the store before it leaves.
//   R2  A leader never replaces or removes entries of its own log.
//   R3  A vote goes only to a log at least as up to date as the voter's.
//   R4  Only entries of the leader's own term are committed by counting; those before them with them.
//   R5  A member's own log counts towards a quorum only as far as its store has acknowledged it, in this term.
//   R6  A leader tells others no commit index that it has not applied itself.
//   R7  A member that restarted votes for nobody for one election timeout: a lease that it supported may still run.
//   R8  A member that heard from a leader helps nobody to an election, itself included, for one election timeout by its
//       clock, whatever terms it enters meanwhile; unless that leader asked for the election (transfer.ts).
//   R9  A leader that does not hear from a quorum for an election timeout steps down (check-quorum).

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import {
  type Configuration,
  type Entry,
  EntryKind,
  encodeConfiguration,
  type Message,
  MessageKind,
} from '../../../proto/raft/index.js';
import { Transfer } from './handover.js';
import { type LogStorage, RaftLog, type Snapshot } from './log.js';
import { Membership } from './membership.js';
import { isVoter } from './quorum.js';
import { type ReadGrant, Reads } from './tickets.js';
import { type Progress, Tracker } from './tracker.js';

export const Role = { FOLLOWER: 0, PRE_CANDIDATE: 1, CANDIDATE: 2, LEADER: 3 } as const;
export type Role = (typeof Role)[keyof typeof Role];

export interface HardState {
  readonly term: number;
  /** 0 for nobody. */
  readonly vote: number;
}

export interface RaftOptions {
  readonly id: number;
  /** The one in force at `appliedIndex`; those that follow are in the log. For a member that is to join: `unknown`. */
  readonly configuration: Configuration;
  readonly storage: LogStorage;
  readonly hardState: HardState;
  /** What the state machine has applied. */
  readonly appliedIndex: number;
  /** A whole number from 0 to below `bound`, at random: elections must not be held in step. */
  readonly random: (bound: number) => number;
  readonly electionTicks?: number;
  readonly heartbeatTicks?: number;
  /** Ticks without work after which a leader lets its group fall silent; 0 for never. */
  readonly quiesceTicks?: number;
  /**
   * Forced removal, when a quorum is gone for good: this configuration holds whatever log and state machine say. For
   * the one survivor whose log is furthest, until it has led. What only the lost had is lost; none of them may come back.
   */
  readonly forced?: Configuration;
  /** A number above every ticket that an earlier start of this member may have given to a read. */
  readonly firstTicket?: number;
}

/** What there is to do. Entries and hard state go to the store as one; `stored` is stepped when they are there. */
export interface Ready {
  /**
   * Goes to the store before `entries`, whole or not at all: the state machine's state becomes this one, the log begins
   * behind it and holds nothing. What earlier readies gave to be applied has been applied.
   */
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
  readonly hardState: HardState | null;
  /** May leave at once. */
  readonly messages: readonly Message[];
  /** Must wait until all that was ever handed to the store is in it. Those to the member itself are stepped. */
  readonly afterStore: readonly Message[];
  /** To be stepped when this ready's entries and hard state are in the store. */
  readonly stored: Message | null;
  /** To be applied, in order; they are in the store. Then `applied` is called. */
  readonly committed: readonly Entry[];
  /** Reads with tickets up to this one may be answered when all up to its index is applied. */
  readonly reads: ReadGrant | null;
  /** The newest round of heartbeats among `messages`, 0 for none: a lease is counted from when it left (lease.ts). */
  readonly round: number;
}

/** Why a proposal is refused. */
export type Refusal = 'not leading' | 'leadership is being handed over' | 'too many bytes uncommitted';

/** A message that rests on the log up to `index` being in the store. */
interface Waiting {
  readonly index: number;
  readonly message: Message;
}

const NO_PAYLOAD = Buffer.alloc(0);
const NO_ENTRIES: readonly Entry[] = [];
const NO_MESSAGES: readonly Message[] = [];
export const NOBODY = 0;

export class Raft {
  readonly id: number;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly membership: Membership;
  readonly reads: Reads;
  readonly transfer = new Transfer();
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  role: Role = Role.FOLLOWER;
  term: number;
  vote: number;
  leader = NOBODY;
  /** The index of the entry that this leader's term begins with. */
  termStart = 0;
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** R8. Ticks since a leader was heard of, in whatever term. */
  heardElapsed: number;
  /** The newest round of heartbeats: sent in this term by a leader, heard from its leader by another. */
  round = 0;
  /** Bytes of proposals that stand in the log of this leader and are not committed. */
  uncommittedBytes = 0;
  /** Nothing happens and all members know: no ticks, no heartbeats (quiescence.ts). */
  quiescent = false;
  idleTicks = 0;
  /** Others may lack entries or the commit index: `ready` sends it, for all that came up since the last in one go. */
  toReplicate = false;
  /** Heartbeats are due with the next `ready`. */
  toHeartbeat = false;
  /** A configuration that is not left, or not committed, or a leader that has to go with it: changes.ts. */
  unsettled = false;
  /** A candidate that lacks entries of this log has asked for a vote since a leader was heard of. */
  wanted = false;
  /** The only member of its group: nobody to wait for, nobody to compete with, nobody to tell. */
  alone = false;
  /** From 0; a member waits an election timeout longer for each step that it is below the highest. */
  priority = limits.raftPriorities - 1;
  readonly quiesceTicks: number;
  private readonly identities = new Map<number, number>();
  private sentRound = 0;
  private forced: Configuration | null = null;
  private timeoutTicks = 0;
  private silentTicks: number;
  private storedState: HardState;
  private messages: Message[] = [];
  private waiting: Waiting[] = [];
  private readonly random: (bound: number) => number;

  constructor(options: RaftOptions) {
    assert(options.id !== NOBODY);
    this.id = options.id;
    this.log = new RaftLog(options.storage, options.appliedIndex);
    this.membership = new Membership(options.appliedIndex, options.configuration);
    this.tracker = new Tracker(options.configuration);
    this.reads = new Reads(options.firstTicket ?? 0);
    this.electionTicks = options.electionTicks ?? limits.raftElectionTicks;
    this.heartbeatTicks = options.heartbeatTicks ?? limits.raftHeartbeatTicks;
    this.random = options.random;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.storedState = options.hardState;
    this.quiesceTicks = options.quiesceTicks ?? limits.raftQuiesceTicks;
    this.heardElapsed = this.electionTicks;
    this.takeLog(options.forced ?? null);
    // R7. Who is alone by what is not certain may have supported a leader that makes way only when it is.
    this.silentTicks = this.alone && this.membership.settled ? 0 : this.electionTicks;
    assert(this.term >= this.log.lastTerm, 'the term on disk is never behind the log');
    this.becomeFollower(this.term, NOBODY);
  }

  /** The one in force: the newest in the log. */
  get configuration(): Configuration {
    return this.membership.current;
  }

  get leading(): boolean {
    return this.role === Role.LEADER;
  }

  /** Ticks would change nothing. */
  get quiet(): boolean {
    return this.quiescent || (this.leading && this.alone);
  }

  /** R7. */
  get silent(): boolean {
    return this.silentTicks > 0;
  }

  /** R8, R9. A leader goes by check-quorum or a later term only. */
  get supportsLeader(): boolean {
    return this.leading || this.heardElapsed < this.electionTicks;
  }

  /**
   * Appends to the leader's log; returns the index, 0 if it is refused (`refusal` says why). A proposal with an identity
   * other than 0 is known while it is not applied: sent again, it is the same entry. From then on, and under another
   * leader, the state machine is to know it.
   */
  propose(payload: Buffer, identity = 0): number {
    if (this.refusal(payload.length) !== null) return 0;
    if (identity !== 0) {
      const known = this.identities.get(identity);
      if (known !== undefined) return known;
      this.identities.set(identity, this.log.lastIndex + 1);
    }
    this.uncommittedBytes += payload.length;
    return this.appendOwn(EntryKind.NORMAL, payload);
  }

  /** Why a proposal of so many bytes is refused; null if it is not. One is always taken when none is uncommitted. */
  refusal(bytes: number): Refusal | null {
    if (!this.leading) return 'not leading';
    if (this.transfer.target !== NOBODY) return 'leadership is being handed over';
    if (this.uncommittedBytes === 0 || this.uncommittedBytes + bytes <= limits.raftUncommittedBytes) return null;
    return 'too many bytes uncommitted';
  }

  /** A configuration that is in force from here on: M1. */
  appendConfiguration(configuration: Configuration): number {
    return this.appendOwn(EntryKind.CONFIGURATION, encodeConfiguration(configuration));
  }

  hasReady(): boolean {
    return (
      this.log.handed < this.log.lastIndex ||
      this.log.hasCommitted ||
      this.messages.length > 0 ||
      this.waitingIsDue(0) ||
      this.toReplicate ||
      this.toHeartbeat ||
      this.reads.due ||
      this.roundDue ||
      this.toSettle ||
      this.log.hasSnapshot ||
      this.stateChanged
    );
  }

  /** Reads wait for a round of heartbeats, and one may begin. */
  get roundDue(): boolean {
    const { waiting, rounds } = this.reads;
    if (waiting.size === 0 || !this.established) return false;
    return !this.transfer.asked && rounds.length < limits.raftReadRounds;
  }

  /** What `ready` of steps.ts hands out. */
  takeReady(storeBytes: number, applyBytes: number): Ready {
    const snapshot = this.log.takeSnapshot();
    const entries = this.log.handed < this.log.lastIndex ? this.log.takeUnstored(storeBytes) : NO_ENTRIES;
    const hardState = this.stateChanged ? { term: this.term, vote: this.vote } : null;
    if (hardState !== null) this.storedState = hardState;
    const toStore = entries.length > 0 || hardState !== null || snapshot !== null;
    const ready: Ready = {
      snapshot,
      entries,
      hardState,
      messages: this.messages.length > 0 ? this.messages : NO_MESSAGES,
      afterStore: this.waiting.length > 0 ? this.takeWaiting() : NO_MESSAGES,
      stored: toStore ? this.storedMessage() : null,
      committed: this.takeCommitted(applyBytes),
      reads: this.reads.takeGrant(),
      round: this.sentRound,
    };
    this.sentRound = 0;
    if (this.messages.length > 0) this.messages = [];
    return ready;
  }

  /** The state machine has applied all up to this entry. */
  applied(index: number): void {
    this.log.appliedTo(index);
    this.log.trim(this.alone ? 0 : limits.raftWindowBytes);
    this.toReplicate ||= this.leading && !this.alone;
    if (this.identities.size > 0) this.forgetIdentities(index);
    this.membership.settle(index);
  }

  /** The configuration in force is committed, and this leader has something to do about it: changes.ts. */
  get toSettle(): boolean {
    if (!this.unsettled || !this.established || this.transfer.target !== NOBODY) return false;
    return this.membership.currentIndex <= this.log.applied;
  }

  /** The log has these entries now: what they say of the configuration is in force. */
  takeEntries(entries: readonly Entry[]): void {
    if (this.membership.take(entries, this.log)) this.configured();
  }

  restore(snapshot: Snapshot): void {
    assert(!this.leading);
    this.log.restore(snapshot);
    this.membership.restore(snapshot.index, snapshot.configuration);
    this.configured();
  }

  /** Whether the first entry of this leader's term is applied: from then on it knows all that was committed before. */
  get established(): boolean {
    return this.leading && this.log.applied >= this.termStart;
  }

  becomeFollower(term: number, leader: number): void {
    this.reset(term);
    this.leader = leader;
    this.role = Role.FOLLOWER;
  }

  /** Asks, without raising its term, whether it would be elected. */
  becomePreCandidate(): void {
    assert(!this.leading);
    assert(!this.supportsLeader && !this.silent, 'R7, R8');
    this.tracker.votes.clear();
    this.leader = NOBODY;
    this.electionElapsed = 0;
    this.role = Role.PRE_CANDIDATE;
  }

  becomeCandidate(): void {
    assert(!this.leading);
    this.reset(this.term + 1);
    this.vote = this.id;
    this.role = Role.CANDIDATE;
  }

  becomeLeader(): void {
    assert(this.role === Role.CANDIDATE);
    this.reset(this.term);
    this.leader = this.id;
    this.role = Role.LEADER;
    this.unsettled = true;
    this.tracker.follow(this.id, this.log.lastIndex + 1);
    this.progressOf(this.id).replicate();
    const { forced } = this;
    this.termStart = forced ? this.appendConfiguration(forced) : this.appendOwn(EntryKind.EMPTY, NO_PAYLOAD);
    this.forced = null;
    this.reads.lead(this.id);
  }

  isVoter(id: number): boolean {
    return isVoter(this.configuration, id);
  }

  progressOf(id: number): Progress {
    return this.tracker.of(id);
  }

  /** Sends what may leave at once. */
  send(message: Message): void {
    assert(message.to !== this.id);
    this.messages.push(message);
    if (message.kind === MessageKind.HEARTBEAT) this.sentRound = message.context;
  }

  /** Sends what rests on term, vote or entries that must be in the store first: R1, R5. */
  sendStored(message: Message): void {
    this.waiting.push({ index: this.log.lastIndex, message });
  }

  message(kind: number, to: number, fields: Partial<Message> = {}): Message {
    return {
      kind,
      from: this.id,
      to,
      term: fields.term ?? this.term,
      index: fields.index ?? 0,
      logTerm: fields.logTerm ?? 0,
      commit: fields.commit ?? 0,
      reject: fields.reject ?? false,
      hintIndex: fields.hintIndex ?? 0,
      hintTerm: fields.hintTerm ?? 0,
      context: fields.context ?? 0,
      entries: fields.entries ?? NO_ENTRIES,
    };
  }

  /** Counts a tick; true if an election timeout has passed without a leader. */
  electionDue(): boolean {
    if (this.silentTicks > 0) this.silentTicks--;
    this.electionElapsed++;
    this.heardElapsed++;
    const patience = (limits.raftPriorities - 1 - this.priority) * this.electionTicks;
    return this.electionElapsed >= this.timeoutTicks + patience;
  }

  private get stateChanged(): boolean {
    return this.storedState.term !== this.term || this.storedState.vote !== this.vote;
  }

  private appendOwn(kind: number, payload: Buffer): number {
    const index = this.log.lastIndex + 1;
    const entry = { index, term: this.term, kind, payload };
    this.log.append(entry);
    if (kind === EntryKind.CONFIGURATION) this.takeEntries([entry]);
    this.toReplicate = !this.alone;
    this.idleTicks = 0;
    this.quiescent = false;
    return index;
  }

  /** What the store's log says of the configuration beyond what the state machine has applied. */
  private takeLog(forced: Configuration | null): void {
    const { log } = this;
    for (let from = log.applied + 1; from <= log.lastIndex; ) {
      const entries = log.read(from, log.lastIndex, limits.raftApplyBytes);
      this.membership.take(entries, log);
      from += entries.length;
    }
    if (forced !== null) this.membership.restore(log.lastIndex, forced);
    this.forced = forced;
    this.configured();
  }

  /** The configuration in force is committed: whoever is in it no more needs to be told nothing more. */
  forgetOthers(): void {
    this.tracker.forgetOthers(this.id);
    this.alone = this.sole;
  }

  /** Another configuration is in force. A leader goes on telling those who are in it no more until it is committed. */
  private configured(): void {
    this.tracker.configuration = this.configuration;
    this.unsettled = true;
    if (this.leading) this.tracker.follow(this.id, this.log.lastIndex + 1);
    this.alone = this.sole && this.tracker.progress.size <= 1;
  }

  private get sole(): boolean {
    const { voters, outgoing, learners } = this.configuration;
    return voters.length === 1 && outgoing.length === 0 && learners.length === 0 && voters[0] === this.id;
  }

  private forgetIdentities(applied: number): void {
    for (const [identity, index] of this.identities) {
      if (index > applied) return;
      this.identities.delete(identity);
    }
  }

  private storedMessage(): Message | null {
    const { handed, stable } = this.log;
    if (handed <= stable) return null;
    return this.message(MessageKind.STORED, this.id, { index: handed, logTerm: this.log.term(handed) });
  }

  /** An answer that speaks for entries never outlives them in its term, so entries that were cut are not waited for. */
  private waitingIsDue(at: number): boolean {
    const waiting = this.waiting[at];
    return waiting !== undefined && Math.min(waiting.index, this.log.lastIndex) <= this.log.handed;
  }

  /** Those whose entries are all handed to the store; the others wait for a later ready. */
  private takeWaiting(): Message[] {
    let count = 0;
    while (this.waitingIsDue(count)) count++;
    return this.waiting.splice(0, count).map(({ message }) => message);
  }

  private takeCommitted(applyBytes: number): readonly Entry[] {
    const entries = this.log.hasCommitted ? this.log.takeCommitted(applyBytes) : NO_ENTRIES;
    if (this.leading) {
      for (const { index, kind, payload } of entries) {
        if (index > this.termStart && kind === EntryKind.NORMAL) this.uncommittedBytes -= payload.length;
      }
      assert(this.uncommittedBytes >= 0);
    }
    return entries;
  }

  private reset(term: number): void {
    assert(term >= this.term);
    if (this.leading) this.heardElapsed = this.electionTicks;
    if (term !== this.term) {
      this.term = term;
      this.vote = NOBODY;
      this.round = 0;
      // R5: what waits for entries that were not handed to the store yet must not speak for those that replace them.
      this.waiting = this.waiting.filter(({ index }) => index <= this.log.handed);
    }
    this.leader = NOBODY;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.uncommittedBytes = 0;
    this.toReplicate = false;
    this.toHeartbeat = false;
    this.quiescent = false;
    this.idleTicks = 0;
    this.identities.clear();
    this.transfer.reset();
    this.reads.follow();
    this.timeoutTicks = this.electionTicks + this.random(this.electionTicks);
    this.tracker.reset();
  }
}
