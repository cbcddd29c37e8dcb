// Runs a seed: a storm, in which nothing wrong may happen, then calm, in which everything must come right.

import { withLimits } from '../limits.js';
import { ASSERTION, PROGRESS } from '../shell/reports.js';
import { type Outcome, type RunOptions, STORM } from '../shell/simulation.js';
import { World } from '../world.js';
import { auditFiles, auditVolumes } from './audit.js';
import { optionsOf } from './options.js';
import { SCALE } from './scale.js';
import { Session } from './session.js';
import { Storm } from './storm.js';
import { Universe } from './universe.js';

/** Within so much simulated time after all is healed every request must be answered and every start done. */
export const HEALING_MS = 5000;
const LOOK_US = 2000;

export async function runSeed(seed: number, { narrowed = {}, tell }: RunOptions = {}): Promise<Outcome> {
  const options = optionsOf(seed, narrowed);
  const world = new World(tell);
  const universe = new Universe(options, world);
  const sessions = Array.from(
    { length: options.sessions },
    (_, at) => new Session(universe, universe.random.split(at)),
  );
  let healingMs = 0;
  try {
    await withLimits({ ...SCALE, ...options.limits }, async () => {
      healingMs = await runUniverse(universe, sessions);
    });
  } catch (error) {
    universe.invariants.report(ASSERTION, (error as Error).stack ?? String(error));
  }
  return outcomeOf(universe, sessions, healingMs);
}

function outcomeOf(universe: Universe, sessions: readonly Session[], healingMs: number): Outcome {
  const { options, world, lives, invariants } = universe;
  const done = { blocks: 0, deletions: 0, reads: 0, refusals: 0 };
  for (const session of sessions) {
    for (const kind of ['blocks', 'deletions', 'reads', 'refusals'] as const) done[kind] += session.done[kind];
  }
  const { events, hash, nowUs } = world;
  const { faults, ...rest } = options;
  return {
    broken: invariants.broken,
    events,
    simulatedMs: nowUs / 1000,
    hash,
    faults,
    numbers: { sessions: options.sessions, [STORM]: options.stormMs },
    counts: { lives, ...done },
    details: () => [
      `options: ${JSON.stringify(rest)}`,
      `${lives} lives, ${JSON.stringify(done)}, whole again after ${healingMs} ms`,
    ],
  };
}

async function runUniverse(universe: Universe, sessions: readonly Session[]): Promise<number> {
  const { world, options } = universe;
  const storm = new Storm(universe);
  universe.start();
  for (const session of sessions) session.start();
  storm.begin();
  await world.run(options.stormMs * 1000, () => false);
  storm.stopStriking();
  universe.heal();
  for (const session of sessions) session.stopping = true;
  const from = world.nowUs;
  const healed = await settle(universe, () => universe.up && sessions.every(({ idle }) => idle));
  const healingMs = (world.nowUs - from) / 1000;
  if (!healed) {
    universe.invariants.report(
      PROGRESS,
      `after ${HEALING_MS} ms ${universe.up ? 'a session waits' : 'there is no process'}`,
    );
    return healingMs;
  }
  const ending = finish(universe, new Session(universe, universe.random.split(99)));
  const ended = { done: false };
  ending.then(
    () => {
      ended.done = true;
    },
    (error: unknown) => {
      ended.done = true;
      universe.crashed(error);
    },
  );
  world.promisesSettled();
  if (!(await settle(universe, () => ended.done))) universe.invariants.report(PROGRESS, 'the end does not come');
  return healingMs;
}

/** Everything is answered, at rest: what is there is all that there should be, also after a clean stop. */
async function finish(universe: Universe, session: Session): Promise<void> {
  const life = await universe.whenUp();
  session.stopping = true;
  const wrote = await session.writeBlob();
  if (!wrote) universe.invariants.report(PROGRESS, 'there is room again, and a block is refused');
  await universe.readAll(life, 'at the end');
  await auditVolumes(universe, life, session);
  await universe.stop(life);
  auditFiles(universe);
  const next = await universe.whenUp();
  await universe.readAll(next, 'after a clean stop');
  await auditVolumes(universe, next, session);
}

async function settle({ world }: Universe, settled: () => boolean): Promise<boolean> {
  const until = world.nowUs + HEALING_MS * 1000;
  while (world.nowUs < until) {
    await world.run(world.nowUs + LOOK_US, settled);
    if (settled()) return true;
  }
  return false;
}
