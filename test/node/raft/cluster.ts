// Cores of a group in memory: each with a disk whose writes complete when a test says so, and a network that a test
// delivers. Every message passes through its codec. Checks, at every step, what raft promises (Ongaro 2014, figure 3.2).

import assert from 'node:assert';
import {
  type LogStorage,
  Raft,
  type Ready,
  Role,
  step,
  ready as takeReady,
  tick,
} from '../../../node/raft/core/index.js';
import { decode, encode } from '../../../proto/codec.js';
import { type Entry, type Message, MessageKind, messageCodec } from '../../../proto/raft/index.js';

/** What is on a member's disk. */
class Disk implements LogStorage {
  readonly firstIndex = 1;
  entries: Entry[] = [];
  term = 0;
  vote = 0;

  get lastIndex(): number {
    return this.entries.length;
  }

  entryTerm(index: number): number {
    return index === 0 ? 0 : this.entries[index - 1]!.term; // the core asks for what it stored
  }

  read(from: number, to: number): Entry[] {
    assert(to <= this.lastIndex);
    return this.entries.slice(from - 1, to);
  }

  store(ready: Ready): void {
    if (ready.hardState !== null) {
      const { term, vote } = ready.hardState;
      assert(term > this.term || (term === this.term && (this.vote === 0 || this.vote === vote)), 'one vote a term');
      this.term = term;
      this.vote = vote;
    }
    for (const entry of ready.entries) {
      assert(entry.index <= this.lastIndex + 1);
      this.entries.length = entry.index - 1;
      this.entries.push(entry);
    }
  }
}

export class Member {
  readonly disk = new Disk();
  raft: Raft;
  writes: Ready[] = [];
  appliedEntries: Entry[] = [];

  constructor(
    readonly id: number,
    private readonly voters: readonly number[],
    private readonly random: (bound: number) => number,
    private readonly electionTicks: number,
  ) {
    this.raft = this.start();
  }

  /** Comes back with what is on its disk; its state machine kept what it had applied. */
  restart(): void {
    this.writes = [];
    this.raft = this.start();
  }

  private start(): Raft {
    return new Raft({
      id: this.id,
      configuration: { voters: this.voters, outgoing: [] },
      storage: this.disk,
      hardState: { term: this.disk.term, vote: this.disk.vote },
      appliedIndex: this.appliedEntries.length,
      random: this.random,
      electionTicks: this.electionTicks,
    });
  }
}

export class Cluster {
  readonly members = new Map<number, Member>();
  network: Message[] = [];
  /** Pairs that cannot talk, as `from>to`. */
  readonly cut = new Set<string>();
  /** What was ever applied, by index: no two members may differ. */
  readonly history: Entry[] = [];
  private readonly leaders = new Map<number, number>();

  constructor(size: number, random: (bound: number) => number, electionTicks = 10) {
    const voters = Array.from({ length: size }, (_, at) => at + 1);
    for (const id of voters) this.members.set(id, new Member(id, voters, random, electionTicks));
  }

  member(id: number): Member {
    const member = this.members.get(id);
    assert(member !== undefined);
    return member;
  }

  campaign(id: number): void {
    const { raft } = this.member(id);
    step(raft, raft.message(MessageKind.CAMPAIGN, id));
  }

  tick(id: number): void {
    tick(this.member(id).raft);
  }

  propose(id: number, payload: string): number {
    return this.member(id).raft.propose(Buffer.from(payload));
  }

  /** Takes what a member has to do: writes queue, messages leave, committed entries are applied. */
  ready(id: number, storeBytes = 1000): Ready | undefined {
    const member = this.member(id);
    if (!member.raft.hasReady()) return undefined;
    const ready = takeReady(member.raft, storeBytes, 1000);
    for (const message of ready.messages) this.send(message);
    member.writes.push(ready);
    for (const entry of ready.committed) this.apply(member, entry);
    const last = ready.committed.at(-1);
    if (last !== undefined) member.raft.applied(last.index);
    this.check(member);
    return ready;
  }

  /** Completes a member's oldest write. */
  store(id: number): boolean {
    const member = this.member(id);
    const ready = member.writes.shift();
    if (ready === undefined) return false;
    member.disk.store(ready);
    if (ready.stored !== null) step(member.raft, ready.stored);
    for (const message of ready.afterStore) {
      if (message.to === id) step(member.raft, message);
      else this.send(message);
    }
    this.check(member);
    return true;
  }

  /** Delivers a message of the network; one to or from a member that is cut off is lost. */
  deliver(at = 0): Message | undefined {
    const [message] = this.network.splice(at, 1);
    if (message === undefined || this.cut.has(`${message.from}>${message.to}`)) return undefined;
    const member = this.member(message.to);
    step(member.raft, decode(messageCodec, encode(messageCodec, message)));
    this.check(member);
    return message;
  }

  /** Lets everything run until nothing is left to do. */
  settle(onDelivered: (message: Message) => void = () => undefined): void {
    for (let rounds = 0; rounds < 10_000; rounds++) {
      let busy = false;
      for (const id of this.members.keys()) {
        while (this.ready(id) !== undefined) busy = true;
        while (this.store(id)) busy = true;
      }
      while (this.network.length > 0) {
        busy = true;
        const message = this.deliver();
        if (message !== undefined) onDelivered(message);
      }
      if (!busy) return;
    }
    assert.fail('the cluster does not come to rest');
  }

  private send(message: Message): void {
    this.network.push(message);
  }

  private apply(member: Member, entry: Entry): void {
    assert.strictEqual(entry.index, member.appliedEntries.length + 1, 'applied in order, each once');
    assert(member.disk.lastIndex >= entry.index, 'applied only what is on the own disk');
    const known = this.history[entry.index - 1];
    if (known === undefined) {
      this.assertOnQuorum(entry);
      this.history.push(entry);
    } else {
      assert(
        known.term === entry.term && known.payload.equals(entry.payload),
        `state machine safety at ${entry.index}`,
      );
    }
    member.appliedEntries.push(entry);
  }

  private assertOnQuorum(entry: Entry): void {
    let holders = 0;
    for (const { disk } of this.members.values()) {
      if (disk.lastIndex >= entry.index && disk.entryTerm(entry.index) === entry.term) holders++;
    }
    assert(holders > this.members.size / 2, `entry ${entry.index} was committed on ${holders} disks`);
  }

  private check(member: Member): void {
    const { raft } = member;
    if (raft.role !== Role.LEADER) return;
    const leader = this.leaders.get(raft.term);
    if (leader === raft.id) return;
    assert.strictEqual(leader, undefined, `election safety: two leaders in term ${raft.term}`);
    this.leaders.set(raft.term, raft.id);
    for (const entry of this.history) {
      assert(raft.log.matches(entry.index, entry.term), `leader completeness: ${raft.id} lacks entry ${entry.index}`);
    }
  }
}
