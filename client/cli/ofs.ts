#!/usr/bin/env node
// The executable. uWebSockets.js has binaries for Node 18 to 22 only, so on a newer Node the same command runs on the
// Node 22 that this package brings along; everything else is in program.ts.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { limits } from '../../proto/limits.js';

const NEWEST_SUPPORTED_MAJOR = 22;
// Both are read once by native code, from the environment of the process, before or when the first thread starts:
// the size of the pool for file reads and syncs, and what uWebSockets.js takes of a request's headers.
process.env.UV_THREADPOOL_SIZE ??= String(limits.ioPoolThreads);
process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(limits.s3HeaderBytes);
if (Number(process.versions.node.split('.')[0]) > NEWEST_SUPPORTED_MAJOR) runOnBundledNode();
else await (await import('./program.js')).run(process.argv);

function runOnBundledNode(): void {
  const name = `node-linux-${process.arch}`;
  let binary: string;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    binary = path.join(path.dirname(manifest), 'bin', 'node');
  } catch {
    process.stderr.write(`ofs runs on Node 20 to 22, and the package ${name} with Node 22 is not installed: npm ci\n`);
    process.exit(1);
  }
  const script = fileURLToPath(import.meta.url);
  const child = spawn(binary, [...process.execArgv, script, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`${binary}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal !== null) process.kill(process.pid, signal);
    process.exit(code ?? 1);
  });
}
