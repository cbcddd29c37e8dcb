import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import { withMount } from './harness.js';

const TICK_MS = 10;

/** Processor time of a process with all its threads, in ticks of the kernel's clock. */
function processorTicks(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function pause(us: number): void {
  const end = performance.now() + us / 1000;
  while (performance.now() < end);
}

test('requests are served whatever the pause between them, around the time that the intake looks on', () =>
  withMount(async (mounted) => {
    for (let round = 0; round < 30; round++) {
      for (let us = 0; us < 150; us += 2) {
        assert.strictEqual(fs.existsSync(mounted.path(`none-${round}-${us}`)), false);
        pause(us);
      }
    }
  }));

test('a mount that nobody uses any more takes no processor time', () =>
  withMount(async (mounted) => {
    for (let file = 0; file < 3000; file++) fs.existsSync(mounted.path(`none-${file}`));
    const pid = mounted.child.pid!; // it has started
    // What the burst has left to do (garbage, compilers) ends by itself: one second of rest must come.
    const deadline = performance.now() + 15_000;
    for (;;) {
      const before = processorTicks(pid);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const usedMs = (processorTicks(pid) - before) * TICK_MS;
      if (usedMs <= TICK_MS) return;
      assert.ok(performance.now() < deadline, `${usedMs} ms of a second are used by a mount that nobody uses`);
    }
  }));
