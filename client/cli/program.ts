// The commands of `ofs` and how every one of them ends: 0 done, 1 failed (standard error says on what and what to do),
// 2 called wrongly.

import { Command, CommanderError } from 'commander';
import { assertLimits } from '../../proto/limits.js';
import { benchCommand } from './bench.js';
import { fsckCommand } from './fsck.js';
import { gcCommand } from './gc.js';
import { keyCommand } from './key.js';
import { mountCommands } from './mount.js';
import { say } from './output.js';
import { serveCommand } from './serve.js';
import { statusCommand } from './status.js';
import { volumeCommand } from './volume.js';

const FAILED = 1;
const CALLED_WRONGLY = 2;

export function buildProgram(): Command {
  const program = new Command('ofs');
  program
    .description('OrangeFS: one namespace over S3 and POSIX, for model training')
    .version('0.1.0')
    .showHelpAfterError('(add --help for what can be given)')
    .exitOverride();
  serveCommand(program);
  benchCommand(program);
  volumeCommand(program);
  keyCommand(program);
  mountCommands(program);
  statusCommand(program);
  fsckCommand(program);
  gcCommand(program);
  return program;
}

export async function run(argv: string[]): Promise<void> {
  assertLimits();
  try {
    await buildProgram().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** By name: an error that a thread has thrown arrives without its class. */
const SAID: ReadonlySet<string> = new Set(['OfsError', 'DecodeError', 'StartError']);

/** Says an error and gives the exit code. What is not a known kind of failure is a fault of ours, and is thrown on. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : CALLED_WRONGLY;
  if (!(error instanceof Error) || !SAID.has(error.name)) throw error;
  say(`ofs: ${error.message}`);
  return FAILED;
}
