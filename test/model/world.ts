// The states of the whole model and the steps between them. A state is a few numbers: each member, what was ever
// committed and who led when, what was used up of the bounds, and the messages that were ever sent. Members, messages
// and histories are kept once each and named by number, and what an event makes of a member is worked out once, whatever
// the others are. That is what makes millions of states possible over the real core.
//
// What is not told apart, and why nothing is missed by it:
//   - A message that was sent can be delivered at any time, any number of times, or never. So loss, delay, reordering and
//     duplication need no steps of their own, and sending the same again changes nothing.
//   - A message that can do nothing any more is forgotten (`isDead`): its term is below the one on the receiver's disk,
//     which never falls, and its kind is one that is not even answered then; or it answers who is neither candidate nor
//     leader of that term any more, and will not be again.
//   - What a member says on a message that leaves it as it is, is said at once. More messages never take anything away:
//     whatever can happen without them can happen with them.
//   - Members that are alike at first (same role in the configuration, empty logs) may change places: of those that
//     nothing has happened to yet only the first does something.
//   - Time is not counted: a member may time out at any moment. That it only waits matters to it when it is asked for a
//     vote that it would not hear otherwise (R7, R8), so the two are one step.
//
// What is left out: snapshots and the cutting of logs, reads, leases, transfers, quiescence, and members that take several
// events before they ask their core what there is to do.

import assert, { AssertionError } from 'node:assert';
import { type Change, Role } from '../../node/raft/core/index.js';
import { type Configuration, isLocal, type Message, MessageKind } from '../../proto/raft/index.js';
import type { DiskState } from './disk.js';
import { type Core, EventKind, entryText, Member, messageText } from './member.js';
import { type Judged, Past } from './past.js';

export interface Bounds {
  /** A state in which a member is in a later term is not looked at. */
  readonly terms: number;
  /** Nor one in which a log is longer. */
  readonly entries: number;
  /**
   * How often, all members together: time-outs, ticks of leaders, proposals, changes of members, crashes, and events at
   * a member while a write of it is under way.
   */
  readonly timeouts: number;
  readonly beats: number;
  readonly proposals: number;
  readonly changes: number;
  readonly crashes: number;
  readonly delays: number;
}

export interface Setting {
  readonly configuration: Configuration;
  /** What each member has on its disk at first; members are numbered from 1. */
  readonly disks: readonly DiskState[];
  /** The changes of members that a leader may propose. */
  readonly changes: readonly (readonly Change[])[];
  /** Sets of members that are alike at first. */
  readonly alike: readonly (readonly number[])[];
}

type Budget = Exclude<keyof Bounds, 'terms' | 'entries'>;

/** Where in a state's number of what was used up each of the bounds is counted, three bits each and one above. */
const USED: { readonly [name in Budget]: number } = {
  timeouts: 0,
  beats: 4,
  proposals: 8,
  changes: 12,
  crashes: 16,
  delays: 20,
};
const USED_MAX = 7;
/** The highest bit of each count, which is 0. */
const USED_GUARDS = 0x888888;

interface Known extends Judged {
  readonly id: number;
  readonly progress: number;
  /** By event: what came of it. */
  readonly outcomes: Map<number, Outcome>;
}

interface Outcome {
  readonly next: Known;
  readonly sent: readonly number[];
  readonly violation: string | null;
}

/** A step from one state to another, for traces: which member, which event, with what. */
export interface Action {
  readonly member: number;
  readonly kind: EventKind;
  readonly argument: number;
  /** The event that follows at once. */
  readonly sequel: Sequel;
}

/** Nothing, all writes complete, or the member ends before any does. */
export const Sequel = { NOTHING: 0, STORE: 1, CRASH: 2, LOSE: 3 } as const;
export type Sequel = (typeof Sequel)[keyof typeof Sequel];

export class Violation extends Error {}

const KINDS = 16;
const FIXED = 2;

const ONLY: readonly Sequel[] = [Sequel.NOTHING];
const STORED: readonly Sequel[] = [Sequel.STORE];
const STORED_OR_CRASHED: readonly Sequel[] = [Sequel.STORE, Sequel.CRASH];
const STORED_CRASHED_OR_LOST: readonly Sequel[] = [Sequel.STORE, Sequel.CRASH, Sequel.LOSE];

export class World {
  readonly size: number;
  private readonly members: Known[] = [];
  private readonly memberIds = new Map<string, Known>();
  private readonly messages: Message[] = [];
  private readonly messageIds = new Map<string, number>();
  private readonly past = new Past();
  private readonly first: readonly Known[];
  /** For each member those that are alike and before it. */
  private readonly before: readonly (readonly number[])[];

  constructor(
    core: Core,
    private readonly setting: Setting,
    private readonly bounds: Bounds,
  ) {
    const { configuration, disks, changes } = setting;
    this.size = disks.length;
    for (const bound of Object.keys(USED)) assert(bounds[bound as Budget] <= USED_MAX, `${bound}: at most ${USED_MAX}`);
    this.first = disks.map((disk, at) =>
      this.knownMember(Member.start({ core, id: at + 1, configuration, disk, changes })),
    );
    this.before = disks.map((_, at) =>
      setting.alike.filter((set) => set.includes(at + 1)).flatMap((set) => set.filter((id) => id < at + 1)),
    );
  }

  get distinctMembers(): number {
    return this.members.length;
  }

  get distinctMessages(): number {
    return this.messages.length;
  }

  /** Members' numbers, past, used up, messages' numbers in order. */
  initial(): number[] {
    return [...this.first.map(({ id }) => id), this.past.empty, 0];
  }

  /** Gives every step from a state. Throws Violation. */
  expand(state: readonly number[], visit: (action: Action) => void): void {
    for (let at = 0; at < this.size; at++) {
      if (this.mustWaitForTwin(state, at)) continue;
      const { member } = this.members[state[at]!]!; // a state names members
      const to = (kind: EventKind, argument = 0): void => {
        for (const sequel of this.followedBy(state, at, { kind, argument }))
          visit({ member: at, kind, argument, sequel });
      };
      if (member.hasWrites) to(EventKind.STORE);
      this.bounded(state, member, to);
      // What would come later than a write that must not be late.
      if (member.hasWrites && !this.left(state, 'delays')) continue;
      for (let place = this.size + FIXED; place < state.length; place++) {
        const message = state[place]!;
        if (this.messages[message]!.to !== at + 1) continue;
        to(EventKind.DELIVER, message);
        if (member.isDeafTo(this.messages[message]!)) to(EventKind.DELIVER_LATE, message);
      }
    }
  }

  /** How far the members have come: nearly all steps raise it, so that few states come late that cover others. */
  progressOf(state: readonly number[]): number {
    let progress = 0;
    for (let at = 0; at < this.size; at++) progress += this.members[state[at]!]!.progress;
    return progress;
  }

  /** Members and past. */
  headOf(state: readonly number[]): string {
    let head = '';
    for (let place = 0; place <= this.size; place++) head += `${state[place]},`;
    return head;
  }

  /** Its messages as a set of bits, behind what was used up. */
  contentOf(state: readonly number[]): Int32Array {
    const first = this.size + FIXED;
    const highest = state.length > first ? state[state.length - 1]! : 0; // in order
    const content = new Int32Array(2 + (highest >> 5));
    content[0] = state[first - 1]!; // what was used up
    for (let place = first; place < state.length; place++) {
      const message = state[place]!;
      content[1 + (message >> 5)]! |= 1 << (message & 31);
    }
    return content;
  }

  /**
   * Where no write may be late, an event and the completion of its writes, or the end of the process before it, are one
   * step: what others do meanwhile they could as well do before.
   */
  private followedBy(
    state: readonly number[],
    at: number,
    { kind, argument }: { kind: EventKind; argument: number },
  ): readonly Sequel[] {
    if (this.bounds.delays > 0) return ONLY;
    const { next, violation } = this.outcome(this.members[state[at]!]!, kind, argument);
    if (violation !== null || !next.member.hasWrites) return ONLY;
    if (!this.left(state, 'crashes')) return STORED;
    return next.member.disk.applied > 0 ? STORED_CRASHED_OR_LOST : STORED_OR_CRASHED;
  }

  /** The state that an action leads to; null if it is this one, or beyond the bounds. */
  next(state: readonly number[], action: Action): number[] | null {
    const { member: at, kind, argument, sequel } = action;
    const known = this.members[state[at]!]!; // a state names members
    const { next, sent, violation } = this.followed(this.outcome(known, kind, argument), sequel);
    if (violation !== null) throw new Violation(violation);
    const late = known.member.hasWrites && isDelivery(kind) ? 1 << USED.delays : 0;
    const crash = sequel === Sequel.CRASH || sequel === Sequel.LOSE ? 1 << USED.crashes : 0;
    const cost = costOf(kind) + late + crash;
    if (next === known) {
      // What it says to that has been said: addMessages.
      if (cost === 0) return null;
      const same = state.slice();
      same[this.size + 1]! += cost;
      return same;
    }
    const { raft } = next.member;
    if (raft.term > this.bounds.terms || raft.log.lastIndex > this.bounds.entries) return null;
    const after = state.slice(0, this.size);
    after[at] = next.id;
    const past = state[this.size]!; // its place
    after.push(this.judge(after, at, past), state[this.size + 1]! + cost);
    this.addMessages(after, state, sent, at);
    return after;
  }

  describe({ member, kind, argument, sequel }: Action): string {
    const who = `member ${member + 1}`;
    const more = ['', ' and stores it', ' and crashes', ' and crashes, losing its state'][sequel];
    const late = kind === EventKind.DELIVER_LATE ? ', after an election timeout,' : '';
    if (isDelivery(kind)) return `${who}${late} gets ${inWords(this.messages[argument]!)}${more}`;
    const name = Object.keys(EventKind).find((key) => EventKind[key as keyof typeof EventKind] === kind);
    return `${who}: ${name}${kind === EventKind.PROPOSE ? ` ${argument}` : ''}${more}`;
  }

  show(state: readonly number[]): string {
    const lines: string[] = [];
    for (let at = 0; at < this.size; at++) {
      const { member, log, diskLog } = this.members[state[at]!]!;
      const { raft, disk } = member;
      const role = ['follower', 'pre-candidate', 'candidate', 'leader'][raft.role];
      lines.push(
        `  ${at + 1} ${role} term ${raft.term} vote ${raft.vote} log [${log.join(' ')}] commit ${raft.log.committed}` +
          `, disk term ${disk.term} vote ${disk.vote} [${diskLog.join(' ')}]`,
      );
    }
    return lines.join('\n');
  }

  private mustWaitForTwin(state: readonly number[], at: number): boolean {
    if (state[at] !== this.first[at]!.id) return false;
    return this.before[at]!.some((id) => state[id - 1] === this.first[id - 1]!.id);
  }

  private bounded(state: readonly number[], member: Member, to: (kind: EventKind, argument?: number) => void): void {
    const left = (budget: Budget): boolean => this.left(state, budget);
    if (left('crashes')) {
      to(EventKind.CRASH);
      if (member.disk.applied > 0) to(EventKind.LOSE);
    }
    if (member.hasWrites && !left('delays')) return;
    if (!member.leading) {
      if (left('timeouts')) to(EventKind.TIMEOUT);
      return;
    }
    if (left('beats')) to(EventKind.BEAT);
    if (left('proposals')) to(EventKind.PROPOSE, (state[this.size + 1]! >> USED.proposals) & USED_MAX);
    if (left('changes'))
      for (let change = 0; change < this.setting.changes.length; change++) to(EventKind.CHANGE, change);
  }

  private followed(outcome: Outcome, sequel: Sequel): Outcome {
    if (sequel === Sequel.NOTHING || outcome.violation !== null) return outcome;
    if (sequel === Sequel.CRASH || sequel === Sequel.LOSE) {
      const end = this.outcome(outcome.next, sequel === Sequel.CRASH ? EventKind.CRASH : EventKind.LOSE, 0);
      return { ...end, sent: [...outcome.sent, ...end.sent] };
    }
    let last = outcome;
    while (last.next.member.hasWrites && last.violation === null) {
      const stored = this.outcome(last.next, EventKind.STORE, 0);
      last = { ...stored, sent: [...last.sent, ...stored.sent] };
    }
    return last;
  }

  private left(state: readonly number[], budget: Budget): boolean {
    return ((state[this.size + 1]! >> USED[budget]) & USED_MAX) < this.bounds[budget];
  }

  private outcome(known: Known, kind: EventKind, argument: number): Outcome {
    const event = argument * KINDS + kind;
    let outcome = known.outcomes.get(event);
    if (outcome === undefined) {
      outcome = this.workOut(known, kind, argument);
      known.outcomes.set(event, outcome);
    }
    return outcome;
  }

  private workOut(known: Known, kind: EventKind, argument: number): Outcome {
    const message = isDelivery(kind) ? this.messages[argument]! : null;
    try {
      const { member, sent } = known.member.after(kind, argument, message);
      return { next: this.knownMember(member), sent: sent.map((one) => this.knownMessage(one)), violation: null };
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      return { next: known, sent: [], violation: error.message };
    }
  }

  private knownMember(member: Member): Known {
    const key = `${member.raft.id}|${member.text}`;
    let known = this.memberIds.get(key);
    if (known === undefined) {
      const { log } = member;
      const diskLog = member.disk.entries.map(entryText);
      const { progress } = member;
      known = { member, id: this.members.length, log, diskLog, progress, outcomes: new Map() };
      this.members.push(known);
      this.memberIds.set(key, known);
    }
    return known;
  }

  private knownMessage(message: Message): number {
    assert(!isLocal(message.kind), 'no local kind travels');
    const key = messageText(message);
    let id = this.messageIds.get(key);
    if (id === undefined) {
      id = this.messages.push(message) - 1;
      this.messageIds.set(key, id);
    }
    return id;
  }

  private judge(members: readonly number[], at: number, past: number): number {
    const all = members.map((id) => this.members[id]!);
    try {
      return this.past.after(past, all, at);
    } catch (error) {
      if (error instanceof AssertionError) throw new Violation(error.message);
      throw error;
    }
  }

  /** Those of before that are not dead, those that were sent, and the answers that cost nothing. */
  private addMessages(after: number[], state: readonly number[], sent: readonly number[], changed: number): void {
    const from = after.length;
    const fresh: number[] = [];
    for (let place = this.size + FIXED; place < state.length; place++) {
      const message = state[place]!;
      const concerned = this.messages[message]!.to === changed + 1;
      if (concerned && this.isDead(after, message)) continue;
      after.push(message);
      if (concerned) fresh.push(message);
    }
    for (const message of sent) if (this.insert(after, from, message)) fresh.push(message);
    for (const message of fresh) {
      const { next, sent: answers } = this.outcomeOfDelivery(after, message);
      if (next !== null) continue;
      for (const answer of answers) if (this.insert(after, from, answer)) fresh.push(answer);
    }
  }

  /** `next` null: the member is the same after it, and the delivery is free. */
  private outcomeOfDelivery(
    state: readonly number[],
    message: number,
  ): { next: Known | null; sent: readonly number[] } {
    const known = this.members[state[this.messages[message]!.to - 1]!]!;
    const { next, sent, violation } = this.outcome(known, EventKind.DELIVER, message);
    const free = next === known && violation === null && !known.member.hasWrites;
    return { next: free ? null : next, sent };
  }

  private insert(after: number[], from: number, message: number): boolean {
    if (this.isDead(after, message)) return false;
    let place = after.length;
    while (place > from && after[place - 1]! > message) place--;
    if (place > from && after[place - 1] === message) return false;
    after.splice(place, 0, message);
    return true;
  }

  private isDead(members: readonly number[], id: number): boolean {
    const { kind, term, to, reject } = this.messages[id]!;
    const { raft, disk } = this.members[members[to - 1]!]!.member;
    // A grant names the term that was asked for, and counts in the one before it.
    if (kind === MessageKind.PRE_VOTE_ANSWER) return term < disk.term || (!reject && term === disk.term);
    if (!UNANSWERED.has(kind) || term > disk.term) return false;
    if (term < disk.term) return true;
    if (kind === MessageKind.VOTE || kind === MessageKind.TIMEOUT_NOW || term !== raft.term) return false;
    // Whoever is no candidate of its term never is one again, and then is its leader now or never.
    if (raft.role === Role.CANDIDATE) return false;
    return kind === MessageKind.VOTE_ANSWER || raft.role !== Role.LEADER;
  }
}

/** What steps.ts passes over when its term is over. */
const UNANSWERED: ReadonlySet<number> = new Set([
  MessageKind.VOTE,
  MessageKind.VOTE_ANSWER,
  MessageKind.APPEND_ANSWER,
  MessageKind.HEARTBEAT_ANSWER,
  MessageKind.TIMEOUT_NOW,
]);

/** Of states with the same head, by their contents: whether the left has all that the right has, and used up no more. */
export function covers(left: Int32Array, right: Int32Array): boolean {
  if (left.length < right.length) return false;
  if ((((right[0]! | USED_GUARDS) - left[0]!) & USED_GUARDS) !== USED_GUARDS) return false;
  for (let at = 1; at < right.length; at++) if ((right[at]! & ~left[at]!) !== 0) return false;
  return true;
}

function isDelivery(kind: EventKind): boolean {
  return kind === EventKind.DELIVER || kind === EventKind.DELIVER_LATE;
}

function costOf(kind: EventKind): number {
  switch (kind) {
    case EventKind.TIMEOUT:
      return 1 << USED.timeouts;
    case EventKind.BEAT:
      return 1 << USED.beats;
    case EventKind.PROPOSE:
      return 1 << USED.proposals;
    case EventKind.CHANGE:
      return 1 << USED.changes;
    case EventKind.CRASH:
    case EventKind.LOSE:
      return 1 << USED.crashes;
    default:
      return 0;
  }
}

function inWords({ kind, from, term, index, logTerm, commit, reject, entries }: Message): string {
  const name = Object.keys(MessageKind).find((key) => MessageKind[key as keyof typeof MessageKind] === kind);
  const behind = `index ${index}${logTerm > 0 ? ` of term ${logTerm}` : ''}`;
  const more = entries.length > 0 ? `, entries [${entries.map(entryText).join(' ')}]` : '';
  return `${name} of ${from}, term ${term}, ${behind}, commit ${commit}${reject ? ', refused' : ''}${more}`;
}
