// Measures what the core alone costs: proposals through a group of three in batches, all three members on this thread,
// no disk, no encoding; ticks of groups at rest; memory of a group. Importable by perf/; takes as long as it is told.

import assert from 'node:assert';
import { performance } from 'node:perf_hooks';
import { type Entry, type Message, MessageKind } from '../../proto/raft/index.js';
import { type LogStorage, Raft, step, ready as takeReady, tick, unknown } from './core/index.js';

export interface CoreFigures {
  /** Microseconds of each member for each proposal. */
  readonly proposalUs: number;
  /** Microseconds to look at all quiescent groups once, as a host's tick does. */
  readonly quiescentTickUs: number;
  readonly groupBytes: number;
}

export interface CoreBenchOptions {
  readonly millisecondsEach: number;
  readonly batch: number;
  readonly payloadBytes: number;
  readonly groups: number;
}

const MEMBERS = [1, 2, 3];
const STORE_BYTES = 1 << 20;
const KEPT_ENTRIES = 4096;

/** A store that has at once what it is given, and forgets what is old. */
class Memory implements LogStorage {
  firstIndex = 1;
  private entries: Entry[] = [];
  private terms = 0;

  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1;
  }

  entryTerm(index: number): number {
    return index < this.firstIndex ? this.terms : this.entries[index - this.firstIndex]!.term; // asked for what is there
  }

  read(from: number, to: number): Entry[] {
    return this.entries.slice(from - this.firstIndex, to + 1 - this.firstIndex);
  }

  snapshot(): null {
    return null;
  }

  store(entries: readonly Entry[], applied: number): void {
    for (const entry of entries) this.entries.push(entry);
    if (this.entries.length < 2 * KEPT_ENTRIES) return;
    const count = Math.min(KEPT_ENTRIES, applied - this.firstIndex);
    this.terms = this.entries[count - 1]!.term; // of at least as many
    this.entries = this.entries.slice(count);
    this.firstIndex += count;
  }
}

interface Member {
  readonly raft: Raft;
  readonly memory: Memory;
}

class Group {
  readonly members: Member[];
  private readonly inbox: Message[] = [];

  constructor() {
    this.members = MEMBERS.map((id) => {
      const memory = new Memory();
      const configuration = { ...unknown(), voters: MEMBERS };
      const hardState = { term: 0, vote: 0 };
      const random = (bound: number): number => bound - 1;
      return { memory, raft: new Raft({ id, configuration, storage: memory, hardState, appliedIndex: 0, random }) };
    });
    for (const { raft } of this.members) for (let ticks = 0; ticks < raft.electionTicks; ticks++) tick(raft);
    step(this.leader, this.leader.message(MessageKind.CAMPAIGN, 1));
    this.run();
    assert(this.leader.established);
  }

  get leader(): Raft {
    return this.members[0]!.raft; // three
  }

  /** Until nothing is left to do. */
  run(): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (const member of this.members) busy = this.work(member) || busy;
      for (const message of this.inbox.splice(0)) step(this.members[message.to - 1]!.raft, message); // numbered from 1
    }
  }

  tick(): void {
    for (const { raft } of this.members) tick(raft);
    this.run();
  }

  private work({ raft, memory }: Member): boolean {
    if (!raft.hasReady()) return false;
    const ready = takeReady(raft, STORE_BYTES, STORE_BYTES);
    memory.store(ready.entries, raft.log.applied);
    for (const message of ready.messages) this.inbox.push(message);
    if (ready.stored !== null) step(raft, ready.stored);
    for (const message of ready.afterStore) {
      if (message.to === raft.id) step(raft, message);
      else this.inbox.push(message);
    }
    const last = ready.committed.at(-1);
    if (last !== undefined) raft.applied(last.index);
    return true;
  }
}

function benchProposals({ millisecondsEach, batch, payloadBytes }: CoreBenchOptions): number {
  const group = new Group();
  const payload = Buffer.alloc(payloadBytes);
  let proposals = 0;
  const once = (): void => {
    for (let count = 0; count < batch; count++) assert(group.leader.propose(payload) > 0);
    group.run();
    proposals += batch;
  };
  for (const end = performance.now() + millisecondsEach / 4; performance.now() < end; ) once();
  proposals = 0;
  const start = performance.now();
  while (performance.now() < start + millisecondsEach) once();
  return ((performance.now() - start) * 1000) / (proposals * MEMBERS.length);
}

function benchQuiescence({ groups: count }: CoreBenchOptions): Pick<CoreFigures, 'quiescentTickUs' | 'groupBytes'> {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const groups = Array.from({ length: count }, () => new Group());
  globalThis.gc?.();
  const groupBytes = Math.round((process.memoryUsage().heapUsed - before) / (count * MEMBERS.length));
  for (const group of groups) {
    for (let ticks = 0; !group.leader.quiescent; ticks++) {
      assert(ticks < 1000, 'a group at rest falls silent');
      group.tick();
    }
  }
  const rounds = 20;
  const start = performance.now();
  for (let round = 0; round < rounds; round++) for (const { leader } of groups) if (!leader.quiet) tick(leader);
  return { quiescentTickUs: ((performance.now() - start) * 1000) / rounds, groupBytes };
}

/** `groupBytes` is of one member's core, and exact only under node's --expose-gc. */
export function benchCore(options: CoreBenchOptions): CoreFigures {
  return { proposalUs: benchProposals(options), ...benchQuiescence(options) };
}
