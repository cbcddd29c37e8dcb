// A load generator seen from outside: a process of its own that prepares itself (requests signed, files made, everything
// warmed), says `ready`, begins when it is told to, ends by itself or when told, and prints its result as JSON.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface LoadProcess<T> {
  readonly pid: number;
  /** Rejects when it ends before. */
  readonly ready: Promise<void>;
  /** Once it is ready: begins, and resolves with what it measured. */
  go(): Promise<T>;
  /** For loads without an end of their own. */
  finish(): void;
  /** Whatever it is doing. */
  kill(): void;
}

export function startLoad<T>(script: URL, task: unknown, env: Record<string, string> = {}): LoadProcess<T> {
  const file = fileURLToPath(script);
  const child = spawn(process.execPath, [file, JSON.stringify(task)], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = readline.createInterface({ input: child.stdout });
  // One that has ended hears nothing: its end is an error of whoever waits for its next line.
  child.stdin.on('error', () => {});
  const next = async (): Promise<string> => {
    const gone = new AbortController();
    child.once('close', () => gone.abort());
    try {
      const [text] = await once(lines, 'line', { signal: gone.signal });
      return text as string;
    } catch (error) {
      throw new Error(`the load ${path.basename(file)} ended with code ${child.exitCode}`, { cause: error });
    }
  };
  const ready = next().then(() => {});
  // It is awaited by whoever goes on; one that fails before that is no unhandled rejection.
  ready.catch(() => {});
  return {
    pid: child.pid!, // spawned, or `ready` rejects
    ready,
    go: async () => {
      await ready;
      child.stdin.write('go\n');
      return JSON.parse(await next()) as T;
    },
    finish: () => child.stdin.end('finish\n'),
    kill: () => child.kill('SIGKILL'),
  };
}

/** From its start to its result. */
export async function runLoad<T>(script: URL, task: unknown, env?: Record<string, string>): Promise<T> {
  const load = startLoad<T>(script, task, env);
  try {
    return await load.go();
  } finally {
    load.kill();
  }
}
