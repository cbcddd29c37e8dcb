// A load on a mounted directory, as a process of its own: one operation after the other by blocking system calls, as a
// training process makes them. Several processes share a directory; each has names of its own.

import { Histogram } from '../histogram.js';
import { prepareStep, type Step } from './mount-steps.js';
import type { MountResult, MountTask } from './mount-task.js';
import { giveResult, readyToGo, taskOf } from './parent.js';

/** Files, or pieces of a large file, of a warm-up. */
const WARM_FILES = 32;

function measure(step: Step, limitSeconds: number): MountResult {
  const most = step.most ?? Number.POSITIVE_INFINITY;
  const every = step.between?.operations ?? 1;
  const limitMs = step.isWhole === true ? Number.POSITIVE_INFINITY : limitSeconds * 1000;
  const latency = new Histogram();
  const cpu = process.cpuUsage();
  let begun = performance.now();
  let units = 0;
  let before = begun;
  while (before - begun < limitMs && latency.count < most) {
    if (latency.count % every === 0 && step.between !== undefined) {
      step.between.run();
      const now = performance.now();
      begun += now - before;
      before = now;
    }
    units += step.run(latency.count);
    const now = performance.now();
    latency.record((now - before) * 1000);
    before = now;
  }
  step.end?.();
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { operations: latency.count, units, seconds, latency: latency.data(), cpuSeconds: (user + system) / 1e6 };
}

/** The same on fewer files, again and again until the time is over: making them warms, too. */
function warm(task: MountTask): void {
  const deadline = performance.now() + task.warmSeconds * 1000;
  const like = { ...task, files: Math.min(task.files, WARM_FILES) };
  for (let round = 0; performance.now() < deadline; round++) {
    const step = prepareStep(like, `warm${round}`);
    measure(step, Math.max(0, deadline - performance.now()) / 1000);
  }
}

const task = taskOf<MountTask>();
warm(task);
const step = prepareStep(task, 'measured');
await readyToGo();
giveResult(measure(step, task.seconds));
