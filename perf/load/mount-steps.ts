// The operations of loads on a mount, each prepared with the files that it needs.

import fs from 'node:fs';
import path from 'node:path';
import { BLOCK_BYTES, type MountOp, type MountTask, PIECE_BYTES, plainName } from './mount-task.js';

export interface Step {
  /** One operation; answers its units. */
  run(index: number): number;
  /** Operations that can be done; without it, as many as there is time for. */
  readonly most?: number;
  /** All of `most` belong to it, however long that takes. */
  readonly isWhole?: boolean;
  /** What is done before each so many operations, outside of the time that is measured. */
  readonly between?: { readonly operations: number; run(): void };
  end?(): void;
}

const BLOCKS_PER_PIECE = PIECE_BYTES / BLOCK_BYTES;
const SYNCED_BLOCKS = 1000;
const SEED = 42;

/** `label` tells apart what one process prepares several times. */
export function prepareStep(task: MountTask, label: string): Step {
  const home = path.join(task.directory, `${plainName(task.op)}-${task.client}-${label}`);
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
    case 'shuffled epoch':
      fill();
      return epoch(shuffled(task.files), (place) => readWhole(name(place), small));
    case 'readdir':
      fill();
      return { run: () => fs.readdirSync(home).length };
    case 'rename':
      fill();
      return renaming(name, task.files);
    case 'unlink':
      fill();
      return { ...onFiles((index) => fs.unlinkSync(name(index))), most: task.files };
    case 'sequential write':
      return writing(home);
    case 'sequential read':
      return reading(home, task);
    case 'random read, direct':
    case 'random read, buffered':
      return readingAnywhere(home, task);
    case 'random write, direct':
    case 'random write, buffered':
      return writingAnywhere(home, task);
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

function renaming(name: (index: number) => string, files: number): Step {
  return onFiles((index) => {
    const there = Math.floor(index / files) % 2 === 0;
    const file = name(index % files);
    fs.renameSync(there ? file : `${file}r`, there ? `${file}r` : file);
  });
}

/** Each file once, in an order of chance: what a training process does with its samples. */
function epoch(order: Uint32Array, read: (place: number) => void): Step {
  return { ...onFiles((index) => read(order[index]!)), most: order.length, isWhole: true }; // below `most`
}

/** The numbers below `count`, the same order in each run (Fisher and Yates; the generator is mulberry32). */
export function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  let state = SEED;
  for (let last = count - 1; last > 0; last--) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const place = ((mixed ^ (mixed >>> 14)) >>> 0) % (last + 1);
    [order[last], order[place]] = [order[place]!, order[last]!]; // both below count
  }
  return order;
}

function syncing(file: string, data: Buffer): Step {
  const fd = fs.openSync(file, 'w');
  return {
    run: (index) => {
      fs.writeSync(fd, data, 0, data.length, (index % SYNCED_BLOCKS) * data.length);
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

function largeFile(home: string, pieces: number): string {
  const file = path.join(home, 'large');
  const data = Buffer.alloc(PIECE_BYTES, 7);
  const fd = fs.openSync(file, 'w');
  for (let piece = 0; piece < pieces; piece++) fs.writeSync(fd, data);
  fs.closeSync(fd);
  return file;
}

/** Reads the file from its start again and again, dropped by the kernel before each time. */
function reading(home: string, { files }: MountTask): Step {
  const file = largeFile(home, files);
  const data = Buffer.alloc(PIECE_BYTES);
  const reader = new Reader(file, fs.constants.O_RDONLY);
  return {
    run: (index) => reader.read(data, (index % files) * PIECE_BYTES),
    between: { operations: files, run: () => reader.renew() },
    end: () => reader.close(),
  };
}

/** Each block of the file once, then all again, dropped by the kernel before. */
function readingAnywhere(home: string, { op, files }: MountTask): Step {
  const file = largeFile(home, files);
  const data = pageAligned(BLOCK_BYTES);
  const order = shuffled(files * BLOCKS_PER_PIECE);
  const reader = new Reader(file, fs.constants.O_RDONLY | directFlag(op));
  return {
    run: (index) => {
      reader.read(data, order[index % order.length]! * BLOCK_BYTES); // below its length
      return 1;
    },
    between: { operations: order.length, run: () => reader.renew() },
    end: () => reader.close(),
  };
}

function directFlag(op: MountOp): number {
  return op.endsWith('direct') ? fs.constants.O_DIRECT : 0;
}

class Reader {
  private fd: number;

  constructor(
    private readonly file: string,
    private readonly flags: number,
  ) {
    this.fd = fs.openSync(file, flags);
  }

  read(data: Buffer, offset: number): number {
    const count = fs.readSync(this.fd, data, 0, data.length, offset);
    if (count !== data.length) throw new Error(`${this.file} ends within ${offset} + ${data.length}`);
    return count;
  }

  /** An open alone may keep what the kernel knows of an unchanged file; a change of its size lets go of all of it. */
  renew(): void {
    const { size } = fs.fstatSync(this.fd);
    fs.closeSync(this.fd);
    fs.truncateSync(this.file, size + 1);
    fs.truncateSync(this.file, size);
    this.fd = fs.openSync(this.file, this.flags);
  }

  close(): void {
    fs.closeSync(this.fd);
  }
}

/** The close is part of the time: it waits until everything is on disk. */
function writingAnywhere(home: string, { op, files }: MountTask): Step {
  const file = largeFile(home, files);
  const fd = fs.openSync(file, fs.constants.O_RDWR | directFlag(op));
  const data = pageAligned(BLOCK_BYTES).fill(9);
  const order = shuffled(files * BLOCKS_PER_PIECE);
  return {
    run: (index) => {
      fs.writeSync(fd, data, 0, data.length, order[index % order.length]! * BLOCK_BYTES); // below its length
      return 1;
    },
    end: () => fs.closeSync(fd),
  };
}

/** Direct I/O of a disk wants memory at a page's boundary: V8 gives resizable buffers pages of their own. */
export function pageAligned(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes, { maxByteLength: bytes }));
}
