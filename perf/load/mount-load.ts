// A load on a mounted directory, as a process of its own: one operation after the other by blocking system calls, as a
// training process makes them. Several processes share a directory; each has names of its own. Takes its task as JSON in
// the first argument and prints its result as JSON.

import fs from 'node:fs';
import path from 'node:path';
import { Histogram } from '../histogram.js';
import { type MountResult, type MountTask, PIECE_BYTES } from './mount-task.js';

interface Step {
  /** One operation; answers its units. */
  run(index: number): number;
  /** Operations that can be done; without it, as many as there is time for. */
  readonly most?: number;
  end?(): void;
}

function prepare(task: MountTask): Step {
  const home = path.join(task.directory, `${task.op.replaceAll(' ', '-')}-${task.client}`);
  fs.mkdirSync(home, { recursive: true });
  const name = (index: number): string => path.join(home, `f${index}`);
  const small = Buffer.alloc(task.fileBytes, 7);
  const fill = (): void => {
    for (let index = 0; index < task.files; index++) fs.writeFileSync(name(index), small);
  };
  switch (task.op) {
    case 'create':
      return onFiles((index) => fs.closeSync(fs.openSync(name(index), 'wx')));
    case 'open-write-close':
      return onFiles((index) => {
        const fd = fs.openSync(name(index), 'wx');
        fs.writeSync(fd, small);
        fs.closeSync(fd);
      });
    case 'write-fsync':
      return syncing(name(0), small);
    case 'stat':
      fill();
      return onFiles((index) => fs.statSync(name(index % task.files)));
    case 'open-read-close':
      fill();
      return onFiles((index) => readWhole(name(index % task.files), small));
    case 'readdir':
      fill();
      return { run: () => fs.readdirSync(home).length };
    case 'rename':
      fill();
      return onFiles((index) => {
        const round = Math.floor(index / task.files);
        const file = name(index % task.files);
        fs.renameSync(round % 2 === 0 ? file : `${file}r`, round % 2 === 0 ? `${file}r` : file);
      });
    case 'unlink':
      fill();
      return { ...onFiles((index) => fs.unlinkSync(name(index))), most: task.files };
    case 'sequential write':
      return writing(home);
    case 'sequential read':
      return reading(home, task);
  }
}

function onFiles(body: (index: number) => unknown): Step {
  return {
    run: (index) => {
      body(index);
      return 1;
    },
  };
}

function readWhole(file: string, target: Buffer): void {
  const fd = fs.openSync(file, 'r');
  if (fs.readSync(fd, target) !== target.length) throw new Error(`${file} is short`);
  fs.closeSync(fd);
}

function syncing(file: string, data: Buffer): Step {
  const fd = fs.openSync(file, 'w');
  return {
    run: (index) => {
      fs.writeSync(fd, data, 0, data.length, (index % 1000) * data.length);
      fs.fsyncSync(fd);
      return 1;
    },
    end: () => fs.closeSync(fd),
  };
}

/** The last close is part of the time: it waits until everything is on disk. */
function writing(home: string): Step {
  const data = Buffer.alloc(PIECE_BYTES, 7);
  const fd = fs.openSync(path.join(home, 'large'), 'w');
  return { run: (index) => fs.writeSync(fd, data, 0, data.length, index * PIECE_BYTES), end: () => fs.closeSync(fd) };
}

/** Reads the file from its start again and again, each time newly opened, so that the kernel has dropped it. */
function reading(home: string, { files }: MountTask): Step {
  const file = path.join(home, 'large');
  const data = Buffer.alloc(PIECE_BYTES, 7);
  let fd = fs.openSync(file, 'w');
  for (let piece = 0; piece < files; piece++) fs.writeSync(fd, data);
  fs.closeSync(fd);
  fd = fs.openSync(file, 'r');
  return {
    run: (index) => {
      const piece = index % files;
      if (piece === 0) {
        fs.closeSync(fd);
        fd = fs.openSync(file, 'r');
      }
      return fs.readSync(fd, data, 0, data.length, piece * PIECE_BYTES);
    },
    end: () => fs.closeSync(fd),
  };
}

/** The parent says `go` when all processes are prepared, so that they work at the same time. */
async function run(task: MountTask): Promise<MountResult> {
  const step = prepare(task);
  process.stdout.write('ready\n');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
  const latency = new Histogram();
  const cpu = process.cpuUsage();
  const begun = performance.now();
  let units = 0;
  let before = begun;
  while (before - begun < task.seconds * 1000 && latency.count < (step.most ?? Number.POSITIVE_INFINITY)) {
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

const result = await run(JSON.parse(process.argv[2] ?? 'null') as MountTask);
fs.writeSync(1, `${JSON.stringify(result)}\n`);
