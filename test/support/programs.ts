// Programs that tests drive. The set-up of `npm test` installs them where it can (.ci/packages); a test whose program is
// still missing says so by name, and in CI that is a failure.

import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** For the `skip` option of a test: false when all programs are there. In CI never anything else. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => !isInstalled(program));
  if (absent.length === 0 || process.env.CI === 'true') return false;
  return `not installed: ${absent.join(', ')}`;
}

/** The same for a test that mounts, or becomes another user. */
export function notRoot(): string | false {
  if (process.getuid?.() === 0 || process.env.CI === 'true') return false;
  return 'needs root';
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** Runs a program to its end and gives its standard output; rejects, with its standard error, when it fails. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const env = { ...process.env, ...options.env };
  const { stdout } = await execute(program, args, { cwd: options.cwd, env, maxBuffer: MAX_OUTPUT_BYTES });
  return stdout;
}
