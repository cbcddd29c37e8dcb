// Who sees to the groups: puts replacements in the place of members that are lost, and, in a storm, changes who belongs
// to a group for no reason.

import { changed } from '../../../node/raft/core/membership.js';
import { isJoint } from '../../../node/raft/core/quorum.js';
import type { Change, ReplicatedGroup } from '../../../node/raft/index.js';
import type { Member } from './invariants/index.js';
import type { Universe } from './universe.js';

const EVERY_US = 400_000;
/** How often a group becomes one of one, from which it grows again. */
const SHRINKS = 0.08;

export class Operator {
  /** In a storm: changes for no reason. */
  restless: boolean;

  constructor(private readonly universe: Universe) {
    this.restless = universe.options.faults.has('change');
  }

  start(): void {
    this.universe.world.after(EVERY_US, () => {
      for (const group of this.universe.groups.keys()) this.look(group);
      this.start();
    });
  }

  private look(group: number): void {
    const { universe } = this;
    const leader = universe.leader(group);
    if (leader === undefined) return;
    const node = universe.holder(leader.node);
    const raft = node?.machines.get(group)?.raft;
    if (raft === undefined || node?.process === undefined) return;
    node.process.happen(() => {
      const changes = this.wanted(leader, raft);
      // Nobody makes a group rely on what is lost.
      if (changes.length === 0 || isJoint(raft.members) || !universe.isSound(changed(raft.members, changes))) return;
      if (raft.changeRefusal(changes) !== null) return;
      if (raft.change(changes) !== 0) universe.tell(node, `changes group ${group}: ${JSON.stringify(changes)}`);
    });
  }

  private wanted(leader: Member, raft: ReplicatedGroup): Change[] {
    const { universe } = this;
    const { core, group } = leader;
    const { random, options, living } = universe;
    const { voters, learners } = raft.members;
    const lost = (id: number): boolean => universe.holder(id)?.lost ?? true;
    const gone = [...voters, ...learners].find(lost);
    if (gone !== undefined) return [{ id: gone, to: 'gone' }];
    if (this.restless && voters.length > 1 && random.chance(SHRINKS)) {
      const last = voters.includes(leader.node) && random.chance(0.5) ? leader.node : random.pick(voters);
      return [...voters, ...learners].filter((id) => id !== last).map((id) => ({ id, to: 'gone' }));
    }
    if (this.restless && random.chance(0.5)) {
      return Array.from({ length: random.between(1, 2) }, () => ({
        id: random.pick(living).memberIn(group),
        to: random.pick(['voter', 'voter', 'learner', 'gone'] as const),
      })).filter(({ to, id }) => to !== 'voter' || learners.includes(id) || voters.includes(id));
    }
    const sound = voters.filter((id) => !lost(id)).length;
    const wanted = Math.min(options.voters, living.length) - sound;
    if (wanted <= 0) return [];
    const ready = learners.filter((id) => core.tracker.progress.get(id)?.state === 'replicate');
    if (ready.length > 0) return ready.slice(0, wanted).map((id) => ({ id, to: 'voter' }));
    const free = living
      .map((node) => node.memberIn(group))
      .filter((id) => !voters.includes(id) && !learners.includes(id));
    if (free.length === 0 || learners.length > 0) return [];
    const first = random.below(free.length);
    return [...free.slice(first), ...free.slice(0, first)]
      .slice(0, random.between(1, wanted))
      .map((id) => ({ id, to: 'learner' }));
  }
}
