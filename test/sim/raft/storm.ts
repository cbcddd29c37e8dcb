// What befalls the machines while a storm lasts: one thing after another, of the kinds that the run has.

import type { Member } from './invariants/index.js';
import type { Node } from './node.js';
import type { FaultName } from './options.js';
import { clientOf } from './session.js';
import type { Universe } from './universe.js';

const TICK_US = 100_000;

type Blow = (universe: Universe, node: Node) => void;

const blows: Partial<Record<FaultName, Blow>> = {
  crash: (universe, node) => universe.crash(node, false),
  'machine-crash': (universe, node) => universe.crash(node, true),
  restart: (universe, node) => {
    // All at once, as when a rack loses power.
    if (universe.random.chance(0.2))
      for (const other of universe.living) universe.crash(other, universe.random.chance(0.5));
    else node.process?.happen(() => universe.stop(node));
  },
  pause: (universe, node) => {
    if (node.paused) return;
    const forUs = universe.random.exponential(1_000_000);
    universe.tell(node, 'is paused');
    node.pause();
    universe.world.after(forUs, () => node.resume());
    // What comes back does not hear at once what happened without it, but those who use it reach it.
    if (universe.random.chance(0.3)) cutOff(universe, node, forUs + universe.random.exponential(1_000_000));
  },
  cut: (universe, node) => {
    const other = universe.random.pick(universe.living);
    if (other === node) return;
    const forUs = universe.random.exponential(2_000_000);
    const both = universe.random.chance(0.7);
    universe.tell(
      node,
      `and node ${other.id} ${both ? 'do not reach each other' : 'are cut, one way,'} for ${seconds(forUs)}`,
    );
    universe.network.sever(node.id, other.id, forUs);
    if (both) universe.network.sever(other.id, node.id, forUs);
  },
  isolate: (universe, node) => {
    const direction = universe.random.below(3);
    const spared = universe.random.pick([0, 0.15, 0.5]);
    const forUs = universe.random.exponential(2_000_000);
    universe.tell(node, `is cut off, ${['both ways', 'outwards', 'inwards'][direction]}, for ${seconds(forUs)}`);
    for (const { id } of universe.living) {
      if (id === node.id || universe.random.chance(spared)) continue;
      if (direction !== 2) universe.network.sever(node.id, id, forUs);
      if (direction !== 1) universe.network.sever(id, node.id, forUs);
    }
  },
  /** A leader and a voter do not reach each other; the others restart, and then hear the voter only. Nothing else befalls anybody meanwhile. */
  quarrel: (universe, node) => {
    const other = universe.random.pick(universe.living);
    const forUs = 500_000 + universe.random.exponential(1_500_000);
    if (other === node) return;
    universe.tell(node, `and node ${other.id} quarrel for ${seconds(forUs)}`);
    universe.network.sever(node.id, other.id, forUs);
    universe.network.sever(other.id, node.id, forUs);
    universe.onlyReadsUntilUs = universe.world.nowUs + forUs;
    for (const third of universe.living) {
      if (third === node || third === other || !universe.options.faults.has('crash')) continue;
      universe.world.after(universe.random.below(forUs), () => {
        universe.crash(third, false, 5_000);
        universe.network.sever(node.id, third.id, forUs);
        universe.network.sever(third.id, node.id, forUs);
      });
    }
  },
  clock: (universe, node) => {
    const error = universe.options.clockErrorPpm / 1e6;
    const part = universe.random.pick([-1, 1, universe.random.below(2001) / 1000 - 1]);
    node.clock.setRate(1 + error * part);
    if (universe.random.chance(0.5)) node.wallSkewMs = universe.random.between(-100_000, 100_000);
  },
  'full-disk': (universe, node) => {
    const { disk } = node;
    universe.tell(node, 'has a full disk');
    disk.faults.capacityBytes = disk.usedBytes + universe.random.below(10_000);
    universe.world.after(universe.random.exponential(2_000_000), () => {
      disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
    });
  },
  rot: (universe, node) => {
    if (universe.random.chance(0.1)) node.rot();
  },
  wipe: (universe, node) => {
    if (universe.random.chance(0.2) && universe.mayLose(node)) node.lose('wiped');
  },
  'remove-group': (universe, node) => {
    for (const group of universe.groups.keys()) {
      node.process?.happen(() => {
        if (universe.isForeign(node, group)) node.leave(group);
      });
    }
  },
  /**
   * A leader is cut off with what it is asked to do; the others go on, not for long, and cut their logs. When it comes
   * back it has to take a snapshot in place of entries that nobody else has.
   */
  strand: (universe, { id }) => {
    const { world, random, options } = universe;
    for (const group of universe.groups.keys()) {
      const node = universe.holder(universe.leader(group)?.node ?? 0);
      if (node === undefined || (universe.groups.size > 1 && node.id !== id)) continue;
      const electionUs = options.electionTicks * TICK_US;
      const forUs = 2 * electionUs + 1_000_000 + random.exponential(2_000_000);
      universe.tell(node, `is stranded for ${seconds(forUs)}`);
      cutOff(universe, node, forUs, 0);
      world.after(electionUs, () => {
        universe.onlyReadsUntilUs = world.nowUs + forUs;
      });
      world.after(forUs * 0.9, () => {
        for (const other of universe.living) if (other !== node) checkpoint(other);
      });
    }
  },
  transfer: (universe, { id }) => {
    const { random, network, options } = universe;
    for (const group of universe.groups.keys()) {
      const node = universe.holder(universe.leader(group)?.node ?? id);
      const raft = node?.machines.get(group)?.raft;
      const others = universe.living.filter((other) => other !== node);
      if (node === undefined || raft === undefined || others.length === 0) continue;
      const target = random.pick(others);
      node.process?.happen(() => raft.transfer(target.memberIn(group)));
      // What the target has to say may not reach the leader, which then leads on; the word to stand may come after that.
      if (random.chance(0.4)) {
        const lateUs = options.electionTicks * TICK_US + random.exponential(500_000);
        network.hold(node.id, target.id, random.pick([0, lateUs]));
        universe.world.after(random.below(100_000), () => network.sever(target.id, node.id, 2 * lateUs));
      }
    }
  },
  checkpoint: (_, node) => checkpoint(node),
};

function checkpoint(node: Node): void {
  for (const machine of node.machines.values()) node.process?.happen(() => machine.checkpoint());
}

/** Nothing gets to a machine or from it, but from those who use it; or from those only of them that hardly write. */
function cutOff({ living, network, random, options, readers }: Universe, node: Node, forUs: number, alone = 0.4): void {
  for (const { id } of living) {
    if (id === node.id) continue;
    network.sever(node.id, id, forUs);
    network.sever(id, node.id, forUs);
  }
  if (!random.chance(alone)) return;
  for (let session = 1; session <= options.sessions; session++) {
    if (!readers.has(session)) network.sever(clientOf(session), node.id, forUs);
  }
}

function seconds(us: number): string {
  return `${(us / 1e6).toFixed(2)} s`;
}

export class Storm {
  private over = false;
  private readonly kinds: readonly Blow[];

  constructor(private readonly universe: Universe) {
    this.kinds = [...universe.options.faults].map((name) => blows[name]).filter((blow) => blow !== undefined);
    if (universe.options.faults.has('news')) universe.onNews = (member) => this.news(member);
  }

  begin(): void {
    const { world, random, options, living } = this.universe;
    if (this.over || this.kinds.length === 0) return;
    world.after(random.exponential(options.faultEveryMs * 1000), () => {
      if (this.over) return;
      if (world.nowUs < this.universe.onlyReadsUntilUs) {
        this.begin();
        return;
      }
      // Who leads is hit more often than others.
      const leaders = [...this.universe.groups.keys()].map((group) => this.universe.leader(group)?.node ?? 0);
      const leader = this.universe.holder(random.pick(leaders));
      const node = leader !== undefined && random.chance(0.4) ? leader : random.pick(living);
      if (!node.lost) random.pick(this.kinds)(this.universe, node);
      this.begin();
    });
  }

  end(): void {
    this.over = true;
  }

  /** A machine is cut off, and may be paused until others do without it. */
  private forget(node: Node): void {
    const { random, world, options } = this.universe;
    if (this.over || node.paused) return;
    const electionUs = options.electionTicks * TICK_US;
    const pausedUs = random.chance(0.5) ? 2 * electionUs : 0;
    cutOff(this.universe, node, pausedUs + electionUs + random.exponential(1_000_000));
    if (pausedUs === 0) return;
    this.universe.tell(node, 'is paused');
    node.pause();
    world.after(pausedUs, () => node.resume());
  }

  /**
   * A leader may be cut off with it; another member may end just when what is new is on its disk, or before, and nobody
   * hears that it has it.
   */
  private news(member: Member): void {
    const { random, world, options, network } = this.universe;
    const node = this.universe.holder(member.node);
    if (this.over || node === undefined || !random.chance(0.4)) return;
    if (member.core.leading) {
      world.after(random.exponential(200_000), () => this.forget(node));
      return;
    }
    const leader = this.universe.holder(member.core.leader);
    if (leader !== undefined && leader !== node && random.chance(0.5)) {
      network.sever(node.id, leader.id, random.exponential(1_000_000));
    }
    const { process } = node;
    world.after(random.exponential(3 * options.disk.latencyUs), () => {
      if (process !== undefined && node.process === process) this.universe.crash(node, false, 5_000);
    });
  }
}
