// What threads of processes do, as the kernel sees it: on a processor, ready and without one, or in a system call that
// waits. Looked at from outside at a steady pace (proc_pid_syscall(5)): it sees every thread, also those that run no
// JavaScript, and costs them nothing.

import fs from 'node:fs';
import type { Subject } from './observed.js';
import { readIfThere } from './observed.js';

/** Where a thread is when it is looked at. `ready` has and wants a processor. */
export type Place = 'ready' | 'event loop' | 'disk' | 'kernel requests' | 'another thread' | 'other calls';

export interface ThreadWaits {
  readonly thread: string;
  /** Of all threads of the name together. */
  readonly cpuUs: number;
  readonly queuedUs: number;
  /** Microseconds that were waited, by samples. */
  readonly waitedUs: Readonly<Partial<Record<Place, number>>>;
}

const PERIOD_MS = 10;

/** Numbers of system calls (asm/unistd.h of the kernel) by what is waited for in them. */
const CALLS: Record<string, Partial<Record<number, Place>>> = {
  x64: {
    ...places('event loop', [7, 23, 232, 270, 271, 281, 441]),
    ...places('disk', [17, 18, 19, 20, 74, 75, 162, 277, 285, 295, 296, 306, 327, 328]),
    ...places('another thread', [202, 449]),
  },
  arm64: {
    ...places('event loop', [22, 72, 73, 441]),
    ...places('disk', [65, 66, 67, 68, 69, 70, 47, 81, 82, 83, 84, 267, 286, 287]),
    ...places('another thread', [98, 449]),
  },
};
/** read(2) and write(2): what they are for depends on the descriptor. */
const PLAIN_CALLS: Record<string, readonly number[]> = { x64: [0, 1], arm64: [63, 64] };

function places(place: Place, numbers: readonly number[]): Partial<Record<number, Place>> {
  return Object.fromEntries(numbers.map((number) => [number, place]));
}

export class WaitSampler {
  /** By subject and thread's name. */
  private readonly samples: Map<string, Map<Place, number>>[];
  private readonly descriptors = new Map<string, string>();
  private readonly timer: NodeJS.Timeout;
  private readonly begun = performance.now();
  private readonly cpuUs: Map<string, number>[];
  private readonly queuedUs: Map<string, number>[];
  /** Of each subject, by the kernel's number of the thread. */
  private readonly names: Map<string, string>[];
  private looks = 0;

  constructor(private readonly subjects: readonly Subject[]) {
    this.samples = subjects.map(() => new Map());
    this.cpuUs = subjects.map(({ observatory, pid }) => observatory.cpuUs(pid));
    this.queuedUs = subjects.map(({ observatory, pid }) => observatory.queuedUs(pid));
    this.names = subjects.map(() => new Map());
    this.timer = setInterval(() => this.look(), PERIOD_MS);
  }

  stop(): ThreadWaits[] {
    clearInterval(this.timer);
    const usPerSample = ((performance.now() - this.begun) * 1000) / Math.max(1, this.looks);
    return this.subjects.flatMap(({ observatory, pid, prefix }, index) => {
      const [cpuNow, queuedNow] = [observatory.cpuUs(pid), observatory.queuedUs(pid)];
      return [...this.samples[index]!].map(([name, counts]) => ({
        thread: `${prefix}${name}`,
        cpuUs: (cpuNow.get(name) ?? 0) - (this.cpuUs[index]!.get(name) ?? 0), // one of each for a subject
        queuedUs: (queuedNow.get(name) ?? 0) - (this.queuedUs[index]!.get(name) ?? 0),
        waitedUs: Object.fromEntries(
          [...counts].filter(([place]) => place !== 'ready').map(([place, count]) => [place, count * usPerSample]),
        ),
      }));
    });
  }

  private look(): void {
    this.looks++;
    this.subjects.forEach((subject, index) => {
      const { pid } = subject;
      const samples = this.samples[index]!; // one for each subject
      for (const tid of fs.readdirSync(`/proc/${pid}/task`)) {
        const text = readIfThere(`/proc/${pid}/task/${tid}/syscall`);
        if (text === null) continue;
        const name = this.nameOf(subject, index, tid);
        let counts = samples.get(name);
        if (counts === undefined) {
          counts = new Map();
          samples.set(name, counts);
        }
        const place = this.placeOf(pid, text);
        counts.set(place, (counts.get(place) ?? 0) + 1);
      }
    });
  }

  private nameOf({ observatory, pid }: Subject, index: number, tid: string): string {
    const names = this.names[index]!; // likewise
    const known = names.get(tid);
    if (known !== undefined) return known;
    const name = observatory.names(pid, true).get(tid) ?? 'pool';
    names.set(tid, name);
    return name;
  }

  private placeOf(pid: number, text: string): Place {
    if (text.startsWith('running')) return 'ready';
    const [number = '', descriptor = ''] = text.split(' ');
    const known = CALLS[process.arch]?.[Number(number)];
    if (known !== undefined) return known;
    if (PLAIN_CALLS[process.arch]?.includes(Number(number)) !== true) return 'other calls';
    const file = this.fileOf(pid, Number(descriptor));
    if (file === '/dev/fuse') return 'kernel requests';
    return file.startsWith('/') ? 'disk' : 'other calls';
  }

  private fileOf(pid: number, descriptor: number): string {
    const link = `/proc/${pid}/fd/${descriptor}`;
    const known = this.descriptors.get(link);
    if (known !== undefined) return known;
    let file = '';
    try {
      file = fs.readlinkSync(link);
    } catch (error) {
      // It was closed since.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    // Device threads read the same descriptor all their life; others come and go.
    if (file === '/dev/fuse') this.descriptors.set(link, file);
    return file;
  }
}
