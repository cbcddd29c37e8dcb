// The processes that a measurement needs: a node on an empty directory, and the limit beside it, a uWebSockets.js server
// that answers the same sizes from memory.

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Credentials } from './load/presign.js';

export const HOST = '127.0.0.1';
const READY_MS = 30_000;
const STOP_MS = 15_000;
const OFS = fileURLToPath(new URL('../client/cli/ofs.js', import.meta.url));
const EMPTY = fileURLToPath(new URL('./load/empty-server.js', import.meta.url));

export interface Target {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface NodeTarget extends Target {
  readonly listen: number;
  readonly data: string;
  readonly credentials: Credentials;
  /** SIGKILL, and waits until it is gone; the data stays. */
  kill(): Promise<void>;
}

/**
 * `count` ports in a row that nothing listens on, below those that the system gives to clients: a node that is killed
 * and started again finds its ports free. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no free ports found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: HOST, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

export interface NodeOptions {
  /** Default: a new one below the temporary folder, removed when the node stops. */
  readonly data?: string;
  /** Three free ports from here; default: found. */
  readonly firstPort?: number;
  readonly env?: Record<string, string>;
  /** The file `cgroup.procs` of a control group that it is to live in. */
  readonly group?: string;
  readonly readyMs?: number;
  /** Where its log goes; default: this process's standard error. */
  readonly log?: (text: string) => void;
}

/** Of a node that `ofs` may have started in another process: its lock file names it. */
export function nodePid(node: NodeTarget): number {
  return Number(fs.readFileSync(path.join(node.data, 'ofs.lock'), 'utf8'));
}

const running = new Set<ChildProcess>();

/** Kills the nodes that are still there: for tests that failed before they stopped theirs. */
export async function killNodes(): Promise<void> {
  await Promise.all(
    [...running].map((child) => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      return gone;
    }),
  );
}

/** Resolves when the node has said `ready`. Its key is `bench` with the secret `benchbench`. */
export async function startNode(options: NodeOptions = {}): Promise<NodeTarget> {
  const data = options.data ?? fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-perf-'));
  const port = options.firstPort ?? (await freePorts(3));
  const credentials = { accessKey: 'bench', secretKey: 'benchbench', region: 'us-east-1' };
  const listen = port + 1;
  const args = [OFS, 'serve', '--data', data, '--s3', `${HOST}:${port}`, '--listen', `${HOST}:${listen}`];
  const keys = { OFS_ACCESS_KEY: credentials.accessKey, OFS_SECRET_KEY: credentials.secretKey };
  const [program, ...whole] = options.group === undefined ? [process.execPath, ...args] : inGroup(options.group, args);
  const child = spawn(program!, whole, {
    env: { ...process.env, ...keys, ...options.env },
    stdio: ['ignore', 'pipe', options.log === undefined ? 'inherit' : 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.stderr?.on('data', (piece: Buffer) => options.log?.(piece.toString('utf8')));
  await line(child, 'ready', options.readyMs ?? READY_MS);
  return {
    port,
    listen,
    data,
    credentials,
    pid: child.pid!, // it has printed, so it runs
    stop: async () => {
      await end(child);
      if (options.data === undefined) fs.rmSync(data, { recursive: true, force: true });
    },
    kill: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** It joins the group before its first page of memory is used. */
function inGroup(procs: string, args: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', procs, process.execPath, ...args];
}

/** Mounts a volume in a process of its own, for as long as it is not stopped. */
export async function startMount(
  node: NodeTarget,
  volume: string,
  directory: string,
  env: Record<string, string>,
): Promise<{ pid: number; stop(): Promise<void> }> {
  const options = ['--server', `${HOST}:${node.listen}`, '--attr-ms', '0', '--entry-ms', '0', '--foreground'];
  const child = spawn(process.execPath, [OFS, 'mount', volume, directory, ...options], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await line(child, `${volume} mounted on ${directory}`, READY_MS);
  return { pid: child.pid!, stop: () => end(child) }; // it has printed, so it runs
}

/** Runs an `ofs` command to its end. */
export function runOfs(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [OFS, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (piece: Buffer) => {
        output[name] += piece.toString('utf8');
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, ...output }));
  });
}

export async function startEmptyServer(): Promise<Target> {
  const port = await freePorts(1);
  const child = spawn(process.execPath, [EMPTY, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await line(child, 'ready', READY_MS);
  return { port, pid: child.pid!, stop: () => end(child) }; // it has printed, so it runs
}

function line(child: ChildProcess, wanted: string, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => settle(new Error(`no "${wanted}" within ${limitMs} ms`)), limitMs);
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) resolve();
      else {
        child.kill('SIGKILL');
        reject(error);
      }
    };
    child.stdout?.on('data', (piece: Buffer) => {
      output += piece.toString('utf8');
      if (output.split('\n').includes(wanted)) settle();
    });
    child.once('exit', (code) => settle(new Error(`the server ended with code ${code} before it was ready`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}
