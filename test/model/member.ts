// One member of the model: a real core with its disk and the writes that are under way, driven as node/raft/driver does
// it, one event at a time. What came of an event is checked here as far as the member alone can tell.

import assert from 'node:assert';
import type * as core from '../../node/raft/core/index.js';
import type { Change, Raft, Ready } from '../../node/raft/core/index.js';
import { type Configuration, type Entry, EntryKind, type Message, MessageKind } from '../../proto/raft/index.js';
import { copyCore, coreText } from './copy.js';
import { type DiskState, ModelDisk } from './disk.js';

/** The exports of node/raft/core, or of a copy of it with a fault in it. */
export type Core = typeof core;

export const EventKind = {
  /** A message comes. */
  DELIVER: 0,
  /** The oldest write under way completes. */
  STORE: 1,
  /** Time passes until the member stands for election. */
  TIMEOUT: 2,
  /** A message comes after as much time as makes the member forget its leader, and speak after a restart: R7, R8. */
  DELIVER_LATE: 3,
  /** A tick of a leader: heartbeats; every second one checks for a quorum. */
  BEAT: 4,
  PROPOSE: 5,
  CHANGE: 6,
  /** The process ends and starts again; writes under way are lost. */
  CRASH: 7,
  /** The same, and the state machine comes back as it was at first, to apply the log again. */
  LOSE: 8,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** Longer payloads are told apart by their length; the model's own proposals are shorter. */
const SHOWN_BYTES = 10;
const ELECTION_TICKS = 2;
/** Ticks after which any member that may stand has done so. */
const TIMEOUT_TICKS = 2 * ELECTION_TICKS;

/** What goes to the store as one, and what leaves when it is there. */
interface Write {
  readonly ready: Ready;
  readonly promises: readonly Message[];
}

export interface MemberOptions {
  readonly core: Core;
  readonly id: number;
  readonly configuration: Configuration;
  readonly disk: DiskState;
  /** What EventKind.CHANGE may propose, by its argument. */
  readonly changes: readonly (readonly Change[])[];
}

export class Member {
  private writes: Write[] = [];
  private sent: Message[] = [];

  private constructor(
    private readonly options: MemberOptions,
    readonly disk: ModelDisk,
    public raft: Raft,
  ) {}

  /** As if it had been there for long: no lease of an earlier time can run. */
  static start(options: MemberOptions): Member {
    const disk = new ModelDisk(options.disk, options.configuration);
    const member = new Member(options, disk, boot(options, disk));
    // R7 is about members that restart.
    (member.raft as unknown as { silentTicks: number }).silentTicks = 0;
    return member;
  }

  /** What comes of an event: another member, and what it sends. Throws an AssertionError when something is violated. */
  after(kind: EventKind, argument: number, message: Message | null): { member: Member; sent: readonly Message[] } {
    const disk = this.disk.copy();
    const twin = new Member(this.options, disk, copyCore(this.raft, disk));
    twin.writes = this.writes.slice();
    const { committed } = this.raft.log;
    twin.act(kind, argument, message);
    twin.drain();
    const crashed = kind === EventKind.CRASH || kind === EventKind.LOSE;
    assert(crashed || twin.raft.log.committed >= committed, 'the commit index never goes back');
    return { member: twin, sent: twin.sent };
  }

  /** The same for members that behave the same. */
  get text(): string {
    const { disk, writes } = this;
    const onDisk = `${disk.term}/${disk.vote}/${disk.applied}/${disk.entries.map(entryText).join(' ')}`;
    return `${onDisk}|${writes.map(writeText).join(';')}|${coreText(this.raft)}`;
  }

  /** Entries of the log as the core has it, each as a text that tells it from any other. */
  get log(): readonly string[] {
    return entriesOf(this.raft).map(entryText);
  }

  /** A number that nearly all events raise, if they do anything. */
  get progress(): number {
    const { raft, disk } = this;
    let matched = 0;
    for (const { match, next } of raft.tracker.progress.values()) matched += match + next;
    const { log } = raft;
    return 20 * raft.term + 2 * raft.role + 2 * log.lastIndex + log.committed + log.stable + disk.applied + matched;
  }

  get hasWrites(): boolean {
    return this.writes.length > 0;
  }

  get leading(): boolean {
    return this.raft.leading;
  }

  /** Whether it makes a difference to EventKind.DELIVER_LATE that the member has waited. */
  isDeafTo({ kind }: Message): boolean {
    const { raft } = this;
    if (kind !== MessageKind.VOTE && kind !== MessageKind.PRE_VOTE && kind !== MessageKind.TIMEOUT_NOW) return false;
    return !raft.leading && (raft.silent || raft.supportsLeader);
  }

  private act(kind: EventKind, argument: number, message: Message | null): void {
    const { raft, options } = this;
    const { step, tick, changeMembers } = options.core;
    switch (kind) {
      case EventKind.DELIVER:
      case EventKind.DELIVER_LATE:
        assert(message !== null);
        if (kind === EventKind.DELIVER_LATE) this.wait();
        step(raft, message);
        return;
      case EventKind.STORE:
        this.complete(this.writes.shift()!); // an event of members that have one
        return;
      case EventKind.TIMEOUT:
        for (let ticks = 0; ticks < TIMEOUT_TICKS && !raft.hasReady(); ticks++) tick(raft);
        return;
      case EventKind.BEAT:
        tick(raft);
        return;
      case EventKind.PROPOSE:
        raft.propose(Buffer.from(`${argument}`));
        return;
      case EventKind.CHANGE:
        changeMembers(raft, options.changes[argument]!); // one of them
        return;
      case EventKind.CRASH:
      case EventKind.LOSE:
        if (kind === EventKind.LOSE) this.disk.applied = 0;
        this.writes = [];
        this.raft = boot(options, this.disk);
    }
  }

  private wait(): void {
    const { raft, options } = this;
    const { role } = raft;
    for (let ticks = 0; ticks < ELECTION_TICKS; ticks++) options.core.tick(raft);
    assert(raft.role === role, 'who waits for an election timeout does not stand yet');
  }

  /** Does all that the core has to do. Writes complete by events of their own. */
  private drain(): void {
    const { raft, options, disk, writes } = this;
    for (let rounds = 0; raft.hasReady(); rounds++) {
      assert(rounds < 100, 'a member comes to rest');
      const ready = options.core.ready(raft, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
      this.send(ready.messages);
      if (ready.entries.length > 0 || ready.hardState !== null) writes.push({ ready, promises: [] });
      this.promise(ready.afterStore);
      for (const entry of ready.committed) disk.apply(entry);
      const last = ready.committed.at(-1);
      if (last !== undefined) raft.applied(last.index);
    }
  }

  /** They leave with the last write. What is promised already need not be promised again: it leaves before. */
  private promise(messages: readonly Message[]): void {
    const { writes } = this;
    const last = writes.pop();
    if (last === undefined) {
      this.keep(messages);
      return;
    }
    const known = new Set([...writes, last].flatMap(({ promises }) => promises.map(messageText)));
    const promises = messages.filter((message) => !known.has(messageText(message)));
    writes.push({ ...last, promises: [...last.promises, ...promises] });
  }

  private complete({ ready, promises }: Write): void {
    this.disk.store(ready);
    if (ready.stored !== null) this.options.core.step(this.raft, ready.stored);
    this.keep(promises);
  }

  /** Promises are kept: those to others leave, and the member counts its own. */
  private keep(promises: readonly Message[]): void {
    for (const message of promises) {
      if (message.to !== this.raft.id) {
        this.send([message]);
        continue;
      }
      this.checkPromise(message);
      this.options.core.step(this.raft, message);
    }
  }

  private send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.checkPromise(message);
      this.sent.push(message);
    }
  }

  /** What others will count is on the disk. */
  private checkPromise({ kind, term, index, reject, to }: Message): void {
    const { disk, raft } = this;
    if (reject) return;
    if (kind === MessageKind.VOTE_ANSWER)
      assert(disk.term === term && disk.vote === to, 'a vote leaves when it is on the disk');
    if (kind !== MessageKind.APPEND_ANSWER || index === 0) return;
    assert(index <= disk.lastIndex, 'entries are acknowledged when they are on the disk');
    if (term !== raft.term) return;
    const promised = entriesOf(raft).slice(0, index);
    for (const entry of promised)
      assert(disk.entryTerm(entry.index) === entry.term, 'the entries that are acknowledged are those on the disk');
  }
}

function boot({ core: { Raft: Core }, id }: MemberOptions, disk: ModelDisk): Raft {
  return new Core({
    id,
    configuration: disk.appliedConfiguration,
    storage: disk,
    hardState: { term: disk.term, vote: disk.vote },
    appliedIndex: disk.applied,
    // The longest: a member that waits an election timeout does not stand yet.
    random: (bound) => bound - 1,
    electionTicks: ELECTION_TICKS,
    heartbeatTicks: 1,
    quiesceTicks: 0,
  });
}

function entriesOf(raft: Raft): readonly Entry[] {
  const { log } = raft;
  const found: Entry[] = [];
  while (found.length < log.lastIndex)
    found.push(...log.read(found.length + 1, log.lastIndex, Number.POSITIVE_INFINITY));
  return found;
}

export function entryText({ term, kind, payload }: Entry): string {
  if (kind === EntryKind.EMPTY) return `${term}:`;
  if (kind === EntryKind.CONFIGURATION) return `${term}:c${payload.toString('hex')}`;
  return `${term}:${payload.length > SHOWN_BYTES ? `${payload.length} bytes` : payload.latin1Slice()}`;
}

function writeText({ ready: { entries, hardState, stored }, promises }: Write): string {
  const state = hardState === null ? '' : `${hardState.term}/${hardState.vote}`;
  const from = entries[0]?.index ?? 0;
  const report = stored === null ? '' : messageText(stored);
  return `${state},${from},${entries.map(entryText).join(' ')},${report},${promises.map(messageText).join('&')}`;
}

export function messageText(message: Message): string {
  const { kind, from, to, term, index, logTerm, commit, reject, hintIndex, hintTerm, context, entries } = message;
  const numbers = [kind, from, to, term, index, logTerm, commit, reject ? 1 : 0, hintIndex, hintTerm, context];
  return `${numbers.join(',')},${entries.map(entryText).join(' ')}`;
}
