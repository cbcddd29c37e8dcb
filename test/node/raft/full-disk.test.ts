// A log on a small real file system that runs full: proposals are refused, nothing is lost, and it goes on by itself.

import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openRaftHost } from '../../../node/raft/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { notRoot } from '../../support/programs.js';
import { TestMachine, temporaryDirectory, unexpected, until } from './machine.js';

const MEGABYTE = 1 << 20;

function mounted(directory: string, bytes: number): { [Symbol.dispose](): void } {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]);
  return { [Symbol.dispose]: () => execFileSync('umount', ['-l', directory]) };
}

test('a full disk refuses proposals, loses nothing, and the log goes on when there is space', {
  skip: notRoot(),
}, async () => {
  using place = temporaryDirectory();
  using _mount = mounted(place.directory, 5 * MEGABYTE);
  const directory = path.join(place.directory, 'log');
  const ballast = path.join(place.directory, 'ballast');
  fs.writeFileSync(ballast, Buffer.alloc(MEGABYTE));
  const warnings: string[] = [];
  const options = {
    directory,
    segmentBytes: MEGABYTE,
    retryMs: 5,
    fatal: unexpected,
    warn: (message: string) => warnings.push(message),
  };
  const host = await openRaftHost(options);
  const machine = new TestMachine();
  const group = host.addGroup(1, machine);
  await until(() => machine.leading, 'leadership');
  const wanted: string[] = [];
  const propose = (): boolean => {
    const payload = `${wanted.length}:`.padEnd(1000, 'x');
    if (group.propose(Buffer.from(payload)) === 0) return false;
    wanted.push(payload);
    return true;
  };
  await until(() => {
    while (propose());
    return group.status.full === true && !propose();
  }, 'proposals are refused');
  assert.match(warnings.join(), /^no space for a new log segment: ENOSPC.*; trying again$/);
  assert(wanted.length > 2000, `${wanted.length} entries before the disk was full`);
  fs.rmSync(ballast);
  await until(propose, 'space is found');
  await until(() => machine.payloads.length === wanted.length, 'all applied');
  await until(() => {
    while (propose());
    return group.status.full === true && !propose();
  }, 'the disk is full again');
  const waiting = wanted.length - machine.payloads.length;
  group.compact(machine.appliedIndex);
  await until(
    () => machine.payloads.length === wanted.length,
    `segments that a checkpoint freed take ${waiting} entries`,
  );
  await until(propose, 'proposals are taken again');
  await host.close();
  assert.deepStrictEqual(machine.payloads, wanted);
  const again = await openRaftHost(options);
  const cut = group.status.firstIndex - 1;
  const replayed = new TestMachine(cut, 1);
  again.addGroup(1, replayed);
  await until(() => replayed.leading, 'leadership');
  assert.deepStrictEqual(replayed.payloads, wanted.slice(cut - 1));
  await again.close();
});

test('a disk without room for a log is an error at the start', { skip: notRoot() }, async () => {
  using place = temporaryDirectory();
  using _mount = mounted(place.directory, MEGABYTE / 2);
  await assert.rejects(
    openRaftHost({ directory: place.directory, segmentBytes: MEGABYTE, fatal: unexpected, warn: () => undefined }),
    (error) => error instanceof OfsError && error.status === Status.NOSPC,
  );
});
