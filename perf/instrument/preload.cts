// Runs first in every thread of a process that is measured (`node --require`): says which thread of the kernel it is, and
// on command counts what is allocated and collected, or profiles. Between commands it does nothing. Commands come by
// SIGUSR2 to the main thread, which reads its command's file and tells the other threads; each writes its answer to a file.

import fs = require('node:fs');
import inspector = require('node:inspector');
import path = require('node:path');
import v8 = require('node:v8');
import worker = require('node:worker_threads');

interface Command {
  readonly action: 'begin' | 'report' | 'profile' | 'end';
  readonly number: number;
}

interface ThreadWork {
  readonly name: string;
  readonly file: string;
  collections: v8.GCProfiler | null;
  /** Bytes of the heap in use when counting began. */
  usedBytes: number;
  session: inspector.Session | null;
}

const CHANNEL = 'orangefs-perf';
const SAMPLING_US = 500;
const directory = process.env.OFS_PERF_DIRECTORY;
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
  const work: ThreadWork = { name, file: `${pid}-${tid}`, collections: null, usedBytes: 0, session: null };
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
    work.collections = new v8.GCProfiler();
    work.collections.start();
    work.usedBytes = v8.getHeapStatistics().used_heap_size;
    answer({ name: work.name });
  } else if (action === 'report') answer({ name: work.name, ...heapWork(work) });
  else if (action === 'profile') {
    work.session = new inspector.Session();
    work.session.connect();
    work.session.post('Profiler.enable');
    work.session.post('Profiler.setSamplingInterval', { interval: SAMPLING_US });
    work.session.post('Profiler.start', () => answer({ name: work.name }));
  } else {
    work.session?.post('Profiler.stop', (error, result) => {
      answer({ name: work.name, profile: error === null ? result.profile : null });
      work.session?.disconnect();
      work.session = null;
    });
  }
}

/** What was allocated between two collections is what the heap grew by; the time of collections is said by V8. */
function heapWork(work: ThreadWork): { gcUs: number; allocatedBytes: number } {
  const statistics = work.collections?.stop()?.statistics ?? [];
  work.collections = null;
  let gcUs = 0;
  let allocatedBytes = 0;
  let usedBytes = work.usedBytes;
  for (const { cost, beforeGC, afterGC } of statistics) {
    gcUs += cost;
    // A collection within another one ends first: then the outer one begins with more than is left.
    allocatedBytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - usedBytes);
    usedBytes = afterGC.heapStatistics.usedHeapSize;
  }
  allocatedBytes += Math.max(0, v8.getHeapStatistics().used_heap_size - usedBytes);
  return { gcUs, allocatedBytes };
}
