// Runs a seed: a storm, in which nothing wrong may happen, then calm, in which everything must come right.

import { withLimits } from '../limits.js';
import { type Outcome, type RunOptions, STORM } from '../shell/simulation.js';
import { World } from '../world.js';
import { FileSession } from './file-session.js';
import { ASSERTION, type Member, PROGRESS } from './invariants/index.js';
import { KvSession } from './kv-session.js';
import { Operator } from './operator.js';
import { optionsOf } from './options.js';
import type { Session } from './session.js';
import { Storm } from './storm.js';
import { Universe } from './universe.js';

/** Within so many ticks after all is healed everything must have come right, and so often that is looked at. */
export const HEALING_TICKS = 600;
const LOOK_TICKS = 2;
const TICK_US = 100_000;

export async function runSeed(seed: number, { narrowed = {}, tell }: RunOptions = {}): Promise<Outcome> {
  const options = optionsOf(seed, narrowed);
  const world = new World(tell);
  const universe = new Universe(options, world);
  const { invariants } = universe;
  try {
    return await withLimits(options.limits, () => runUniverse(universe));
  } catch (error) {
    invariants.report(ASSERTION, (error as Error).stack ?? String(error));
    return outcomeOf(universe, [], 0);
  }
}

async function runUniverse(universe: Universe): Promise<Outcome> {
  const { invariants, options, world } = universe;
  const UsedBy = options.machine === 'kv' ? KvSession : FileSession;
  const sessions = Array.from(
    { length: options.sessions },
    (_, at) => new UsedBy(at + 1, options.lopsided ? 1 : 1 + (at % options.groups), universe),
  );
  const storm = new Storm(universe);
  const operator = new Operator(universe);
  for (const node of universe.nodes.values()) node.start();
  for (const session of sessions) session.start();
  storm.begin();
  operator.start();
  const isBroken = (): boolean => invariants.broken.length > 0;
  await world.run(options.stormMs * 1000, () => false);
  storm.end();
  operator.restless = false;
  universe.heal();
  for (const session of sessions) session.stop();
  const from = world.nowUs;
  const calm = await settle(universe, world, () => sessions.every(({ idle }) => idle) && isSettled(universe));
  if (calm) {
    for (const session of sessions) session.finish();
    await settle(universe, world, () => sessions.every(({ idle }) => idle) && isSettled(universe));
  }
  const healingTicks = Math.ceil((world.nowUs - from) / TICK_US);
  if (!isBroken()) invariants.ends();
  return outcomeOf(universe, sessions, healingTicks);
}

function outcomeOf(universe: Universe, sessions: readonly Session[], healingTicks: number): Outcome {
  const { world, options, invariants } = universe;
  const answered = { swap: 0, lease: 0, index: 0, file: 0 };
  let entries = 0;
  for (const session of sessions) {
    for (const kind of ['swap', 'lease', 'index', 'file'] as const) answered[kind] += session.answered[kind];
  }
  for (const { history } of universe.groups.values()) entries += history.lastIndex;
  const { events, hash, nowUs } = world;
  const { broken, undecided } = invariants;
  const { faults, groups, spares, voters, stormMs } = options;
  const { disk: _disk, network: _network, faults: _faults, ...rest } = options;
  return {
    broken,
    events,
    simulatedMs: nowUs / 1000,
    hash,
    faults,
    numbers: { groups, spares, voters, sessions: options.sessions, [STORM]: stormMs },
    counts: {
      entries,
      'lease reads': answered.lease,
      'index reads': answered.index,
      'file operations': answered.file,
      'histories undecided': undecided,
    },
    details: () => [
      `options: ${JSON.stringify(rest)}`,
      `${entries} entries, ${JSON.stringify(answered)} answered, whole again after ${healingTicks} ticks`,
    ],
  };
}

/** Waits for calm; says what is not so when it does not come. */
async function settle(universe: Universe, world: World, settled: () => boolean): Promise<boolean> {
  const until = world.nowUs + HEALING_TICKS * TICK_US;
  while (world.nowUs < until) {
    await world.run(world.nowUs + LOOK_TICKS * TICK_US, () => false);
    if (settled()) return true;
  }
  universe.invariants.report(PROGRESS, unsettled(universe).join('; ') || 'a session is not answered');
  for (const { id } of universe.groups.values()) {
    for (const { members } of universe.living) describe(universe, members.get(id));
  }
  return false;
}

function isSettled(universe: Universe): boolean {
  return unsettled(universe).length === 0;
}

function unsettled(universe: Universe): string[] {
  const wrong: string[] = [];
  for (const { id, history } of universe.groups.values()) {
    const leader = universe.leader(id);
    if (leader === undefined || !leader.core.established) {
      wrong.push(`group ${id} has no leader`);
      continue;
    }
    const { voters, outgoing, learners } = leader.core.configuration;
    if (outgoing.length > 0) wrong.push(`group ${id} is in a joint configuration`);
    for (const node of [...voters, ...learners]) {
      const holder = universe.holder(node);
      const member = holder?.members.get(id);
      if (member?.node !== node || holder?.running !== true) wrong.push(`member ${node} of group ${id} is not there`);
      else if (member.state.index !== history.lastIndex) {
        wrong.push(`member ${node} of group ${id} is at ${member.state.index} of ${history.lastIndex}`);
      }
    }
  }
  return wrong;
}

function describe(universe: Universe, member: Member | undefined): void {
  if (member === undefined) return;
  const { node, group, core, state, durable } = member;
  const role = ['follower', 'pre-candidate', 'candidate', 'leader'][core.role];
  const { log, configuration, leader } = core;
  const at = `term ${core.term}, vote ${core.vote}, log ${log.firstIndex} to ${log.lastIndex} of ${log.lastTerm}`;
  const done = `committed ${log.committed}, applied ${state.index}, on disk to ${durable.lastIndex}`;
  const who = `follows ${leader}, ${JSON.stringify(configuration)}`;
  universe.tell(
    universe.holder(node),
    `in group ${group}: ${role}, ${at}, ${done}, ${who}${core.quiescent ? ', quiescent' : ''}`,
  );
}
