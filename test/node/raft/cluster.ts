// Cores of a group in memory: each with a disk whose writes complete when a test says so, a state machine, a clock that
// may go wrong, and a network that a test delivers. Every message passes through its codec. Checks, at every step, what
// raft promises (Ongaro 2014, figure 3.2) and what this core adds: reads, leases, snapshots, configurations.

import assert from 'node:assert';
import {
  type Change,
  changeMembers,
  cutLimit,
  leaseRound,
  leaseUs,
  Raft,
  type Ready,
  Role,
  read,
  step,
  ready as takeReady,
  tick,
  unknown,
  wake,
} from '../../../node/raft/core/index.js';
import { decode, encode } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { type Configuration, type Entry, type Message, MessageKind, messageCodec } from '../../../proto/raft/index.js';
import { Disk, type State } from './disk.js';

/** Milliseconds of a tick, and by how much clocks are wrong at most. */
const TICK_MS = 100;
const CLOCK_ERROR_PPM = 100_000;
const NO_LEASE = 0;

export interface ClusterOptions {
  /** Voters at the start, numbered from 1. */
  readonly voters: number;
  /** Members beyond them that know of no group. */
  readonly spares?: number;
  readonly random: (bound: number) => number;
  /** As production has them if they are absent. */
  readonly electionTicks?: number;
  readonly heartbeatTicks?: number;
  readonly quiesceTicks?: number;
}

interface Ask {
  readonly ticket: number;
  /** What was acknowledged when the read was asked for. */
  readonly floor: number;
}

export class Member {
  readonly disk: Disk;
  raft: Raft;
  writes: Ready[] = [];
  asks: Ask[] = [];
  /** This member's clock, its rate, and when its next tick is due by it. */
  localUs = 0;
  rate = 1;
  tickAtUs = 0;
  /** What its threads read by, in its own time: set when a round is confirmed, cleared before messages leave. */
  leaseUntilUs = NO_LEASE;
  readonly sentUs = new Map<number, number>();
  private tickets = 0;

  constructor(
    readonly id: number,
    configuration: Configuration,
    private readonly options: ClusterOptions,
  ) {
    this.disk = new Disk(configuration);
    this.raft = this.start();
  }

  /** Comes back when the others are gone for good. */
  force(forced: Configuration): void {
    this.writes = [];
    this.raft = this.start(forced);
  }

  /** Comes back with what is on its disk; with its state machine as it was, or as its checkpoint has it. */
  restart(machineCrashed: boolean): void {
    this.writes = [];
    this.asks = [];
    this.leaseUntilUs = NO_LEASE;
    this.tickets = this.raft.reads.asked;
    if (machineCrashed) this.disk.state = this.disk.checkpoint;
    this.raft = this.start();
  }

  private start(forced?: Configuration): Raft {
    const { disk, options } = this;
    this.sentUs.clear();
    return new Raft({
      id: this.id,
      configuration: disk.state.configuration,
      storage: disk,
      hardState: { term: disk.term, vote: disk.vote },
      appliedIndex: disk.state.index,
      random: options.random,
      electionTicks: options.electionTicks,
      heartbeatTicks: options.heartbeatTicks,
      quiesceTicks: options.quiesceTicks,
      ...(this.tickets > 0 && { firstTicket: this.tickets }),
      ...(forced && { forced }),
    });
  }
}

export class Cluster {
  /** The one that the group begins with. */
  readonly configuration: Configuration;
  readonly members = new Map<number, Member>();
  network: Message[] = [];
  /** Pairs that cannot talk, as `from>to`. */
  readonly cut = new Set<string>();
  /** What was ever applied, by index: no two members may differ. */
  readonly history: State[] = [];
  readonly entries: Entry[] = [];
  reads = 0;
  leasedSteps = 0;
  /** False where no time passes: nobody could tell when a lease ends. */
  timed = false;
  snapshots = 0;
  private readonly leaders = new Map<number, number>();
  private readonly leaseUs: number;

  constructor(private readonly options: ClusterOptions) {
    const voters = Array.from({ length: options.voters }, (_, at) => at + 1);
    const configuration = { ...unknown(), voters };
    this.configuration = configuration;
    const { spares = 0, electionTicks = limits.raftElectionTicks } = options;
    for (const id of voters) this.members.set(id, new Member(id, configuration, options));
    for (let id = voters.length + 1; id <= voters.length + spares; id++) {
      this.members.set(id, new Member(id, unknown(), options));
    }
    const clockErrorPpm = CLOCK_ERROR_PPM;
    this.leaseUs = leaseUs({ electionTicks, tickMs: TICK_MS, tickEarlyMs: 1, clockErrorPpm });
  }

  member(id: number): Member {
    const member = this.members.get(id);
    assert(member !== undefined);
    return member;
  }

  /** Something that a member's surroundings tell its core. */
  tell(id: number, kind: number, fields: Partial<Message> & { about?: number } = {}): void {
    const { raft } = this.member(id);
    step(raft, { ...raft.message(kind, id, fields), from: fields.about ?? id });
    this.check(this.member(id));
  }

  tick(id: number): void {
    tick(this.member(id).raft);
  }

  /** Every member ticks, and as much time passes as that takes the slowest clock at least. */
  tickAll(): void {
    this.pass(TICK_MS * 1000 * (1 + (2 * CLOCK_ERROR_PPM) / 1e6));
    for (const id of this.members.keys()) this.tick(id);
  }

  propose(id: number, payload: string, identity = 0): number {
    return this.member(id).raft.propose(Buffer.from(payload), identity);
  }

  change(id: number, changes: readonly Change[]): number {
    return changeMembers(this.member(id).raft, changes);
  }

  read(id: number): number {
    const member = this.member(id);
    const ticket = read(member.raft);
    if (ticket !== 0) member.asks.push({ ticket, floor: this.history.length });
    return ticket;
  }

  /** Lets every member's clock go at a rate within the error, chosen anew. */
  setClocks(): void {
    this.timed = true;
    const parts = 1000;
    for (const member of this.members.values()) {
      member.rate = 1 + (CLOCK_ERROR_PPM / 1e6) * ((2 * this.options.random(parts + 1)) / parts - 1);
    }
  }

  /** Time passes; members tick by their clocks, up to a millisecond early. One that is paused misses its ticks. */
  advance(us: number, paused = 0): void {
    this.pass(us);
    for (const member of this.members.values()) {
      if (member.localUs < member.tickAtUs || member.id === paused) continue;
      member.tickAtUs = member.localUs + (TICK_MS - 1) * 1000;
      tick(member.raft);
      this.check(member);
    }
  }

  /** Takes a checkpoint of what a member has applied, and cuts its log as far as its core allows. */
  checkpoint(id: number): void {
    const { disk, raft } = this.member(id);
    const snapshotOnItsWay = raft.log.firstIndex !== disk.firstIndex;
    if (snapshotOnItsWay || disk.state.configuration.voters.length === 0) return;
    disk.checkpoint = disk.state;
    disk.cut(cutLimit(raft, disk.checkpoint.index));
  }

  wakeAll(): void {
    for (const { raft } of this.members.values()) wake(raft);
  }

  /** Takes what a member has to do: writes queue, messages leave, committed entries are applied. */
  ready(id: number, storeBytes = 1000): Ready | undefined {
    const member = this.member(id);
    if (!member.raft.hasReady()) return undefined;
    const ready = takeReady(member.raft, storeBytes, 1000);
    this.lease(member, ready);
    for (const message of ready.messages) this.send(message);
    member.writes.push(ready);
    for (const entry of ready.committed) this.apply(member, entry);
    const last = ready.committed.at(-1);
    if (last !== undefined) member.raft.applied(last.index);
    this.answerReads(member, ready);
    if (ready.committed.length > 0) this.checkConfiguration(member);
    this.check(member);
    return ready;
  }

  /** Completes a member's oldest write. */
  store(id: number): boolean {
    const member = this.member(id);
    const ready = member.writes.shift();
    if (ready === undefined) return false;
    if (ready.snapshot !== null) {
      this.snapshots++;
      const { index } = ready.snapshot;
      const state = this.history[index - 1];
      assert(state !== undefined && state.term === ready.snapshot.term, 'a snapshot of what was applied');
      assert.deepStrictEqual(ready.snapshot.configuration, state.configuration, 'S2');
      member.disk.install(state);
    }
    member.disk.store(ready);
    if (ready.stored !== null) step(member.raft, ready.stored);
    if (ready.snapshot !== null) this.checkConfiguration(member);
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

  get leadersNow(): Member[] {
    return [...this.members.values()].filter(({ raft }) => raft.role === Role.LEADER);
  }

  private pass(us: number): void {
    for (const member of this.members.values()) member.localUs += us * member.rate;
  }

  private send(message: Message): void {
    assert(message.kind >= MessageKind.PRE_VOTE && message.kind <= MessageKind.TIMEOUT_NOW, 'no local kind travels');
    this.network.push(message);
  }

  /** What a driver does with leases: before anything leaves, the record says what the core says now. */
  private lease(member: Member, ready: Ready): void {
    if (leaseRound(member.raft) === 0) member.leaseUntilUs = NO_LEASE;
    if (ready.round !== 0 && !member.sentUs.has(ready.round)) member.sentUs.set(ready.round, member.localUs);
  }

  private answerReads(member: Member, { reads }: Ready): void {
    if (reads === null) return;
    for (const { ticket, floor } of member.asks) {
      if (ticket > reads.ticket) continue;
      assert(reads.index >= floor, `read ${ticket} at ${reads.index} misses what was acknowledged: ${floor}`);
      this.reads++;
    }
    member.asks = member.asks.filter(({ ticket }) => ticket > reads.ticket);
  }

  private apply(member: Member, entry: Entry): void {
    const { disk } = member;
    assert.strictEqual(entry.index, disk.state.index + 1, 'applied in order, each once');
    assert(disk.lastIndex >= entry.index, 'applied only what is on the own disk');
    disk.apply(entry);
    const known = this.history[entry.index - 1];
    if (known === undefined) {
      this.assertOnQuorum(member, entry);
      this.history.push(disk.state);
      this.entries.push(entry);
    } else {
      const { hash, configuration } = disk.state;
      assert(hash === known.hash, `state machine safety at ${entry.index}`);
      // Who was to join knows the configuration only from the first entry that says it.
      if (configuration.voters.length > 0) assert.deepStrictEqual(configuration, known.configuration);
    }
  }

  /** By the configuration at the entry, or by the one in force where it was counted. */
  private assertOnQuorum({ raft, disk: { state } }: Member, entry: Entry): void {
    const holds = (id: number): boolean => {
      const { disk } = this.member(id);
      if (disk.firstIndex > entry.index) return true;
      return disk.lastIndex >= entry.index && disk.entryTerm(entry.index) === entry.term;
    };
    const agreed = ({ voters, outgoing }: Configuration): boolean =>
      [voters, outgoing].every((half) => half.length === 0 || half.filter(holds).length > half.length / 2);
    assert(
      agreed(state.configuration) || agreed(raft.configuration),
      `entry ${entry.index} is not on a quorum's disks`,
    );
  }

  private check(member: Member): void {
    this.checkLease(member);
    const { raft } = member;
    if (raft.role !== Role.LEADER) return;
    const leader = this.leaders.get(raft.term);
    if (leader === raft.id) return;
    assert.strictEqual(leader, undefined, `election safety: two leaders in term ${raft.term}`);
    this.leaders.set(raft.term, raft.id);
    assert(raft.log.lastIndex > this.history.length, `leader completeness: ${raft.id} has too short a log`);
    for (let index = raft.log.firstIndex; index <= this.history.length; index++) {
      assert(raft.log.matches(index, this.history[index - 1]!.term), `leader completeness: ${raft.id} lacks ${index}`);
    }
  }

  /** M1: what is in force is in the log behind what is applied, or is what the state machine has. */
  private checkConfiguration({ raft, disk: { state } }: Member): void {
    if (raft.membership.currentIndex <= state.index)
      assert.deepStrictEqual(raft.configuration, state.configuration, 'M1');
  }

  private checkLease(changedMember: Member): void {
    const { raft } = changedMember;
    const sent = changedMember.sentUs.get(leaseRound(raft));
    if (!this.timed) return;
    if (sent !== undefined) changedMember.leaseUntilUs = Math.max(changedMember.leaseUntilUs, sent + this.leaseUs);
    for (const member of this.members.values()) {
      if (member.localUs >= member.leaseUntilUs) continue;
      this.leasedSteps++;
      const { index } = member.disk.state;
      assert(
        index >= this.history.length,
        `member ${member.id} reads ${index} by its lease, ${this.history.length} is applied`,
      );
    }
  }
}
