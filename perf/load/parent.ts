// A load generator's end of its conversation with whoever started it (load-process.ts).

import { once } from 'node:events';

/** Says that all is prepared, and resolves when the measurement is to begin. */
export async function readyToGo(): Promise<void> {
  process.stdout.write('ready\n');
  await once(process.stdin, 'data');
  process.stdin.on('data', () => {
    finished = true;
  });
  process.stdin.unref();
}

let finished = false;

/** Whether a load without an end of its own has been told to end. Needs turns of the event loop to be heard. */
export function isFinished(): boolean {
  return finished;
}

export function taskOf<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T;
}

export function giveResult(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.stdin.destroy();
}
