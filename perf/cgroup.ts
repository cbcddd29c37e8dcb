// A control group with a limit on memory, page cache included, for a node that is to have less than its machine.
// Version 2 where its memory controller is there, else version 1 (Documentation/admin-guide/cgroup-v2.rst and
// cgroup-v1/memory.rst of the kernel).

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The machine, or this user's rights on it, do not allow a scenario. */
export class NotHereError extends Error {}

export interface MemoryGroup {
  /** Writing a process's number to it moves that process there. */
  readonly procs: string;
  /** When its last process has ended. */
  close(): Promise<void>;
}

const CLOSE_ATTEMPTS = 100;
const CLOSE_PAUSE_MS = 50;

export function makeMemoryGroup(bytes: number): MemoryGroup {
  const parent = unifiedParent() ?? legacyParent();
  if (parent === undefined) throw new NotHereError('no control group for memory is mounted');
  const directory = path.join(parent.directory, `ofs-perf-${process.pid}`);
  try {
    fs.mkdirSync(directory);
    for (const [file, value] of parent.settings(bytes)) {
      const whole = path.join(directory, file);
      if (fs.existsSync(whole)) fs.writeFileSync(whole, value);
    }
  } catch (error) {
    fs.rmSync(directory, { recursive: true, force: true });
    throw new NotHereError(`a control group below ${parent.directory} cannot be made: ${(error as Error).message}`);
  }
  return { procs: path.join(directory, 'cgroup.procs'), close: () => remove(directory) };
}

interface Parent {
  readonly directory: string;
  settings(bytes: number): [file: string, value: string][];
}

/** Groups with processes of their own cannot have children with controllers, except for the root. */
function unifiedParent(): Parent | undefined {
  const directory = mountOf((type) => type === 'cgroup2');
  if (directory === undefined) return undefined;
  const words = (file: string): string[] => fs.readFileSync(path.join(directory, file), 'utf8').trim().split(' ');
  if (!words('cgroup.controllers').includes('memory')) return undefined;
  if (!words('cgroup.subtree_control').includes('memory')) {
    fs.writeFileSync(path.join(directory, 'cgroup.subtree_control'), '+memory');
  }
  return {
    directory,
    settings: (bytes) => [
      ['memory.max', String(bytes)],
      ['memory.swap.max', '0'],
    ],
  };
}

/** Below the group of this process, whose own limit goes on to hold. */
function legacyParent(): Parent | undefined {
  const root = mountOf((type, options) => type === 'cgroup' && options.split(',').includes('memory'));
  if (root === undefined) return undefined;
  const own = /^\d+:memory:(.*)$/m.exec(fs.readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  const directory = fs.existsSync(path.join(root, own)) ? path.join(root, own) : root;
  return { directory, settings: (bytes) => [['memory.limit_in_bytes', String(bytes)]] };
}

function mountOf(matches: (type: string, options: string) => boolean): string | undefined {
  const lines = fs.readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const fields = lines.map((line) => line.split(' '));
  return fields.find(([, , type = '', options = '']) => matches(type, options))?.[1];
}

/** The kernel lets a group go a moment after its last process. */
async function remove(directory: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      fs.rmdirSync(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || attempt === CLOSE_ATTEMPTS) throw error;
    }
    await sleep(CLOSE_PAUSE_MS);
  }
}
