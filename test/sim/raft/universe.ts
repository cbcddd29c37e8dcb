// One run: the machines, what is between them, those who use them, and what is watched. Says who may be lost, sees to
// it that what was lost is replaced, and brings everything to rest in the end.

import { Role } from '../../../node/raft/core/index.js';
import type { CommittedEntry, TransportReceiver } from '../../../node/raft/index.js';
import { type Configuration, memberNode } from '../../../proto/raft/index.js';
import { mix, Random } from '../random.js';
import type { World } from '../world.js';
import { NO_FAULTS } from './disk.js';
import { History } from './history.js';
import { type Group, Invariants, type Member } from './invariants/index.js';
import { quorum } from './invariants/invariant.js';
import { Network, NO_NETWORK_FAULTS } from './network.js';
import { Node } from './node.js';
import { type NodeOwner, UNKNOWN } from './node-owner.js';
import type { Options } from './options.js';

const PHASE_US = 1_500_000;

export class Universe implements NodeOwner {
  readonly random: Random;
  readonly network: Network;
  readonly nodes = new Map<number, Node>();
  readonly groups = new Map<number, Group>();
  readonly invariants: Invariants;
  /** Orders what sessions ask and hear. */
  moments = 0;
  readonly operations = { count: 0, next: (): number => ++this.operations.count };
  crashAtIo: number;
  onlyReadsUntilUs = 0;
  healed = false;
  /** Sessions that hardly write. */
  readonly readers = new Set<number>();
  /** A member has something new: another configuration, not committed yet perhaps, or the state of a snapshot. */
  onNews: (member: Member) => void = () => undefined;
  private nextId: number;
  private readonly initial: Configuration;
  private readonly configurations = new Map<number, [index: number, configuration: Configuration][]>();

  constructor(
    readonly options: Options,
    readonly world: World,
  ) {
    this.random = new Random(options.seed ^ 0x5eed);
    this.crashAtIo = options.crashAtIo;
    this.network = new Network(world, this.random.split(2), { ...options.network });
    for (let id = 1; id <= options.groups; id++) this.groups.set(id, this.makeGroup(id));
    this.invariants = new Invariants(this.groups, () => world.nowUs);
    const voters = Array.from({ length: options.voters }, (_, at) => at + 1);
    this.initial = { ...UNKNOWN, voters };
    for (const group of this.groups.keys()) this.configurations.set(group, []);
    for (const id of voters) this.nodes.set(id, new Node(id, this, this.initial));
    this.nextId = options.voters + 1;
    for (let spare = 0; spare < options.spares; spare++) this.addNode();
    this.network.chooseLinks([...this.nodes.keys()]);
  }

  group(id: number): Group {
    return this.groups.get(id)!; // of this run
  }

  /** From time to time nothing is written for a while: whoever is cut off then lacks nothing. */
  get onlyReads(): boolean {
    if (this.world.nowUs < this.onlyReadsUntilUs) return !this.healed;
    const phase = Math.floor(this.world.nowUs / PHASE_US);
    return !this.healed && mix(this.options.seed ^ phase) % 100 < 100 * this.options.onlyReads;
  }

  get living(): Node[] {
    return [...this.nodes.values()].filter(({ lost }) => !lost);
  }

  tell(node: Node | undefined, what: string): void {
    this.world.note(3, node?.id, what.length);
    this.say(node, what);
  }

  /** For who reads the history, which is the same without. */
  say(node: Node | undefined, what: string): void {
    this.world.tell?.(
      `${(this.world.nowUs / 1000).toFixed(3).padStart(12)} ${node === undefined ? '' : `node ${node.id} `}${what}`,
    );
  }

  /** A process ends, and comes back after a while. */
  crash(node: Node, machine: boolean, withinUs = this.random.pick([20_000, 400_000, 3_000_000])): void {
    if (node.process === undefined || (this.healed && withinUs < 20_000)) return;
    node.crash(machine);
    const longest = this.healed ? 100_000 : withinUs;
    if (!node.lost) this.world.after(this.random.below(longest), () => node.start());
  }

  /** A process ends in good order, and comes back after a while. */
  stop(node: Node): void {
    node.stop(() => this.world.after(this.random.below(400_000), () => node.start()));
  }

  send(source: number, target: number, tricky: boolean, deliver: (receiver: TransportReceiver) => void): void {
    const node = this.nodes.get(target);
    if (node === undefined) return;
    this.network.send(source, target, {
      tricky,
      deliver: () => node.arrive(deliver),
      lost: () => this.nodes.get(source)?.arrive((receiver) => receiver.lost(target)),
    });
  }

  /** An entry was applied by a member. */
  applied(member: Member, entry: CommittedEntry, result: number | undefined): void {
    const { history } = this.group(member.group);
    const first = entry.index === history.lastIndex + 1;
    if (first) {
      const { hash, configuration } = member.state;
      history.add(entry.term, entry.payload, { hash, configuration, committedIn: member.core.term });
    }
    this.world.note(4, member.node, entry.index);
    if (first && this.world.tell !== undefined) {
      this.say(this.holder(member.node), `applies entry ${entry.index} of term ${entry.term} in group ${member.group}`);
    }
    this.invariants.applied(member, entry, result, first);
  }

  /** The member that leads by what a node's member knows, 0 for none. */
  leaderBy(node: Node, group: number): number {
    return node.machines.get(group)?.raft.leader ?? 0;
  }

  /** The machine of a member. */
  holder(member: number): Node | undefined {
    return this.nodes.get(memberNode(member));
  }

  leader(group: number): Member | undefined {
    let found: Member | undefined;
    for (const member of this.group(group).members()) {
      if (member.core.role === Role.LEADER && member.core.term > (found?.core.term ?? 0)) found = member;
    }
    return found;
  }

  /** A configuration stands in some log: it may come into force, unless another entry was committed at its place. */
  seeConfiguration(member: Member): void {
    const { group, core } = member;
    this.configurations.get(group)?.push([core.membership.currentIndex, core.configuration]);
    this.onNews(member);
  }

  installed(member: Member): void {
    this.invariants.installed(member);
    this.onNews(member);
  }

  /** Whether every group has a quorum without this node, and those that are lost, in every configuration that may hold. */
  mayLose(node: Node): boolean {
    if (node.doomed) return true;
    for (const [group, seen] of this.configurations) {
      const { history } = this.group(group);
      const settled = history.at(history.lastIndex)?.configuration ?? this.initial;
      if (!this.isSound(settled, node)) return false;
      for (const [at, configuration] of seen) {
        if (at > history.lastIndex && !this.isSound(configuration, node)) return false;
      }
    }
    return true;
  }

  /** Whether a node belongs to a group in no configuration that may hold. */
  isForeign(node: Node, group: number): boolean {
    const { history } = this.group(group);
    const member = node.memberIn(group);
    const settled = history.at(history.lastIndex)?.configuration ?? this.initial;
    const seen = this.configurations.get(group) ?? [];
    const may = [settled, ...seen.filter(([at]) => at > history.lastIndex).map(([, configuration]) => configuration)];
    return may.every(({ voters, outgoing, learners, learnersNext }) =>
      [voters, outgoing, learners, learnersNext].every((ids) => !ids.includes(member)),
    );
  }

  /** Whether a quorum of it can be relied on, also without `node`. */
  isSound(configuration: Configuration, node?: Node): boolean {
    return quorum(configuration, (id) => {
      const other = this.holder(id);
      return other !== undefined && other !== node && !other.doomed && !other.lost;
    });
  }

  /** Another machine for one that is lost; who belongs to the groups is the operator's. */
  replace(_lost: Node): void {
    const node = this.addNode();
    this.world.after(this.random.below(1_000_000), () => node.start());
  }

  /** From now on everything works. */
  heal(): void {
    this.healed = true;
    this.crashAtIo = 0;
    this.network.mend();
    this.network.faults = { ...NO_NETWORK_FAULTS };
    this.network.chooseLinks([]);
    for (const node of this.living) {
      node.disk.faults = { ...NO_FAULTS };
      node.resume();
      node.start();
    }
    this.tell(undefined, 'all is healed');
  }

  private addNode(): Node {
    const node = new Node(this.nextId++, this, UNKNOWN);
    this.nodes.set(node.id, node);
    return node;
  }

  private makeGroup(id: number): Group {
    const { nodes } = this;
    return {
      id,
      history: new History(this.options.machine === 'kv'),
      *members() {
        for (const node of nodes.values()) {
          const member = node.running ? node.members.get(id) : undefined;
          if (member?.life === node.life) yield member;
        }
      },
      durable: (member) => {
        const node = nodes.get(memberNode(member));
        return node?.memberIn(id) === member ? node.durable.get(id) : undefined;
      },
    };
  }
}
