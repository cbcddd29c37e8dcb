// Looking into a process that runs with preload.cts: processor time by thread, bytes to disk, memory, garbage
// collection, profiles. A thread that blocks for good (those that read /dev/fuse) answers no command; its processor time
// is seen all the same.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Cost } from '../figures.js';

const PRELOAD = fileURLToPath(new URL('./preload.cjs', import.meta.url));
const ANSWER_MS = 1_000;
const POLL_MS = 5;
const NANOSECONDS_PER_US = 1000;
/** Documentation/block/stat.rst of the kernel. */
const SECTORS_READ = 2;
const SECTORS_WRITTEN = 6;
const SECTOR_BYTES = 512;

export interface Counters {
  /** Microseconds of processor time by thread's name. */
  readonly cpuUs: Map<string, number>;
  /** Microseconds ready to run and without a processor. */
  readonly queuedUs: Map<string, number>;
  /** Since `begin`; microseconds, and bytes of heap. */
  readonly gcUs: Map<string, number>;
  readonly allocatedBytes: Map<string, number>;
  /** Bytes of page cache by thread's name. */
  readonly dirtiedBy: Map<string, number>;
  readonly memoryBytes: number;
}

/** A place where instrumented processes leave what they say; `env` makes a Node process one. */
export class Observatory {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-observed-'));
  readonly env: Record<string, string>;
  private commands = 0;
  /** Threads that did not answer once, as `pid-tid`: they are not waited for again. */
  private readonly silent = new Set<string>();

  /** With `waits`, threads say what they wait for when they are profiled, which costs a little of each call back. */
  constructor({ waits = false }: { readonly waits?: boolean } = {}) {
    this.env = {
      OFS_PERF_DIRECTORY: this.directory,
      OFS_PERF_WAITS: waits ? '1' : '0',
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require ${PRELOAD}`.trim(),
    };
  }

  /** What the threads of a process answer to a command, as many as answer. */
  async command<T>(pid: number, action: 'begin' | 'report' | 'profile' | 'sample' | 'end'): Promise<T[]> {
    const number = ++this.commands;
    fs.writeFileSync(path.join(this.directory, `command-${pid}`), JSON.stringify({ action, number }));
    process.kill(pid, 'SIGUSR2');
    const prefix = `answer-${number}-${pid}-`;
    const asked = [...this.names(pid).keys()].map((tid) => `${pid}-${tid}`);
    const expected = asked.filter((thread) => !this.silent.has(thread));
    const deadline = performance.now() + ANSWER_MS;
    const found = (): string[] =>
      fs.readdirSync(this.directory).filter((file) => file.startsWith(prefix) && !file.endsWith('.part'));
    const missing = (): string[] => {
      const there = new Set(found());
      return expected.filter((thread) => !there.has(`answer-${number}-${thread}`));
    };
    while (missing().length > 0 && performance.now() < deadline) await sleep(POLL_MS);
    for (const thread of missing()) this.silent.add(thread);
    return found().map((file) => {
      const whole = path.join(this.directory, file);
      const answer = JSON.parse(fs.readFileSync(whole, 'utf8')) as T;
      fs.rmSync(whole);
      return answer;
    });
  }

  /** From here on threads count what they allocate and collect, until their counters are read. */
  async begin(pid: number): Promise<Counters> {
    await this.command(pid, 'begin');
    return this.kernelCounters(pid);
  }

  async counters(pid: number): Promise<Counters> {
    const counters = this.kernelCounters(pid);
    const answers = await this.command<{ name: string; gcUs: number; allocatedBytes: number }>(pid, 'report');
    for (const { name, gcUs, allocatedBytes } of answers) {
      add(counters.gcUs, name, gcUs);
      add(counters.allocatedBytes, name, allocatedBytes);
    }
    return counters;
  }

  private kernelCounters(pid: number): Counters {
    return {
      cpuUs: this.cpuUs(pid),
      queuedUs: this.queuedUs(pid),
      dirtiedBy: this.byThread(pid, 'io', dirtiedBytes),
      gcUs: new Map(),
      allocatedBytes: new Map(),
      memoryBytes: memoryBytes(pid),
    };
  }

  /** By thread, in microseconds since each began. Threads that are not JavaScript's are the `pool` (libuv's) and `v8`. */
  cpuUs(pid: number): Map<string, number> {
    return this.byThread(pid, 'schedstat', (text) => Number(text.split(' ')[0]) / NANOSECONDS_PER_US);
  }

  /** Likewise, the time that a thread was ready and waited for a processor. */
  queuedUs(pid: number): Map<string, number> {
    return this.byThread(pid, 'schedstat', (text) => Number(text.split(' ')[1]) / NANOSECONDS_PER_US);
  }

  private byThread(pid: number, file: string, read: (text: string) => number): Map<string, number> {
    const names = this.names(pid, true);
    const result = new Map<string, number>();
    for (const tid of fs.readdirSync(`/proc/${pid}/task`)) {
      const text = readIfThere(`/proc/${pid}/task/${tid}/${file}`);
      if (text === null) continue;
      add(result, names.get(tid) ?? 'pool', read(text));
    }
    return result;
  }

  close(): void {
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** By the kernel's number; those that are not JavaScript's only when asked for. */
  names(pid: number, withHelpers = false): Map<string, string> {
    const prefix = `thread-${pid}-`;
    const names = new Map<string, string>();
    for (const file of fs.readdirSync(this.directory)) {
      if (!file.startsWith(prefix)) continue;
      const name = fs.readFileSync(path.join(this.directory, file), 'utf8');
      const tid = file.slice(prefix.length);
      if (withHelpers || (name !== 'v8' && fs.existsSync(`/proc/${pid}/task/${tid}`))) names.set(tid, name);
    }
    return names;
  }
}

function add(map: Map<string, number>, name: string, value: number): void {
  map.set(name, (map.get(name) ?? 0) + value);
}

/** Null: the thread has ended since its directory was read. */
export function readIfThere(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

function dirtiedBytes(io: string): number {
  return field(io, 'write_bytes');
}

export function memoryBytes(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return (field(text, 'RssAnon') + field(text, 'RssShmem')) * 1024;
}

/** That the disk of the temporary folder, where nodes keep their data, has written since it was there. */
export function diskWrittenBytes(): number {
  return diskBytes(SECTORS_WRITTEN);
}

/** Likewise, that it has read. */
export function diskReadBytes(): number {
  return diskBytes(SECTORS_READ);
}

function diskBytes(column: number): number {
  const { dev } = fs.statSync(os.tmpdir());
  // The encoding of makedev(3).
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const text = readIfThere(`/sys/dev/block/${major}:${minor}/stat`);
  return text === null ? 0 : Number(text.trim().split(/\s+/)[column]) * SECTOR_BYTES;
}

/** A process to be measured, and what its threads are called in figures: `prefix` before each name. */
export interface Subject {
  readonly pid: number;
  readonly observatory: Observatory;
  readonly prefix: string;
}

const COUNTED = ['cpuUs', 'queuedUs', 'gcUs', 'allocatedBytes', 'dirtiedBy'] as const;
type ByThread = Record<(typeof COUNTED)[number], Record<string, number>>;

/** Runs `body` and says what one of its operations cost all subjects together. */
export async function costOf<T>(
  subjects: readonly Subject[],
  body: () => Promise<T>,
  operations: (result: T) => number,
): Promise<{ result: T; cost: Cost }> {
  const before = await Promise.all(subjects.map(({ observatory, pid }) => observatory.begin(pid)));
  const writtenBefore = diskWrittenBytes();
  const result = await body();
  const written = diskWrittenBytes() - writtenBefore;
  const after = await Promise.all(subjects.map(({ observatory, pid }) => observatory.counters(pid)));
  const count = Math.max(1, operations(result));
  const cost = { cpuUs: {}, queuedUs: {}, gcUs: {}, allocatedBytes: {}, dirtiedBy: {} } as ByThread;
  let memory = 0;
  subjects.forEach(({ prefix }, index) => {
    const [old, now] = [before[index]!, after[index]!]; // one for each subject
    for (const kind of COUNTED) {
      for (const [name, all] of now[kind]) cost[kind][prefix + name] = (all - (old[kind].get(name) ?? 0)) / count;
    }
    memory += now.memoryBytes;
  });
  return { result, cost: { ...cost, writtenBytes: written / count, memoryBytes: memory } };
}
