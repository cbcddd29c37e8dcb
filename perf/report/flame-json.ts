// A profiled run as JSON, for a differential graph later.

import type { FlameNode } from './flame-page.js';
import type { ThreadTimes } from './thread-times.js';

export interface FlameRun {
  readonly scenario: string;
  /** Of the weights: time, or what was allocated. */
  readonly unit: 'us' | 'bytes';
  /** That were done while it was profiled. */
  readonly operations: number;
  readonly root: FlameNode;
  readonly threads: readonly ThreadTimes[];
}

interface PlainNode {
  readonly name: string;
  readonly weight: number;
  readonly children: readonly PlainNode[];
}

const FORMAT = 'orangefs flame 2';

export function writeFlameRun({ root, ...run }: FlameRun): string {
  return JSON.stringify({ format: FORMAT, ...run, root: plain(root) });
}

/** Throws RangeError on anything else than what `writeFlameRun` gives. */
export function readFlameRun(text: string): FlameRun {
  const parsed = JSON.parse(text) as Partial<Omit<FlameRun, 'root'>> & { format?: string; root?: PlainNode };
  const { format, scenario, unit, operations, root, threads } = parsed;
  if (
    format !== FORMAT ||
    scenario === undefined ||
    unit === undefined ||
    operations === undefined ||
    root === undefined
  ) {
    throw new RangeError('this is no run of `npm run flame -- SCENARIO --json FILE`');
  }
  return { scenario, unit, operations, root: rich(root), threads: threads ?? [] };
}

function plain({ name, weight, children }: FlameNode): PlainNode {
  return { name, weight, children: [...children.values()].map(plain) };
}

function rich({ name, weight, children }: PlainNode): FlameNode {
  return { name, weight, children: new Map(children.map((child) => [child.name, rich(child)])) };
}
