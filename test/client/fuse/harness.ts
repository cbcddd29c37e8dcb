// A mount in a process of its own (mount-process.ts), and programs run against it. The test's own process may use the
// mount with any call, synchronous ones too: it does not serve it.

import assert from 'node:assert';
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseMountInfo } from '../../../client/fuse/mountpoint.js';

const PROGRAM = fileURLToPath(new URL('./mount-process.js', import.meta.url));
const LIMIT_MS = 20_000;

export interface State {
  inodes: number;
  opens: number;
  calls: Record<string, number>;
}

export class MountedMemory {
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  log = '';
  private readonly lines: string[] = [];
  private wake: () => void = () => {};
  private over = false;

  private constructor(
    readonly directory: string,
    readonly child: ChildProcessWithoutNullStreams,
  ) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line);
      this.wake();
    });
    child.stderr.on('data', (piece) => {
      this.log += String(piece);
    });
    this.exited = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.over = true;
        this.wake();
        resolve({ code, signal });
      });
    });
  }

  static async start(directory: string, options: object = {}): Promise<MountedMemory> {
    const child = spawn(process.execPath, [PROGRAM, directory, JSON.stringify(options)]);
    const mounted = new MountedMemory(directory, child);
    assert.strictEqual(await mounted.line(), 'ready', mounted.log);
    return mounted;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  async command(text: string): Promise<string> {
    this.child.stdin.write(`${text}\n`);
    return this.line();
  }

  async state(): Promise<State> {
    return JSON.parse(await this.command('state')) as State;
  }

  /** The next line that the process prints. */
  async line(): Promise<string> {
    const deadline = Date.now() + LIMIT_MS;
    while (this.lines.length === 0) {
      assert.ok(!this.over, `the mount process has ended: ${this.log}`);
      assert.ok(Date.now() < deadline, `the mount process says nothing: ${this.log}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LIMIT_MS);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.lines.shift()!;
  }

  /** Ends the process whatever state it is in, and clears the directory. */
  async dispose(): Promise<void> {
    if (!this.over) this.child.kill('SIGKILL');
    await this.exited;
    if (mountsOn(this.directory) > 0) await run('umount', ['-l', this.directory]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function mountsOn(directory: string): number {
  const entries = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  return entries.filter((entry) => entry.directory === directory).length;
}

export function emptyDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'ofs-mount-'));
}

/** Runs `body` over a fresh mount and takes it away again. */
export async function withMount(body: (mounted: MountedMemory) => Promise<void>, options: object = {}): Promise<void> {
  const mounted = await MountedMemory.start(emptyDirectory(), options);
  try {
    await body(mounted);
    assert.strictEqual(await mounted.command('unmount'), 'stopped', mounted.log);
    assert.deepStrictEqual(await mounted.exited, { code: 0, signal: null }, mounted.log);
  } finally {
    await mounted.dispose();
  }
}

/** Standard output of a program; rejects with its standard error when it fails. */
export function run(program: string, args: readonly string[], cwd = tmpdir()): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, timeout: LIMIT_MS, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')}: ${error.message} ${stderr}`));
    });
  });
}

export function shell(script: string, cwd: string): Promise<string> {
  return run('bash', ['-euo', 'pipefail', '-c', script], cwd);
}

/** Waits until `condition` holds. */
export async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
