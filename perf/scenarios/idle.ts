// What a node takes that nobody asks anything: processor time and memory.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure } from '../figures.js';
import { total } from '../figures.js';
import { costOf, type Observatory } from '../instrument/observed.js';
import { type NodeTarget, nodePid } from '../servers.js';

/** After a start there is work that is not idleness: compiling, collecting, proofs of the log. */
const SETTLE_MS = 2000;

/** A cost "of an operation" is that of a second here. */
export async function measureIdle(
  { target, observatory }: { readonly target: NodeTarget; readonly observatory: Observatory },
  seconds: number,
): Promise<Figure[]> {
  await sleep(SETTLE_MS);
  const subjects = [{ pid: nodePid(target), observatory, prefix: '' }];
  const { cost } = await costOf(
    subjects,
    () => sleep(seconds * 1000),
    () => seconds,
  );
  const less = { limits: [], lessIsBetter: true } as const;
  return [
    {
      name: 'idle node, of a core',
      unit: '%',
      value: total(cost.cpuUs) / 10_000,
      cost,
      note: 'cost is that of a second',
      ...less,
    },
    { name: 'idle node, memory', unit: 'bytes', value: cost.memoryBytes, ...less },
  ];
}
