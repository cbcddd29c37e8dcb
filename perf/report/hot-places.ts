// Where each thread spent its time, by file of ours: what Node and V8 did on behalf of a file counts for it. Waiting is
// left out of the shares.

import { formatSize } from '../units.js';
import type { FlameNode } from './flame-page.js';

const SOURCE = / (\S+\.ts):\d+$/;
const IDLE = '(idle)';
const WAITING = /^\((idle|waiting)/;
const PLACES_SHOWN = 8;
/** Threads that did less than this in all are not worth lines. */
const BUSY_US = 20_000;

export interface HotThread {
  readonly thread: string;
  readonly busyUs: number;
  readonly idleUs: number;
  /** Largest first. */
  readonly places: readonly (readonly [string, number])[];
}

export function hotThreads(root: FlameNode): HotThread[] {
  return [...root.children.values()].map((thread) => {
    const places = new Map<string, number>();
    for (const child of thread.children.values()) collect(child, placeOf(child.name) ?? child.name, places);
    const idleUs = places.get(IDLE) ?? 0;
    places.delete(IDLE);
    const sorted = [...places].toSorted(([, left], [, right]) => right - left);
    return { thread: thread.name, busyUs: thread.weight - idleUs, idleUs, places: sorted };
  });
}

function collect(node: FlameNode, place: string, places: Map<string, number>): void {
  let own = node.weight;
  for (const child of node.children.values()) {
    own -= child.weight;
    collect(child, placeOf(child.name) ?? place, places);
  }
  places.set(place, (places.get(place) ?? 0) + own);
}

/** The file of a frame; V8's own states count for themselves, wherever they come up. */
function placeOf(name: string): string | undefined {
  if (isWaiting(name)) return IDLE;
  return SOURCE.exec(name)?.[1] ?? (/^\((program|garbage collector)\)$/.test(name) ? name : undefined);
}

export function isWaiting(name: string): boolean {
  return WAITING.test(name);
}

/** Of a graph of allocations: bytes of an operation. */
export function formatAllocations(threads: readonly HotThread[], operations: number): string {
  const sorted = threads.toSorted((left, right) => right.busyUs - left.busyUs).filter(({ busyUs }) => busyUs > 0);
  const size = (bytes: number): string => formatSize(Math.round(bytes / Math.max(1, operations))).padStart(9);
  return sorted
    .map(({ thread, busyUs, places }) => {
      const lines = places.slice(0, PLACES_SHOWN).map(([place, bytes]) => `  ${size(bytes)}  ${place}`);
      return [`${thread}: ${size(busyUs).trim()} an operation`, ...lines].join('\n');
    })
    .join('\n');
}

export function formatHotThreads(threads: readonly HotThread[]): string {
  const busy = threads.filter(({ busyUs }) => busyUs >= BUSY_US).toSorted((left, right) => right.busyUs - left.busyUs);
  return busy
    .map(({ thread, busyUs, idleUs, places }) => {
      const share = ((busyUs / (busyUs + idleUs)) * 100).toFixed(0);
      const lines = places.slice(0, PLACES_SHOWN).map(([place, us]) => {
        return `  ${((us / busyUs) * 100).toFixed(1).padStart(5)} %  ${place}`;
      });
      return [`${thread}: busy ${(busyUs / 1000).toFixed(0)} ms, ${share} % of the time`, ...lines].join('\n');
    })
    .join('\n');
}
