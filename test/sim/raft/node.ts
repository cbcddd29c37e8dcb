// A machine with its disk and clock, and the process on it: a raft host with a member of each group. It can be killed
// at any moment, lose power, and start again from what is on its disk.

import { Role } from '../../../node/raft/core/index.js';
import type { GroupHandle } from '../../../node/raft/driver/index.js';
import {
  createLeases,
  LeaseReader,
  openRaftHost,
  type Transport,
  type TransportReceiver,
} from '../../../node/raft/index.js';
import { decode, encode } from '../../../proto/codec.js';
import {
  type Configuration,
  type Message,
  MessageKind,
  memberId,
  peerBatchCodec,
  pieceAnswerCodec,
  snapshotPieceCodec,
} from '../../../proto/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { MachineClock, Process } from '../process.js';
import type { Random } from '../random.js';
import { Checkpoints } from './checkpoints.js';
import { Disk, LOG } from './disk.js';
import { DurableLog, noteBatch } from './durable.js';
import { ASSERTION, type Member } from './invariants/index.js';
import { KvMachine } from './kv-machine.js';
import { KvState } from './kv-state.js';
import type { Machine, MachineOptions } from './machine.js';
import { MapEngine } from './map-engine.js';
import { MetaMachine } from './meta-machine.js';
import { type NodeOwner, UNKNOWN } from './node-owner.js';
import type { SimState, StateKind } from './state.js';

type Host = Awaited<ReturnType<typeof openRaftHost>>;

export class Node {
  readonly disk: Disk;
  readonly clock: MachineClock;
  readonly random: Random;
  /** What each group's disk says, by the observer. */
  readonly durable = new Map<number, DurableLog>();
  readonly machines = new Map<number, Machine>();
  readonly members = new Map<number, Member>();
  process: Process | undefined;
  life = 0;
  /** By how much its wall clock is wrong; it may jump. */
  wallSkewMs = 0;
  paused = false;
  /** Its disk is damaged or gone: it will not come back. */
  lost = false;
  /** How often it left each group: noted, by whoever places groups, before it leaves. */
  private readonly stays = new Map<number, number>();
  private host: Host | undefined;
  /** Its disk is damaged, found out or not: nobody may rely on it. */
  doomed = false;
  private receiver: TransportReceiver | undefined;
  /** The configurations that were in force here when that was last looked at. */
  private readonly configurations = new Map<number, Configuration>();
  private readonly leaving = new Set<number>();
  private leases: LeaseReader | undefined;
  private stopping: Process | undefined;
  private readonly looked = new Map<number, readonly number[]>();
  private opening = false;
  /** What is written to the log is this life's. */
  private counting = false;
  /** The states of the databases, as far as they are in the page cache. */
  private readonly live = new Map<number, SimState>();

  constructor(
    readonly id: number,
    private readonly universe: NodeOwner,
    /** What it knows of each group at first. */
    private readonly initial: Configuration,
  ) {
    const { world, options } = universe;
    this.random = universe.random.split(id);
    this.clock = new MachineClock(world, this.random.below(1e9));
    this.disk = new Disk(
      world,
      this.random.split(1),
      { ...options.disk },
      {
        onDurable: (name, bytes) => this.stored(name, bytes),
        mayDamage: () => this.doom(),
        onIo: () => this.io(),
      },
    );
  }

  start(): void {
    if (this.process !== undefined || this.lost) return;
    const { world, options } = this.universe;
    this.life++;
    this.opening = true;
    const process = new Process(
      world,
      this.clock,
      this.random.split(this.life),
      { turnUs: 10, earlyUs: 1000, lateUs: 200 },
      () => this.happened(process),
    );
    this.process = process;
    this.paused = false;
    this.universe.tell(this, `starts, life ${this.life}`);
    this.open(process, options.segmentBytes).then(undefined, (error: Error) => this.failed(process, error));
  }

  /** The process ends at this instant; with it, if `machine`, all that is not on the disk. */
  crash(machine: boolean): void {
    const { process } = this;
    if (process === undefined) return;
    process.end();
    this.process = undefined;
    this.receiver = undefined;
    this.host = undefined;
    this.opening = false;
    this.counting = false;
    this.machines.clear();
    this.disk.crash(machine);
    if (machine) this.live.clear();
    this.universe.tell(this, machine ? 'loses power' : 'is killed');
    if (this.disk.silentlyDamaged) this.lose('its last write went elsewhere, and nothing shows it');
  }

  /** The process closes its log and ends; `onStopped` if nothing ends it before. */
  stop(onStopped: () => void): void {
    const { process, host } = this;
    if (process === undefined || host === undefined || this.opening || this.stopping === process) return;
    this.stopping = process;
    this.universe.tell(this, 'is stopped');
    host.close().then(
      () => {
        if (!process.alive) return;
        this.crash(false);
        onStopped();
      },
      (error: Error) => this.failed(process, error),
    );
  }

  /** Its disk is gone, or no good. Whoever takes its place is another member. */
  lose(why: string): void {
    if (this.lost) return;
    this.crash(true);
    this.lost = true;
    this.disk.wipe();
    this.universe.tell(this, `is lost: ${why}`);
    this.universe.replace(this);
  }

  /** Whether a machine is that of the process that lives. */
  living(machine: Machine): boolean {
    return this.machines.get(machine.group) === machine;
  }

  pause(): void {
    this.paused = true;
    this.process?.pause();
  }

  resume(): void {
    this.paused = false;
    this.process?.resume();
  }

  /** Something arrives from another machine. */
  arrive(run: (receiver: TransportReceiver) => void): void {
    const { process } = this;
    process?.happen(() => {
      if (this.receiver !== undefined && this.process === process) run(this.receiver);
    });
  }

  /** This node's member of a group, now. */
  memberIn(group: number): number {
    return memberId(this.id, this.stays.get(group) ?? 0);
  }

  /** Leaves a group that it is no member of, and stands ready to join it again, as another member. */
  leave(group: number): void {
    const { host, process } = this;
    const leases = this.leases;
    if (
      this.opening ||
      this.stopping === process ||
      host === undefined ||
      process === undefined ||
      leases === undefined ||
      !this.members.has(group)
    )
      return;
    this.universe.tell(this, `leaves group ${group}`);
    this.stays.set(group, (this.stays.get(group) ?? 0) + 1);
    this.leaving.add(group);
    const ended = this.machines.get(group)?.snapshots.end();
    this.machines.delete(group);
    this.members.delete(group);
    this.live.delete(group);
    host.removeGroup(group);
    const join = (): void => {
      if (this.stopping === process) return;
      if (host.logStart(group) !== undefined) {
        process.later(1000, join);
        return;
      }
      this.leaving.delete(group);
      this.openGroup(host, group, process, leases).then(undefined, (error: Error) => this.failed(process, error));
    };
    ended?.then(() => process.later(1000, join));
  }

  /** Damages what is synced, if the groups can do without this machine. */
  rot(): void {
    if (this.lost || !this.doom()) return;
    if (this.disk.rot()) this.universe.tell(this, 'has a rotten sector');
  }

  /** Members of the life that is, or of the last one. */
  get running(): boolean {
    return this.process !== undefined && !this.opening;
  }

  private async open(process: Process, segmentBytes: number): Promise<void> {
    const { options } = this.universe;
    const leases = createLeases();
    const host = await openRaftHost({
      directory: 'simulated',
      id: this.id,
      leases,
      storage: this.disk.folder(LOG, process),
      clock: process,
      random: this.random.below,
      timing: {
        tickMs: 100,
        electionTicks: options.electionTicks,
        heartbeatTicks: options.heartbeatTicks,
        quiesceTicks: options.quiesceTicks,
        tickEarlyMs: 1,
        clockErrorPpm: options.clockErrorPpm,
      },
      transport: this.transport(process),
      applyBytes: options.applyBytes,
      segmentBytes,
      retryMs: 50,
      fatal: (error) => this.failed(process, error),
      warn: (message) => this.universe.tell(this, message),
    });
    if (!process.alive) return;
    this.counting = true;
    this.host = host;
    await this.goOnLeaving(host, process);
    const reader = new LeaseReader(leases, () => this.clock.nowUs());
    this.leases = reader;
    for (const group of this.universe.groups.keys()) await this.openGroup(host, group, process, reader);
    if (process.alive) this.opening = false;
  }

  private async goOnLeaving(host: Host, process: Process): Promise<void> {
    for (const group of this.leaving) host.removeGroup(group);
    while (process.alive && [...this.leaving].some((group) => host.logStart(group) !== undefined)) {
      await new Promise<void>((resolve) => {
        process.later(1000, () => {
          resolve();
          this.universe.world.promisesSettled();
        });
      });
    }
    this.leaving.clear();
  }

  private async openGroup(host: Host, group: number, process: Process, leases: LeaseReader): Promise<void> {
    const { options } = this.universe;
    const store: Checkpoints = new Checkpoints({
      kind: kinds[options.machine],
      storage: this.disk.folder(`kv${group}/`, process),
      process,
      pieceBytes: 256,
      onInstalled: (state) => {
        if (process.alive) this.installed(group, state);
      },
    });
    const start = host.logStart(group);
    if (start === undefined) {
      // The files of a member that left: its log is gone already.
      this.live.delete(group);
      if (this.stays.has(group)) this.durable.delete(group);
      await store.clear();
    }
    const initial = this.stays.has(group) ? UNKNOWN : this.initial;
    const state = await store.load(this.live.get(group), initial, start);
    if (!process.alive || this.stopping === process) return;
    this.live.set(group, state);
    const machine = this.makeMachine(group, state, {
      process,
      store,
      leases,
      checkpointEntries: options.checkpointEntries,
      earlyAnswers: options.earlyAnswers,
      onApplied: (entry, result) => this.universe.applied(this.member(group), entry, result),
      onFailure: (error) => this.failed(process, error),
    });
    const handle = host.addGroup(group, machine, { member: this.memberIn(group) }) as GroupHandle;
    machine.attach(handle);
    this.machines.set(group, machine);
    const { life } = this;
    const id = this.memberIn(group);
    const durable = (): DurableLog => this.durableOf(group);
    const member: Member = {
      node: id,
      group,
      life,
      core: handle.core,
      get state() {
        return machine.state;
      },
      get durable() {
        return durable();
      },
      leased: () => machine.holdsLease(),
      leaseLeftUs: () => machine.leaseLeftUs(),
    };
    this.members.set(group, member);
    this.universe.invariants.starts(member);
    this.recover(member);
  }

  private durableOf(group: number): DurableLog {
    let durable = this.durable.get(group);
    if (durable === undefined) {
      durable = new DurableLog();
      this.durable.set(group, durable);
    }
    return durable;
  }

  private member(group: number): Member {
    return this.members.get(group)!; // it applies, so it is there
  }

  private makeMachine(group: number, state: SimState, options: MachineOptions): Machine {
    if (state instanceof KvState) return new KvMachine(group, state, options);
    const { world } = this.universe;
    return new MetaMachine(group, state as MapEngine, options, {
      wallClock: () => 1.7e12 + this.wallSkewMs + world.nowUs / 1000,
      promisesSettled: () => world.promisesSettled(),
    });
  }

  private installed(group: number, state: SimState): void {
    const machine = this.machines.get(group);
    if (machine === undefined) return;
    machine.become(state);
    this.live.set(group, machine.state);
    this.universe.tell(this, `group ${group} is set to a snapshot at ${state.index}`);
    this.universe.installed(this.member(group));
  }

  /** From here on the observer goes by what was found on the disk. */
  private recover({ group, core }: Member): void {
    const durable = new DurableLog();
    // Who is alone has gone on to the next term already, and its disk does not know yet.
    const ahead = core.alone && core.role === Role.CANDIDATE;
    durable.term = ahead ? core.term - 1 : core.term;
    durable.vote = ahead ? 0 : core.vote;
    // A batch that was under way when the last life ended may be there, though nobody heard of it.
    const { invariants } = this.universe;
    const { term, vote } = durable;
    if (!ahead) invariants.stores(this.memberIn(group), group, this.durableOf(group), term, vote);
    durable.reset(core.log.firstIndex);
    for (let index = core.log.firstIndex; index <= core.log.lastIndex; index++)
      durable.add(index, core.log.term(index));
    this.durable.set(group, durable);
  }

  private stored(name: string, bytes: Buffer): void {
    if (!this.counting || !name.startsWith(LOG)) return;
    noteBatch(this.durable, bytes, (group, log, term, vote) => {
      this.universe.invariants.stores(this.memberIn(group), group, log, term, vote);
    });
  }

  /** With each write under way, and before each send: a process may end there. */
  private io(): void {
    const { universe, process } = this;
    if (process !== undefined && universe.random.chance(universe.crashAtIo)) {
      universe.tell(this, 'ends at a write or a send');
      universe.crash(this, universe.random.chance(0.3));
    }
  }

  private doom(): boolean {
    if (!this.universe.mayLose(this)) return false;
    this.doomed = true;
    return true;
  }

  private happened(process: Process): void {
    if (this.process !== process) return;
    for (const member of this.members.values()) {
      if (member.life !== this.life || !this.changed(member)) continue;
      this.universe.invariants.stepped(member);
      if (this.configurations.get(member.group) === member.core.configuration) continue;
      this.configurations.set(member.group, member.core.configuration);
      this.universe.seeConfiguration(member);
    }
  }

  /** Whether a member's core is another than when it was last looked at, in what anybody watches. */
  private changed({ core, group }: Member): boolean {
    const { log, term, role, quiescent, transfer } = core;
    const { lastIndex, lastTerm, firstIndex, committed, applied } = log;
    const now = [term, role, lastIndex, lastTerm, firstIndex, committed, applied, Number(quiescent), transfer.target];
    const before = this.looked.get(group);
    if (before !== undefined && now.every((value, at) => value === before[at])) return false;
    this.looked.set(group, now);
    if (before?.[0] !== term || before[1] !== role) {
      const as = ['follower', 'pre-candidate', 'candidate', 'leader'][role];
      this.universe.tell(this, `in group ${group}: ${as} in term ${term}, log to ${lastIndex} of term ${lastTerm}`);
    }
    return true;
  }

  /** The process says that it cannot go on. */
  private failed(process: Process, error: Error): void {
    if (!process.alive || this.process !== process) return;
    const { code } = error as NodeJS.ErrnoException;
    this.universe.tell(this, `fails: ${error.message}`);
    if (code === 'EIO' || code === 'ENOSPC' || (error instanceof OfsError && error.status === Status.NOSPC)) {
      this.universe.crash(this, false);
    } else if (error instanceof OfsError && error.status === Status.CORRUPT && this.disk.damaged) {
      this.lose(error.message);
    } else {
      this.universe.invariants.report(ASSERTION, `node ${this.id}: ${error.stack ?? error.message}`);
      this.universe.crash(this, false);
    }
  }

  private transport(process: Process): Transport {
    const { universe, id } = this;
    const { encoded } = universe.options;
    const send = (to: number, deliver: (receiver: TransportReceiver) => void, tricky = false): void => {
      this.io();
      if (process.alive) universe.send(id, to, tricky, deliver);
    };
    return {
      attach: (receiver) => {
        this.receiver = receiver;
      },
      send: (to, batch) => {
        for (const { group, message } of batch) this.sends(group, message);
        const arriving = encoded ? decode(peerBatchCodec, encode(peerBatchCodec, [...batch])) : batch;
        const tricky = batch.some(({ message: { kind } }) => isTricky(kind));
        send(to, (receiver) => receiver.receive(id, arriving), tricky);
      },
      sendPiece: (to, piece) => {
        const arriving = encoded ? decode(snapshotPieceCodec, encode(snapshotPieceCodec, piece)) : piece;
        send(to, (receiver) => receiver.receivePiece(id, arriving));
      },
      sendPieceAnswer: (to, answer) => {
        const arriving = encoded ? decode(pieceAnswerCodec, encode(pieceAnswerCodec, answer)) : answer;
        send(to, (receiver) => receiver.receivePieceAnswer(id, arriving));
      },
    };
  }

  private sends(group: number, message: Message): void {
    const member = this.members.get(group);
    if (member === undefined || member.life !== this.life) return;
    this.universe.world.note(1, message.kind * 1000 + message.from, message.index + message.to);
    this.universe.invariants.sends(member, message);
    const name = this.universe.world.tell === undefined ? undefined : SAID[message.kind];
    if (name === undefined) return;
    const { from, to, term, index, context, reject } = message;
    const what = `index ${index}, context ${context}${reject ? ', no' : ''}`;
    this.universe.say(this, `in group ${group}: ${name} of term ${term} from ${from} to ${to}, ${what}`);
  }
}

/** What is dangerous when it comes late, and rare. */
function isTricky(kind: number): boolean {
  return kind === MessageKind.TIMEOUT_NOW || kind === MessageKind.READ_ANSWER || kind === MessageKind.SNAPSHOT;
}

const kinds: Readonly<Record<'kv' | 'meta', StateKind>> = {
  kv: { empty: (configuration) => new KvState(configuration), decode: KvState.decode },
  meta: { empty: (configuration) => new MapEngine(configuration), decode: MapEngine.decode },
};

/** Messages that are rare and matter: the history has them. */
const SAID: Readonly<Record<number, string>> = {
  [MessageKind.VOTE]: 'VOTE',
  [MessageKind.VOTE_ANSWER]: 'VOTE_ANSWER',
  [MessageKind.PRE_VOTE]: 'PRE_VOTE',
  [MessageKind.PRE_VOTE_ANSWER]: 'PRE_VOTE_ANSWER',
  [MessageKind.TIMEOUT_NOW]: 'TIMEOUT_NOW',
};
