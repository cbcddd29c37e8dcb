// Runs first in every thread of a process that is measured (`node --require`): says which thread of the kernel it is, and
// on command counts what is allocated and collected, or profiles. Between commands it does nothing. Commands come by
// SIGUSR2 to the main thread, which reads its command's file and tells the other threads; each writes its answer to a file.

import fs = require('node:fs');
import inspector = require('node:inspector');
import path = require('node:path');
import v8 = require('node:v8');
import worker = require('node:worker_threads');
import waits = require('./waits.cjs');

interface Command {
  readonly action: 'begin' | 'report' | 'profile' | 'sample' | 'end';
  readonly number: number;
}

interface ThreadWork {
  readonly name: string;
  readonly file: string;
  collections: v8.GCProfiler | null;
  timer: NodeJS.Timeout | null;
  /** Bytes of the heap in use when it was last counted. */
  usedBytes: number;
  gcUs: number;
  allocatedBytes: number;
  session: inspector.Session | null;
  /** Of allocations; otherwise of processor time. */
  isSampling: boolean;
}

const CHANNEL = 'orangefs-perf';
const SAMPLING_US = 500;
/** Also what was collected before the end: it is allocation that is asked for, not what is left of it. */
const SAMPLED = {
  samplingInterval: 16_384,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
};
/** V8 keeps what it knows of each collection until it is asked: a long run must not gather it. */
const COUNT_MS = 5_000;
const NOTHING = {
  collections: null,
  timer: null,
  usedBytes: 0,
  gcUs: 0,
  allocatedBytes: 0,
  session: null,
  isSampling: false,
} as const;
const directory = process.env.OFS_PERF_DIRECTORY;
const isWatchingWaits = process.env.OFS_PERF_WAITS === '1';
if (directory !== undefined) instrument(directory);

function instrument(place: string): void {
  const [pid, , tid] = fs.readlinkSync('/proc/thread-self').split('/');
  const name = threadName();
  fs.writeFileSync(path.join(place, `thread-${pid}-${tid}`), name);
  if (worker.isMainThread) {
    // What is there before the first line of JavaScript are the engine's own threads.
    const helpers = fs.readdirSync('/proc/self/task').filter((task) => task !== tid);
    for (const helper of helpers) fs.writeFileSync(path.join(place, `thread-${pid}-${helper}`), 'v8');
  }
  const work: ThreadWork = { name, file: `${pid}-${tid}`, ...NOTHING };
  if (isWatchingWaits) waits.watchWaits();
  const channel = new worker.BroadcastChannel(CHANNEL);
  channel.onmessage = (event: unknown) => obey(place, work, (event as { data: Command }).data);
  channel.unref();
  if (!worker.isMainThread) return;
  process.on('SIGUSR2', () => {
    const command = JSON.parse(fs.readFileSync(path.join(place, `command-${pid}`), 'utf8')) as Command;
    channel.postMessage(command);
    obey(place, work, command);
  });
}

function threadName(): string {
  if (worker.isMainThread) return 'main';
  const data = (worker.workerData ?? {}) as { name?: unknown; slots?: unknown };
  if (typeof data.name === 'string') return data.name;
  // Those that read /dev/fuse are born with slots and without a name.
  return data.slots === undefined ? path.basename(process.argv[1] ?? 'worker', '.js') : 'device';
}

function obey(place: string, work: ThreadWork, { action, number }: Command): void {
  const answer = (value: unknown): void => {
    const file = path.join(place, `answer-${number}-${work.file}`);
    fs.writeFileSync(`${file}.part`, JSON.stringify(value));
    fs.renameSync(`${file}.part`, file);
  };
  if (action === 'begin') {
    // Whoever counted before may have failed before it asked.
    count(work);
    Object.assign(work, { gcUs: 0, allocatedBytes: 0, usedBytes: v8.getHeapStatistics().used_heap_size });
    startCounting(work);
    answer({ name: work.name });
  } else if (action === 'report') {
    count(work);
    answer({ name: work.name, gcUs: work.gcUs, allocatedBytes: work.allocatedBytes });
  } else if (action === 'profile') {
    work.session = new inspector.Session();
    work.session.connect();
    work.session.post('Profiler.enable');
    work.session.post('Profiler.setSamplingInterval', { interval: SAMPLING_US });
    work.session.post('Profiler.start', () => answer({ name: work.name }));
    waits.beginWaits();
  } else if (action === 'sample') {
    work.isSampling = true;
    work.session = new inspector.Session();
    work.session.connect();
    work.session.post('HeapProfiler.startSampling', SAMPLED, () => answer({ name: work.name }));
  } else end(work, answer);
}

function end(work: ThreadWork, answer: (value: unknown) => void): void {
  const { name, session, isSampling } = work;
  work.session = null;
  work.isSampling = false;
  if (isSampling) {
    session?.post('HeapProfiler.stopSampling', (error, result) => {
      answer({ name, heap: error === null ? result.profile.head : null });
      session.disconnect();
    });
    return;
  }
  const waited = isWatchingWaits ? waits.endWaits() : null;
  session?.post('Profiler.stop', (error, result) => {
    answer({ name, profile: error === null ? result.profile : null, waits: waited });
    session.disconnect();
  });
}

function startCounting(work: ThreadWork): void {
  work.collections = new v8.GCProfiler();
  work.collections.start();
  work.timer = setTimeout(() => {
    count(work);
    startCounting(work);
  }, COUNT_MS).unref();
}

/** What was allocated between two collections is what the heap grew by; the time of collections is said by V8. */
function count(work: ThreadWork): void {
  if (work.timer !== null) clearTimeout(work.timer);
  for (const { cost, beforeGC, afterGC } of work.collections?.stop()?.statistics ?? []) {
    work.gcUs += cost;
    grow(work, beforeGC.heapStatistics.usedHeapSize);
    work.usedBytes = afterGC.heapStatistics.usedHeapSize;
  }
  grow(work, v8.getHeapStatistics().used_heap_size);
  work.collections = null;
  work.timer = null;
}

function grow(work: ThreadWork, usedBytes: number): void {
  // A collection within another one ends first: then the outer one begins with more than is left.
  work.allocatedBytes += Math.max(0, usedBytes - work.usedBytes);
  work.usedBytes = usedBytes;
}
