// One member of a raft group: state, and the moves between roles (Ongaro, "Consensus: Bridging Theory and Practice",
// 2014; pre-vote and check-quorum as in its sections 9.6 and 6.2). Pure: messages and ticks in, `ready` out; no I/O, no
// clock, no randomness of its own. What a message does in a role stands in follower.ts, candidate.ts and leader.ts,
// reached through the table in steps.ts. Guarantees:
//   R1  At most one vote a term, in the store before it leaves.
//   R2  A leader never replaces or removes entries of its own log.
//   R3  A vote goes only to a log at least as up to date as the voter's.
//   R4  Only entries of the leader's own term are committed by counting; those before them with them.
//   R5  A member's own log counts towards a quorum only as far as its store has acknowledged it, in this term.
//   R6  A leader tells others no commit index that it has not applied itself.
//   R7  A member that restarted votes for nobody for one election timeout: a lease that it supported may still run.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import { type Entry, EntryKind, type Message, MessageKind } from '../../../proto/raft/index.js';
import { type LogStorage, RaftLog } from './log.js';
import { assertConfiguration, type Configuration, isVoter } from './quorum.js';
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
  readonly configuration: Configuration;
  readonly storage: LogStorage;
  readonly hardState: HardState;
  /** What the state machine has applied. */
  readonly appliedIndex: number;
  /** A whole number from 0 to below `bound`, at random: elections must not be held in step. */
  readonly random: (bound: number) => number;
  readonly electionTicks?: number;
  readonly heartbeatTicks?: number;
}

/** What there is to do. Entries and hard state go to the store as one; `stored` is stepped when they are there. */
export interface Ready {
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
}

/** A message that rests on the log up to `index` being in the store. */
interface Waiting {
  readonly index: number;
  readonly message: Message;
}

const NO_ENTRIES: readonly Entry[] = [];
const NO_MESSAGES: readonly Message[] = [];
export const NOBODY = 0;

export class Raft {
  readonly id: number;
  readonly log: RaftLog;
  readonly tracker: Tracker;
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
  uncommittedBytes = 0;
  /** Others may lack entries or the commit index: `ready` sends it, for all that came up since the last in one go. */
  toReplicate = false;
  private timeoutTicks = 0;
  private silentTicks: number;
  private storedState: HardState;
  private messages: Message[] = [];
  private waiting: Waiting[] = [];
  private readonly random: (bound: number) => number;

  constructor(options: RaftOptions) {
    assertConfiguration(options.configuration);
    assert(options.id !== NOBODY);
    this.id = options.id;
    this.tracker = new Tracker(options.configuration);
    this.log = new RaftLog(options.storage, options.appliedIndex);
    this.electionTicks = options.electionTicks ?? limits.raftElectionTicks;
    this.heartbeatTicks = options.heartbeatTicks ?? limits.raftHeartbeatTicks;
    this.random = options.random;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.storedState = options.hardState;
    this.silentTicks = this.alone ? 0 : this.electionTicks; // R7
    assert(this.term >= this.log.lastTerm, 'the term on disk is never behind the log');
    this.becomeFollower(this.term, NOBODY);
  }

  get configuration(): Configuration {
    return this.tracker.configuration;
  }

  get leading(): boolean {
    return this.role === Role.LEADER;
  }

  /** The only voter of its group: nobody to wait for, nobody to compete with. */
  get alone(): boolean {
    const { voters, outgoing } = this.configuration;
    return voters.length === 1 && outgoing.length === 0 && voters[0] === this.id;
  }

  /** Ticks would change nothing. */
  get quiet(): boolean {
    return this.leading && this.alone;
  }

  /** R7. */
  get silent(): boolean {
    return this.silentTicks > 0;
  }

  /** A leader was heard of within an election timeout: nobody is helped to depose it (it steps down by check-quorum). */
  get supportsLeader(): boolean {
    return this.leader !== NOBODY && this.electionElapsed < this.electionTicks;
  }

  /**
   * Appends to the leader's log; returns the index, 0 if this member does not lead or has too many bytes uncommitted.
   * A single entry is always taken when nothing is uncommitted.
   */
  propose(payload: Buffer): number {
    if (!this.leading) return 0;
    if (this.uncommittedBytes > 0 && this.uncommittedBytes + payload.length > limits.raftUncommittedBytes) return 0;
    this.uncommittedBytes += payload.length;
    return this.appendOwn(EntryKind.NORMAL, payload);
  }

  hasReady(): boolean {
    return (
      this.log.handed < this.log.lastIndex ||
      this.log.hasCommitted ||
      this.messages.length > 0 ||
      this.waitingIsDue(0) ||
      this.toReplicate ||
      this.stateChanged
    );
  }

  /** What `ready` of steps.ts hands out. */
  takeReady(storeBytes: number, applyBytes: number): Ready {
    const entries = this.log.handed < this.log.lastIndex ? this.log.takeUnstored(storeBytes) : NO_ENTRIES;
    const hardState = this.stateChanged ? { term: this.term, vote: this.vote } : null;
    if (hardState !== null) this.storedState = hardState;
    const toStore = entries.length > 0 || hardState !== null;
    const ready: Ready = {
      entries,
      hardState,
      messages: this.messages.length > 0 ? this.messages : NO_MESSAGES,
      afterStore: this.waiting.length > 0 ? this.takeWaiting() : NO_MESSAGES,
      stored: toStore ? this.storedMessage() : null,
      committed: this.takeCommitted(applyBytes),
    };
    if (this.messages.length > 0) this.messages = [];
    return ready;
  }

  /** The state machine has applied all up to this entry. */
  applied(index: number): void {
    this.log.appliedTo(index);
    this.log.trim(this.alone ? 0 : limits.raftWindowBytes);
    this.toReplicate ||= this.leading && !this.alone;
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
    this.progressOf(this.id).replicate();
    this.termStart = this.appendOwn(EntryKind.EMPTY, Buffer.alloc(0));
  }

  isVoter(id: number): boolean {
    return isVoter(this.configuration, id);
  }

  progressOf(id: number): Progress {
    const progress = this.tracker.progress.get(id);
    assert(progress !== undefined, `member ${id} is in the configuration`);
    return progress;
  }

  /** Sends what may leave at once. */
  send(message: Message): void {
    assert(message.to !== this.id);
    this.messages.push(message);
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
      entries: fields.entries ?? NO_ENTRIES,
    };
  }

  /** Counts a tick; true if an election timeout has passed without a leader. */
  electionDue(): boolean {
    if (this.silentTicks > 0) this.silentTicks--;
    this.electionElapsed++;
    return this.isVoter(this.id) && this.electionElapsed >= this.timeoutTicks;
  }

  private get stateChanged(): boolean {
    return this.storedState.term !== this.term || this.storedState.vote !== this.vote;
  }

  private appendOwn(kind: number, payload: Buffer): number {
    const index = this.log.lastIndex + 1;
    this.log.append({ index, term: this.term, kind, payload });
    this.toReplicate = !this.alone;
    return index;
  }

  private storedMessage(): Message | null {
    if (this.log.handed <= this.log.stable) return null;
    return {
      kind: MessageKind.STORED,
      from: this.id,
      to: this.id,
      term: this.term,
      index: this.log.handed,
      logTerm: this.log.term(this.log.handed),
      commit: 0,
      reject: false,
      hintIndex: 0,
      hintTerm: 0,
      entries: NO_ENTRIES,
    };
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
      for (const entry of entries) if (entry.index > this.termStart) this.uncommittedBytes -= entry.payload.length;
      assert(this.uncommittedBytes >= 0);
    }
    return entries;
  }

  private reset(term: number): void {
    assert(term >= this.term);
    if (term !== this.term) {
      this.term = term;
      this.vote = NOBODY;
      // R5: what waits for entries that were not handed to the store yet must not speak for those that replace them.
      this.waiting = this.waiting.filter(({ index }) => index <= this.log.handed);
    }
    this.leader = NOBODY;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.uncommittedBytes = 0;
    this.toReplicate = false;
    this.timeoutTicks = this.electionTicks + this.random(this.electionTicks);
    this.tracker.reset(this.log.lastIndex + 1);
  }
}
