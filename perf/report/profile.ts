// Profiles of processor time and of allocations as V8 gives them, merged into one tree of stacks. Places are those of the TypeScript, by source maps.

import fs from 'node:fs';
import { SourceMap } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FlameNode } from './flame-page.js';

/** https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

type Frame = CpuProfile['nodes'][number]['callFrame'];

const maps = new Map<string, SourceMap | null>();

export function flameNode(name: string): FlameNode {
  return { name, weight: 0, children: new Map() };
}

/** Adds a thread below the root: the time of each sample to every frame of its stack. */
export function addProfile(root: FlameNode, thread: string, profile: CpuProfile): void {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const stacks = new Map<number, string[]>();
  const stackOf = (id: number): string[] => {
    const known = stacks.get(id);
    if (known !== undefined) return known;
    const parent = parents.get(id);
    const stack = parent === undefined ? [] : [...stackOf(parent), frameName(byId.get(id)!.callFrame)]; // ids name nodes
    stacks.set(id, stack);
    return stack;
  };
  const top = childOf(root, thread);
  profile.samples.forEach((id, index) => {
    // The time until the next sample is the sample's.
    const us = Math.max(0, profile.timeDeltas[index + 1] ?? 0);
    let node = top;
    node.weight += us;
    for (const name of stackOf(id)) {
      node = childOf(node, name);
      node.weight += us;
    }
  });
}

/** https://chromedevtools.github.io/devtools-protocol/tot/HeapProfiler/#type-SamplingHeapProfileNode */
export interface HeapNode {
  readonly callFrame: Frame;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

/** Adds what a thread allocated below the root; the first frame is V8's own root. */
export function addHeap(root: FlameNode, thread: string, head: HeapNode): void {
  const top = childOf(root, thread);
  const add = (node: FlameNode, { selfSize, children }: HeapNode): number => {
    let bytes = selfSize;
    for (const child of children) bytes += add(childOf(node, frameName(child.callFrame)), child);
    node.weight += bytes;
    return bytes;
  };
  add(top, head);
}

/** Divides the idle time of a thread among what it waited for; the parts are in proportion to these. */
export function divideIdle(root: FlameNode, thread: string, waits: Readonly<Record<string, number>>): void {
  const idle = root.children.get(thread)?.children.get('(idle)');
  const whole = Object.values(waits).reduce((sum, us) => sum + us, 0);
  if (idle === undefined || whole === 0) return;
  for (const [cause, us] of Object.entries(waits))
    childOf(idle, `(waiting: ${cause})`).weight += (us / whole) * idle.weight;
}

function childOf(node: FlameNode, name: string): FlameNode {
  let child = node.children.get(name);
  if (child === undefined) {
    child = flameNode(name);
    node.children.set(name, child);
  }
  return child;
}

function frameName({ functionName, url, lineNumber, columnNumber }: Frame): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  if (!url.startsWith('file:')) return `${name} ${url}`;
  const file = fileURLToPath(url);
  const entry = mapOf(file)?.findEntry(lineNumber, columnNumber);
  if (entry === undefined || !('originalSource' in entry)) return `${name} ${shortened(file)}:${lineNumber + 1}`;
  const source = entry.originalSource.startsWith('file:') ? fileURLToPath(entry.originalSource) : entry.originalSource;
  return `${name} ${shortened(path.resolve(path.dirname(file), source))}:${entry.originalLine + 1}`;
}

/** The last folders of a path: enough to find the file. */
function shortened(file: string): string {
  return file.split('/').slice(-3).join('/');
}

function mapOf(file: string): SourceMap | undefined {
  let map = maps.get(file);
  if (map === undefined) {
    const beside = `${file}.map`;
    map = fs.existsSync(beside) ? new SourceMap(JSON.parse(fs.readFileSync(beside, 'utf8'))) : null;
    maps.set(file, map);
  }
  return map ?? undefined;
}
