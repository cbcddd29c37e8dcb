// A load of look-ups on a mount, as a process of its own: stat of one name after another. Takes its task as JSON in the
// first argument and prints its result as JSON.

import fs from 'node:fs';
import path from 'node:path';

export interface StatTask {
  readonly directory: string;
  readonly files: number;
  readonly seconds: number;
}

export interface StatResult {
  readonly operations: number;
  readonly seconds: number;
}

const CHECK_EVERY = 64;

const task = JSON.parse(process.argv[2] ?? 'null') as StatTask;
const names = Array.from({ length: task.files }, (_, file) => path.join(task.directory, `f${file}`));
const begun = performance.now();
let operations = 0;
while (operations % CHECK_EVERY !== 0 || performance.now() - begun < task.seconds * 1000) {
  fs.statSync(names[operations % names.length]!);
  operations++;
}
const result: StatResult = { operations, seconds: (performance.now() - begun) / 1000 };
process.stdout.write(`${JSON.stringify(result)}\n`);
