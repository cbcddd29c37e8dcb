// The scenarios that take long when they are meant: overload, sustained, cold set, ingest. Each runs here for a second or
// two, so that none rots.

import assert from 'node:assert';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { makeMemoryGroup, NotHereError } from '../../perf/cgroup.js';
import { type Figure, total } from '../../perf/figures.js';
import { Observatory } from '../../perf/instrument/observed.js';
import { measureCold } from '../../perf/scenarios/cold.js';
import { measureIdle } from '../../perf/scenarios/idle.js';
import { measureIngest } from '../../perf/scenarios/ingest.js';
import { measureOverload } from '../../perf/scenarios/overload.js';
import { measureS3 } from '../../perf/scenarios/s3.js';
import { nodeTarget, type S3Load } from '../../perf/scenarios/s3-target.js';
import { measureSustained } from '../../perf/scenarios/sustained.js';
import { killNodes, type NodeTarget, startNode } from '../../perf/servers.js';
import { sweep } from '../../perf/suites.js';
import { notRoot } from '../support/programs.js';

const MIXED: S3Load = { op: 'mixed', bodyBytes: 1000, clients: 4, keys: 200, rate: 0 };
const MIB = 1024 * 1024;
let observatory: Observatory;
let node: NodeTarget;

before(async () => {
  observatory = new Observatory();
  node = await startNode({ env: observatory.env });
});

after(async () => {
  await killNodes();
  fs.rmSync(node.data, { recursive: true, force: true });
  observatory.close();
});

function named(figures: readonly Figure[], part: string): Figure {
  const found = figures.find(({ name }) => name.includes(part));
  assert(found !== undefined, `no "${part}" in ${figures.map(({ name }) => name).join('; ')}`);
  return found;
}

test('an idle node tells its share of a core and its memory', async () => {
  const figures = await measureIdle({ target: node, observatory }, 0.5);
  // So little that half a second may see none.
  const share = named(figures, 'of a core').value;
  assert(share >= 0 && share < 100, `${share} % of a core`);
  assert(named(figures, 'memory').value > 50 * MIB);
});

test('overload tells throughput beside that of before, the way back, and memory', async () => {
  const times = { seconds: 0.8, warmSeconds: 0.2 };
  const figures = await measureOverload(nodeTarget(node, observatory, 2), MIXED, times);
  const during = named(figures, '40 clients in place of 4');
  assert(during.value > 0 && during.limits[0]!.value > 0);
  assert(during.latency!.p50Us > 0 && total(during.cost!.cpuUs) > 0);
  const points = during.series![0]!.points;
  // Three phases: the first clients are seen all the time.
  assert(points.at(-1)![0] > 2, `${points.at(-1)}`);
  assert(named(figures, 'back at').value < 2000);
  assert(named(figures, 'memory').value > 50 * MIB);
});

test('a sustained load compares its last tenth with its first and draws what went on', async () => {
  const times = { seconds: 2, warmSeconds: 0.2, peakSeconds: 0.3 };
  const figures = await measureSustained(nodeTarget(node, observatory), MIXED, times);
  const last = named(figures, 'last tenth');
  const [first, peak] = last.limits;
  assert(Math.abs(first!.value / peak!.value - 0.7) < 0.3, `${first!.value} of ${peak!.value} a second`);
  assert(total(last.cost!.allocatedBytes) > 1000);
  for (const { points } of last.series!) assert.strictEqual(points.length, 100);
  const pause = named(figures, 'longest pause');
  assert(pause.value > 0 && pause.lessIsBetter);
});

test('a sweep is one curve over the clients', async () => {
  const load: S3Load = { op: 'head', bodyBytes: 10, clients: 1, keys: 20, rate: 0 };
  const times = { seconds: 0.1, warmSeconds: 0 };
  const figures = await measureS3(nodeTarget(node, observatory), sweep(load, [1, 8]), times);
  assert.deepStrictEqual(
    figures.map(({ curve }) => curve),
    [1, 8].map((x) => ({ name: 'S3 head 10 B', x, over: 'clients' })),
  );
});

test('a group for memory is refused with a reason, or made and removed', async () => {
  try {
    const group = makeMemoryGroup(256 * MIB);
    assert(fs.existsSync(group.procs));
    await group.close();
    assert(!fs.existsSync(group.procs));
  } catch (error) {
    assert(error instanceof NotHereError, String(error));
    assert(notRoot() !== false || /control group/.test(error.message));
  }
});

test('cold reads are held against the disk, warm ones beside them are counted apart', { skip: notRoot() }, async () => {
  try {
    const options = {
      memoryBytes: 512 * MIB,
      objectBytes: 4096,
      objects: 400,
      generators: 1,
      seconds: 0.4,
      warmSeconds: 0,
    };
    const [cold, warm] = await measureCold(options);
    assert(cold!.value > 0 && cold!.limits[0]!.value > 0);
    assert(total(cold!.cost!.cpuUs) > 0);
    assert(warm!.latency!.p99Us > 0);
  } catch (error) {
    if (!(error instanceof NotHereError)) throw error;
  }
});

test('an ingest tells rates, growth, sizes and starts', { skip: notRoot() }, async () => {
  const said: string[] = [];
  const say = (message: string): void => {
    said.push(message);
  };
  const figures = await measureIngest({ objects: 1010, objectBytes: 2000, generators: 2, probeSeconds: 0.1, say });
  const main = figures[0]!;
  assert.strictEqual(said.length, 2);
  for (const { value } of main.limits) assert(value > 0);
  assert.strictEqual(main.series![0]!.points.length, 2);
  assert.deepStrictEqual(
    main.series![0]!.points.map(([files]) => files),
    [511, 1010],
  );
  for (const part of ['reads of the mount', 'page of a listing', 'create on the mount', 'start after SIGKILL']) {
    assert(named(figures, part).value > 0, part);
  }
  const database = named(figures, 'database').value;
  assert(database > 50 && database < 5000, `${database} bytes a file`);
  const needle = named(figures, 'needle index').value;
  assert(needle > 20 && needle < 2000, `${needle} bytes a needle`);
});
