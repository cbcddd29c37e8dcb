// Runs first in every thread of a process that is measured (`node --require`): says which thread of the kernel it is,
// counts garbage collection, and profiles on command. Commands come by SIGUSR2 to the main thread, which reads
// its command's file and tells the other threads; each writes its answer to a file. It changes nothing else.

import fs = require('node:fs');
import inspector = require('node:inspector');
import path = require('node:path');
import perfHooks = require('node:perf_hooks');
import worker = require('node:worker_threads');

interface Command {
  readonly action: 'report' | 'profile' | 'end';
  readonly number: number;
}

interface ThreadWork {
  readonly name: string;
  readonly file: string;
  gcMs: number;
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
  const work: ThreadWork = { name, file: `${pid}-${tid}`, gcMs: 0, session: null };
  new perfHooks.PerformanceObserver((list) => {
    for (const entry of list.getEntries()) work.gcMs += entry.duration;
  }).observe({ entryTypes: ['gc'] });
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
  if (action === 'report') answer({ name: work.name, gcMs: work.gcMs });
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
