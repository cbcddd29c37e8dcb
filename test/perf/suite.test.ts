// Every scenario of perf/ runs, small, so that none rots; and what the instrument says of a node is about that node.

import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Figure } from '../../perf/figures.js';
import { Observatory } from '../../perf/instrument/observed.js';
import { measureMicro } from '../../perf/scenarios/micro.js';
import { measureMount } from '../../perf/scenarios/mount.js';
import { measureS3 } from '../../perf/scenarios/s3.js';
import { nodeTarget } from '../../perf/scenarios/s3-target.js';
import { killNodes, type NodeTarget, nodePid, startNode } from '../../perf/servers.js';
import { QUICK_S3, quickMount } from '../../perf/suites.js';

const TIMES = { seconds: 0.1, warmSeconds: 0.05 };
const SMALL_MOUNT = quickMount().map((load) => ({ ...load, files: 8 }));
const PERF = fileURLToPath(new URL('../../perf/index.js', import.meta.url));
let observatory: Observatory;
let target: NodeTarget;

before(async () => {
  observatory = new Observatory();
  target = await startNode({ env: observatory.env });
});

after(async () => {
  await killNodes();
  fs.rmSync(target.data, { recursive: true, force: true });
  observatory.close();
});

function assertMeasured(figures: readonly Figure[]): void {
  for (const { name, value, limits } of figures) {
    assert(Number.isFinite(value) && value > 0, `${name}: ${value}`);
    for (const limit of limits) assert(limit.value > 0, `${name}, limit ${limit.name}: ${limit.value}`);
  }
}

test('every S3 load gives a figure with limits, latencies and the cost by thread', async () => {
  const loads = QUICK_S3.map((load) => {
    const clients = Math.min(load.clients, 8);
    return load.op === 'multipart' ? { ...load, clients } : { ...load, clients, keys: Math.min(load.keys, 50) };
  });
  const open = { op: 'get', bodyBytes: 4096, clients: 8, keys: 50, rate: 200 } as const;
  const figures = await measureS3(nodeTarget(target, observatory), [...loads, open], TIMES);
  // Uploads in parts give a figure of their completions besides.
  assert.strictEqual(figures.length, loads.length + 2);
  assertMeasured(figures);
  for (const { name, latency, cost } of figures) {
    if (name.endsWith('completions')) continue;
    assert(latency !== undefined && latency.p50Us > 0 && latency.p50Us <= latency.maxUs!, name);
    const threads = Object.keys(cost?.cpuUs ?? {});
    for (const thread of ['main', 'meta/0', 'block/0']) assert(threads.includes(thread), `${name}: ${threads}`);
    assert((cost?.memoryBytes ?? 0) > 10_000_000, `${name}: ${cost?.memoryBytes} bytes of memory`);
  }
  const put = figures[0]!.cost!;
  assert(put.cpuUs['meta/0']! > 0, 'the meta thread worked');
  assert(put.allocatedBytes['meta/0']! > 100, `${put.allocatedBytes['meta/0']} bytes allocated in the meta thread`);
  assert(
    Object.values(put.dirtiedBy).some((bytes) => bytes > 1024),
    JSON.stringify(put.dirtiedBy),
  );
});

test('every load on a mount gives a figure with limits and the cost in node and mount', async () => {
  const figures = await measureMount({ target, observatory }, SMALL_MOUNT, TIMES);
  assert.strictEqual(figures.length, SMALL_MOUNT.length);
  assertMeasured(figures);
  for (const { name, cost } of figures) assert((cost?.cpuUs['mount main'] ?? 0) > 0, name);
});

test('every part by itself gives a figure', async () => {
  const figures = await measureMicro(TIMES.seconds);
  assert(figures.length > 30, `${figures.length} figures`);
  assertMeasured(figures);
});

test('an open loop counts from when a request was due, also when the server is slower than the rate', async () => {
  const load = { op: 'list', bodyBytes: 10, clients: 1, keys: 500, rate: 5000 } as const;
  const [figure] = await measureS3(nodeTarget(target, observatory), [load], { seconds: 0.2, warmSeconds: 0 });
  assert(figure!.value < load.rate, `${figure!.value} listings a second`);
  // With one connection, the last answered requests were due long before the server could begin them.
  assert(figure!.latency!.maxUs! > 100_000, `the longest took ${figure!.latency!.maxUs} us`);
});

test('threads of the node are seen by their names', () => {
  const names = [...observatory.cpuUs(nodePid(target)).keys()];
  for (const name of ['main', 'meta/0', 'block/0', 'v8']) assert(names.includes(name), names.join(' '));
});

test('the command line refuses what it does not know, and writes what it measured', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [PERF, ...args], { encoding: 'utf8' });
  for (const wrong of [['nothing'], ['s3', '--op', 'post'], ['--seconds', 'x'], ['--unknown']]) {
    const { status, stderr } = run(...wrong);
    assert.strictEqual(status, 2, stderr);
    assert.match(stderr, /npm run perf/);
  }
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-test-'));
  try {
    const json = path.join(directory, 'report.json');
    const url = `http://127.0.0.1:${target.port}`;
    const args = ['s3', '--op', 'put', '--size', '1KiB', '--clients', '2', '--seconds', '0.1', '--rounds', '1'];
    const { accessKey, secretKey } = target.credentials;
    const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey };
    const whole = [PERF, ...args, '--against', url, '--json', json];
    const { status, stdout, stderr } = spawnSync(process.execPath, whole, { encoding: 'utf8', env });
    assert.strictEqual(status, 0, stderr);
    assert.match(stdout, /S3 put 1 KiB, 2 clients/);
    const report = JSON.parse(fs.readFileSync(json, 'utf8')) as { results: { samples: number[] }[] };
    assert.deepStrictEqual(
      report.results.map(({ samples }) => samples.length),
      [1],
    );
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});
